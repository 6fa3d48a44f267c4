#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/noise.h"
#include "tests/temporary_folder.h"

using namespace brume;

namespace {

nn::DiTConfig small() {
  return {.input_size = 8,
          .in_channels = 2,
          .patch_size = 4,
          .hidden_size = 8,
          .depth = 2,
          .num_heads = 2,
          .mlp_ratio = 2,
          .dit_initialization = false};
}

struct WidthConfig {
  int64_t width = 0;
  template <class V>
  void fields(V& v) {
    v("width", width, nn::required);
  }
};

// A user's parts: rows of pixels as tokens, and back.
struct RowTokens : nn::Tokenizer {
  using Config = WidthConfig;
  explicit RowTokens(const Config& c)
      : map(child<nn::Linear>("map", nn::LinearConfig::torch_default(16, c.width))) {}
  Tensor tokenize(const Tensor& x) const override {  // [B, 2, 8, 8] -> [B, 8, width]
    return map(reshape(permute(x, {0, 2, 1, 3}), {x.size(0), 8, 16}));
  }
  nn::Ref<nn::Linear> map;
};
struct RowPixels : nn::Detokenizer {
  using Config = WidthConfig;
  explicit RowPixels(const Config& c)
      : map(child<nn::Linear>("map", nn::LinearConfig::torch_default(c.width, 16))) {}
  Tensor detokenize(const Tensor& tokens, const Tensor&) const override {
    return permute(reshape(map(tokens), {tokens.size(0), 8, 2, 8}), {0, 2, 1, 3});
  }
  nn::Ref<nn::Linear> map;
};
struct TimeAlone : nn::ConditioningEmbedder {
  using Config = WidthConfig;
  explicit TimeAlone(const Config& c)
      : width(c.width),
        map(child<nn::Linear>("map", nn::LinearConfig::torch_default(1, c.width))) {}
  Tensor embed(const Tensor& t, const Tensor&) const override { return map(unsqueeze(t, 1)); }
  int64_t output_dim() const override { return width; }
  int64_t width;
  nn::Ref<nn::Linear> map;
};

}  // namespace

TEST_CASE("a new DiT returns zeros") {
  nn::DiTConfig c = small();
  c.dit_initialization = true;
  c.detokenizer = "proj_reshape_2d_conv";
  const auto net = nn::make<nn::DiT>(c);
  CHECK(max(abs(net(noise({1, 2, 8, 8}), zeros({1})))).item() == 0);
}

TEST_CASE("a misspelt pos_embed of a DiT is no silent none") {
  nn::DiTConfig c = small();
  c.tokenizer_kwargs.pos_embed = "learnble";
  CHECK(error_of([&] { nn::make<nn::DiT>(c); }).find("did you mean 'learnable'?") !=
        std::string::npos);
}

TEST_CASE("block_kwargs and attn_kwargs of a DiT may each hold what belongs to the other") {
  const std::string sizes =
      R"("input_size": 8, "in_channels": 1, "hidden_size": 8, "depth": 1, "num_heads": 2)";
  const auto made = [&](const std::string& more) {
    return nlohmann::json::parse(
        nn::construct("DiT", "{" + sizes + ", " + more + "}")->config_json());
  };
  const auto exchanged =
      made(R"("block_kwargs": {"proj_drop_rate": 0.1}, "attn_kwargs": {"norm_eps": 1e-5})");
  CHECK(exchanged["attn_kwargs"]["proj_drop_rate"] == 0.1);
  CHECK(exchanged["block_kwargs"]["norm_eps"] == 1e-5);
  CHECK(!exchanged["block_kwargs"].contains("proj_drop_rate"));  // given twice it would be refused
  const auto natten =
      made(R"("attention_backend": "natten2d", "attn_kwargs": {"norm_layer": "torch"},
              "patch_size": 2)");
  CHECK(natten["attn_kwargs"]["norm_layer"] == "torch");
  const auto edm = made(
      R"("conditioning_embedder": "edm", "conditioning_embedder_kwargs":
         {"emb_channels": 8, "noise_channels": 8, "endpoint": true})");
  CHECK(edm["conditioning_embedder_kwargs"]["endpoint"] == true);
  CHECK(error_of([&] {
          made(R"("block_kwargs": {"proj_drop_rat": 0.1})");
        }).find("did you mean 'proj_drop_rate'?") != std::string::npos);
}

