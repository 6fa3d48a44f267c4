#include <brume/nn/models/dit.h>

#include "tests/conformance/module_calls.h"

namespace brume::conformance {
namespace {

Value dit(const Object& self, Arguments& a) {
  nn::DiTCall call{.p_dropout = a.optional_tensor("p_dropout")};
  if (a.has("attn_kwargs")) call.attn_mask = a.at("attn_kwargs").at("attn_mask").array("").tensor;
  return of<nn::DiT>(self)(a.tensor("x"), a.tensor("t"), a.optional_tensor("condition"), call);
}

Value dit_block(const Object& self, Arguments& a) {
  return of<nn::DiTBlock>(self)(a.tensor("x"), a.tensor("c"));
}
Value timm_attention(const Object& self, Arguments& a) {
  return of<nn::TimmSelfAttention>(self)(a.tensor("x"),
                                         {.attn_mask = a.optional_tensor("attn_mask")});
}
Value rotary_tables(const Object& self, Arguments&) {
  const auto& tables = of<nn::RotaryEmbedding2DTables>(self);
  return Tensors{tables.rope_cos, tables.rope_sin};
}
Value per_sample_dropout(const Object& self, Arguments& a) {
  return of<nn::PerSampleDropout>(self)(a.tensor("x"), a.tensor("p"));
}
Value proj_layer(const Object& self, Arguments& a) {
  return of<nn::ProjLayer>(self)(a.tensor("x"), a.tensor("c"));
}

template <class M>
Value detokenizer(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("x_tokens"), a.tensor("c"));
}
template <class M>
Value embedder(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("t"), a.optional_tensor("condition"));
}

}  // namespace

void add_transformer_calls(ModuleCalls& calls) {
  calls["DiT"] = {{"", dit}};
  calls["DiTBlock"] = {{"", dit_block}};
  calls["TimmSelfAttention"] = {{"", timm_attention}};
  calls["RotaryEmbedding2DTables"] = {{"", rotary_tables}};
  calls["PerSampleDropout"] = {{"", per_sample_dropout}};
  calls["ProjLayer"] = {{"", proj_layer}};
  calls["PatchEmbed2DTokenizer"] = {{"", of_x<nn::PatchEmbed2DTokenizer>}};
  calls["ProjReshape2DDetokenizer"] = {{"", detokenizer<nn::ProjReshape2DDetokenizer>}};
  calls["ConvDetokenizer"] = {{"", detokenizer<nn::ConvDetokenizer>}};
  calls["DiTConditionEmbedder"] = {{"", embedder<nn::DiTConditionEmbedder>}};
  calls["EDMConditionEmbedder"] = {{"", embedder<nn::EDMConditionEmbedder>}};
}

}  // namespace brume::conformance
