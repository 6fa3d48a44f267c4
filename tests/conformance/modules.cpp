#include "tests/conformance/modules.h"

#include <algorithm>

#include <brume/diffusion/preconditioners.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/mlp.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/registry.h>

#include "tests/conformance/module_calls.h"
#include "tests/conformance/toy_modules.h"

namespace brume::conformance {
namespace {

Value unet_block(const Object& self, Arguments& a) {
  return of<nn::UNetBlock>(self)(a.tensor("x"), a.tensor("emb"));
}

// Every model is called the same way.
Value model(const Object& self, Arguments& a) {
  return diffusion::AnyModel(module_of(self))(a.tensor("x"), a.tensor("t"), condition(a));
}

Value preconditioner_coefficients(const Object& self, Arguments& a) {
  const Tensor sigma =
      a.tensor(a.has("sigma") ? "sigma" : "t");  // the reference names it both ways
  const auto c = of<diffusion::BaseAffinePreconditioner>(self).compute_coefficients(sigma);
  return Tensors{c.c_in, c.c_noise, c.c_out, c.c_skip};
}
Value preconditioner_sigma(const Object& self, Arguments& a) {
  return of<diffusion::BaseAffinePreconditioner>(self).sigma(a.tensor("t"));
}
const Methods kPreconditioner = {{"", model},
                                 {"compute_coefficients", preconditioner_coefficients},
                                 {"sigma", preconditioner_sigma}};

// How the classes are called; a class without an entry is an unknown target.
const ModuleCalls& calls() {
  static const ModuleCalls table = [] {
    ModuleCalls t = {
        {"Linear", {{"", of_x<nn::Linear>}}},
        {"Conv2d", {{"", of_x<nn::Conv2d>}}},
        {"GroupNorm", {{"", of_x<nn::GroupNorm>}}},
        {"UNetAttention", {{"", of_x<nn::UNetAttention>}}},
        {"UNetBlock", {{"", unet_block}}},
        {"PositionalEmbedding", {{"", of_x<nn::PositionalEmbedding>}}},
        {"FourierEmbedding", {{"", of_x<nn::FourierEmbedding>}}},
        {"Mlp", {{"", of_x<nn::Mlp>}}},
        {"FullyConnected", {{"", of_x<nn::FullyConnected>}}},
        {"ConcatConditionWrapper", {{"", model}}},
        {"DiffusionUNet3D", {{"", model}}},
        {"EDMPreconditioner", kPreconditioner},
        {"VPPreconditioner", kPreconditioner},
        {"VEPreconditioner", kPreconditioner},
        {"IDDPMPreconditioner", kPreconditioner},
        {"toy.SongUNetAdapter", {{"", model}}},
        {"MultiDiffusionModel2D", kPatchModel},
        {"VPPrecond", kLegacyNetwork},
        {"VEPrecond", kLegacyNetwork},
        {"iDDPMPrecond", kLegacyNetwork},
        {"EDMPrecond", kLegacyNetwork},
        {"EDMPrecondSuperResolution", kLegacyNetwork},
        {"EDMPrecondSR", kLegacyNetwork},
        {"VEPrecond_dfsr", kLegacyNetwork},
        {"toy.ConvNet", {{"", model}}},
        {"toy.LegacyNet", {{"", model}}},
        {"toy.Mlp2", {{"", model}}},
        {"toy.AnalyticX0", {{"", model}}},
        {"toy.PnConvModel", {{"", model}}},
        {"toy.PnLinearModel", {{"", model}}},
        {"toy.PnFlatLinearX0", {{"", model}}},
        {"toy.PnConv2dX0", {{"", model}}},
        {"toy.PnConv3dX0", {{"", model}}},
    };
    add_unet_calls(t);
    add_transformer_calls(t);
    add_operator_calls(t);
    add_conv_net_calls(t);
    return t;
  }();
  return table;
}

}  // namespace

bool is_module(const std::string& class_name) { return calls().count(class_name) != 0; }

Value make_module(const std::string& class_name, Map arguments) {
  register_modules();
  const nn::Construction unwritten(nn::Construction::Mode::allocate);
  return module_value(class_name, nn::construct(class_name, to_json(Value(std::move(arguments)))));
}

Value module_value(const std::string& class_name, const nn::Ref<nn::Module>& module) {
  return Object{module, class_name, &calls().at(class_name)};
}

diffusion::Condition condition(Arguments& a) {
  const Value* given = a.find("condition");
  if (!given) return {};
  if (given->get_if<Array>()) return a.tensor("condition");
  std::vector<std::pair<std::string, Tensor>> entries;
  for (const auto& [name, value] : given->map("condition"))
    entries.emplace_back(name, value.array("condition").tensor);
  return entries;
}

nn::Ref<nn::Module> module_of(const Value& value) {
  return value.object("module").as<nn::Ref<nn::Module>>();
}

}  // namespace brume::conformance