TEST_CASE("tables that are computed and not saved are there again after loading") {
  const test::TemporaryFile file("brume_nn_tables.safetensors");
  nn::DiTConfig c = small();
  c.patch_size = 2, c.hidden_size = 16;
  c.attention_backend = nn::AttentionBackend::natten2d_rope;
  const auto net = nn::make<nn::DiT>(c);
  nn::save(*net, file.path);
  const nn::NamedTensors before = net->buffers(), after = nn::load(file.path)->buffers();
  REQUIRE(before.size() == after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    CAPTURE(before[i].name);
    CHECK(before[i].tensor.to_vector<float>() == after[i].tensor.to_vector<float>());
  }
}

TEST_CASE("blocks whose attention sees the same neighbourhoods share one mask") {
  nn::NeighbourhoodMask first, second;
  const Tensor mask = first.on({6, 7}, 3, {1, 1}, kCpu);
  CHECK(first.on({6, 7}, 3, {1, 1}, kCpu).handle() == mask.handle());
  CHECK(second.on({6, 7}, 3, {1, 1}, kCpu).handle() == mask.handle());
  CHECK(second.on({6, 7}, 3, {1, 2}, kCpu).handle() != mask.handle());
}

TEST_CASE("fused and composed attention of a DiT agree, and so do their gradients") {
  const auto net = nn::make<nn::DiT>(small());
  const Tensor t = noise({2}, 3);
  const Tensor x = set_requires_grad(noise({2, 2, 8, 8})),
               z = set_requires_grad(noise({2, 2, 8, 8}));
  const Tensor fused = net(x, t), composed = (*net)(z, t, {}, {.fused_attention = false});
  CHECK(distance(fused, composed) < 1e-5);
  backward(sum(square(fused)));
  backward(sum(square(composed)));
  CHECK(distance(grad_of(x), grad_of(z)) < 1e-4);
}

TEST_CASE("causal attention hides later tokens from earlier ones") {
  nn::DiTConfig c = small();
  c.attn_kwargs.is_causal = true;
  const auto net = nn::make<nn::DiT>(c);
  const Tensor x = noise({1, 2, 8, 8}), t = zeros({1});
  const Tensor other = x + pad(ones({1, 2, 4, 4}), {4, 0, 4, 0});  // the last patch
  const Tensor d = abs(net(x, t) - net(other, t));
  CHECK(max(slice(d, 2, 0, 4)).item() == 0);
  CHECK(max(d).item() > 0);
  CHECK(error_of([&] {
          (*net)(x, t, {}, {.attn_mask = zeros({4, 4})});
        }).find("exclude") != std::string::npos);
}

TEST_CASE("a DiT takes a user's tokenizer, detokenizer and embedder, and its file holds them") {
  nn::register_class<RowTokens>("test.RowTokens");
  nn::register_class<RowPixels>("test.RowPixels");
  nn::register_class<TimeAlone>("test.TimeAlone");
  nn::DiTConfig c = small();
  c.tokenizer = nn::Ref<nn::Module>(nn::make<RowTokens>({.width = 8}));
  c.detokenizer = nn::Ref<nn::Module>(nn::make<RowPixels>({.width = 8}));
  c.conditioning_embedder = nn::Ref<nn::Module>(nn::make<TimeAlone>({.width = 8}));
  const auto net = nn::make<nn::DiT>(c);
  const Tensor x = noise({2, 2, 8, 8}), t = noise({2}, 4);
  const test::TemporaryFile file("dit_with_own_parts.safetensors");
  nn::save(*net, file.path);
  const auto again = nn::load<nn::DiT>(file.path);
  CHECK(distance(net(x, t), again(x, t)) == 0);

  nn::DiTConfig wrong = small();
  wrong.tokenizer = nn::Ref<nn::Module>(nn::make<RowPixels>({.width = 8}));
  CHECK(error_of([&] { nn::make<nn::DiT>(wrong); }).find("must be derived from Tokenizer") !=
        std::string::npos);
  wrong.tokenizer = "patches";
  CHECK(error_of([&] { nn::make<nn::DiT>(wrong); }).find("known are patch_embed_2d") !=
        std::string::npos);
}

TEST_CASE("drop path leaves out whole branches in training alone") {
  nn::DiTConfig c = small();
  c.drop_path_rates = {0.5, 0.5};
  const auto net = nn::make<nn::DiT>(c);
  net->seed(1);
  const Tensor x = noise({8, 2, 8, 8}), t = zeros({8});
  CHECK(distance(net(x, t), net(x, t)) > 0);
  net->eval();
  CHECK(distance(net(x, t), net(x, t)) == 0);
}

TEST_CASE("a neighbourhood is moved inwards at the border") {
  const std::vector<uint8_t> sees = nn::neighbourhood_mask({3, 4}, 3).to_vector<uint8_t>();
  const auto row = [&](int64_t i) {
    std::string out;
    for (int64_t j = 0; j < 12; ++j) out += sees[static_cast<size_t>(i * 12 + j)] ? '1' : '0';
    return out;
  };
  CHECK(row(0) == "111011101110");
  CHECK(row(7) == "011101110111");
}

TEST_CASE("a dilated neighbourhood lies on every second row and column") {
  const Tensor sees = nn::neighbourhood_mask({6, 7}, 3, {2, 2});
  const std::vector<uint8_t> of_place = select(sees, 0, 2 * 7 + 5).to_vector<uint8_t>();
  for (int64_t i = 0; i < 42; ++i) {
    CAPTURE(i);
    CHECK(of_place[static_cast<size_t>(i)] == (i / 7 % 2 == 0 && i % 7 % 2 == 1));
  }
  CHECK(error_of([] {
          nn::neighbourhood_mask({5, 7}, 3, {2, 2});
        }).find("grid's 5") != std::string::npos);
}

TEST_CASE("invalid pixels exchange their tokens for a learned one") {
  nn::DiTConfig c = small();
  c.attention_backend = nn::AttentionBackend::natten2d;
  c.attn_kwargs.attn_kernel = 1;
  c.use_nan_mask_tokens = true;
  const auto net = nn::make<nn::DiT>(c);
  const Tensor x = noise({2, 2, 8, 8}), t = zeros({2});
  const Tensor mask = pad(ones({2, 1, 1}), {7, 0, 7, 0});  // one pixel of the last patch
  const Tensor bare = net(x, t), masked = (*net)(x, t, {}, {.invalid_mask = mask});
  const Tensor d = abs(bare - masked);
  CHECK(max(slice(d, 2, 0, 4)).item() == 0);
  CHECK(max(slice(slice(d, 2, 4, 8), 3, 4, 8)).item() > 0);
  CHECK(error_of([&] {
          (*nn::make<nn::DiT>(small()))(x, t, {}, {.invalid_mask = mask});
        }).find("use_nan_mask_tokens") != std::string::npos);
  c.attention_backend = nn::AttentionBackend::timm;
  CHECK(error_of([&] { nn::make<nn::DiT>(c); }).find("natten2d") != std::string::npos);
}

TEST_CASE("without an embedding a DiT's blocks follow their biases alone") {
  nn::register_class<RowPixels>("test.RowPixels");
  nn::DiTConfig c = small();
  c.conditioning_embedder = "zero";
  CHECK(error_of([&] { nn::make<nn::DiT>(c); }).find("embedding of hidden_size") !=
        std::string::npos);
  c.patch_size = {1, 8};
  c.detokenizer = nn::Ref<nn::Module>(nn::make<RowPixels>({.width = 8}));
  const auto net = nn::make<nn::DiT>(c);
  const Tensor x = noise({2, 2, 8, 8});
  CHECK(distance(net(x, zeros({2})), net(x, ones({2}))) == 0);
  backward(sum(square(net(x, zeros({2})))));
  for (const auto& [name, value] : net->parameters())
    if (name == "blocks.0.adaptive_modulation.1.bias") CHECK(max(abs(grad_of(value))).item() > 0);
}
