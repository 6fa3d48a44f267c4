// Guidance by observations, patches, and models of patches.

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/multi_diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>

#include "tests/conformance/diffusion_objects.h"
#include "tests/conformance/functions.h"
#include "tests/conformance/modules.h"
#include "tests/conformance/scope.h"

namespace brume::conformance {
namespace {

using diffusion::MultiDiffusionModel2D;
using diffusion::MultiDiffusionPredictor;
using diffusion::Size2D;

Size2D size2d(Arguments& a, std::string_view name) {
  const std::vector<int64_t> values = a.integers(name);
  return {values.at(0), values.at(1)};
}

// Patching.

template <class P>
const P& patching(const Object& self) {
  const P* found = dynamic_cast<const P*>(patching_of(self).get());
  check<Error>(found, self.type, " is another kind of patching");
  return *found;
}

Value apply(const Object& self, Arguments& a) {
  return patching<diffusion::BasePatching2D>(self).apply(a.tensor("input"),
                                                         a.optional_tensor("additional_input"));
}
Value fuse(const Object& self, Arguments& a) {
  const Tensor input = a.tensor("input");
  return patching<diffusion::GridPatching2D>(self).fuse(input, a.integer("batch_size"));
}
Value global_index(const Object& self, Arguments& a) {
  a.ignore("batch_size");
  a.ignore("device");
  return patching<diffusion::BasePatching2D>(self).global_index();
}
const Methods kPatching = {{"apply", apply}, {"fuse", fuse}, {"global_index", global_index}};

Value grid_patching(Arguments& a) {
  const Size2D image = size2d(a, "img_shape"), patch = size2d(a, "patch_shape");
  const int64_t overlap = a.integer("overlap_pix", 0), boundary = a.integer("boundary_pix", 0);
  return Object{
      PatchingRef(std::make_shared<diffusion::GridPatching2D>(image, patch, overlap, boundary)),
      a.target(), &kPatching};
}
Value random_patching(Arguments& a) {
  const Size2D image = size2d(a, "img_shape"), patch = size2d(a, "patch_shape");
  return Object{PatchingRef(std::make_shared<diffusion::RandomPatching2D>(
                    image, patch, a.integer("patch_num"), default_generator())),
                a.target(), &kPatching};
}

// Guidance.

diffusion::NumberOrTensor number_or_tensor(Arguments& a, std::string_view name, double otherwise) {
  if (a.is_tensor(name)) return a.tensor(name);
  return a.number(name, otherwise);
}

diffusion::Observations observations(Arguments& a) {
  diffusion::Observations o;
  o.y = a.tensor("y");
  o.std_y = number_or_tensor(a, "std_y", 1);
  o.gamma = number_or_tensor(a, "gamma", 0);
  if (const Value* norm = a.find("norm")) {
    if (norm->get_if<Object>())
      o.loss = function_of(norm, "prediction", "y");
    else
      o.norm = norm->integer("norm");
  }
  o.sigma_fn = function_of(a.find("sigma_fn"), "t");
  o.alpha_fn = function_of(a.find("alpha_fn"), "t");
  o.retain_graph = a.flag("retain_graph", false);
  o.create_graph = a.flag("create_graph", false);
  return o;
}

std::function<Tensor(const Tensor&)> observation_operator(Arguments& a) {
  return function_of(&a.at("observation_operator"), "x0");
}

Value model_consistency(Arguments& a) {
  const auto observe = observation_operator(a);
  return Object{
      diffusion::DPSGuidance(diffusion::ModelConsistencyDPSGuidance(observe, observations(a))),
      a.target()};
}
Value data_consistency(Arguments& a) {
  const Tensor mask = a.tensor("mask");
  return Object{
      diffusion::DPSGuidance(diffusion::DataConsistencyDPSGuidance(mask, observations(a))),
      a.target()};
}

template <class Guidance>
std::vector<Guidance> guidances(Arguments& a) {
  const Value& given = a.at("guidances");
  if (!given.get_if<List>()) return {given.object("guidances").as<Guidance>()};
  std::vector<Guidance> out;
  for (const Value& one : given.list("guidances"))
    out.push_back(one.object("guidances").as<Guidance>());
  return out;
}

Value call_predictor(const Object& self, Arguments& a) {
  return self.as<diffusion::Predictor>()(a.tensor("x"), a.tensor("t"));
}
const Methods kPredictor = {{"", call_predictor}};

diffusion::X0ToScore x0_to_score(Arguments& a) {
  return [f = a.at("x0_to_score_fn")](const Tensor& x0, const Tensor& x_t, const Tensor& t) {
    return flatten(invoke(f, {{"x0", x0}, {"x_t", x_t}, {"t", t}})).at(0);
  };
}

Value score_predictor(Arguments& a) {
  const diffusion::Predictor x0 = function_of(&a.at("x0_predictor"), "x", "t");
  return Object{diffusion::Predictor(diffusion::DPSScorePredictor(
                    x0, x0_to_score(a), guidances<diffusion::DPSGuidance>(a))),
                a.target(), &kPredictor};
}

// Models of patches.

MultiDiffusionModel2D& patch_model(const Value& value) {
  return dynamic_cast<MultiDiffusionModel2D&>(*module_of(value));
}
Value set_random_patching(const Object& self, Arguments& a) {
  const Size2D patch = size2d(a, "patch_shape");
  patch_model(self).set_random_patching(patch, a.integer("patch_num"), default_generator());
  return {};
}
Value set_grid_patching(const Object& self, Arguments& a) {
  const Size2D patch = size2d(a, "patch_shape");
  const int64_t overlap = a.integer("overlap_pix", 0), boundary = a.integer("boundary_pix", 0);
  patch_model(self).set_grid_patching(patch, overlap, boundary, a.flag("fuse", true));
  return {};
}
Value call_model(const Object& self, Arguments& a) {
  diffusion::PatchedInputs inputs;
  inputs.x_is_patched = a.flag("x_is_patched", false);
  inputs.t_is_patched = a.flag("t_is_patched", false);
  inputs.condition_is_patched = a.flag("condition_is_patched", false);
  return patch_model(self)(a.tensor("x"), a.tensor("t"), condition(a), inputs);
}

using PredictorRef = std::shared_ptr<MultiDiffusionPredictor>;
Value call_patch_predictor(const Object& self, Arguments& a) {
  return (*self.as<PredictorRef>())(a.tensor("x"), a.tensor("t"));
}
Value set_patching(const Object& self, Arguments& a) {
  const int64_t overlap = a.integer("overlap_pix"), boundary = a.integer("boundary_pix");
  const auto shape = [&](std::string_view name) {
    return a.has(name) ? size2d(a, name) : Size2D{};
  };
  self.as<PredictorRef>()->set_patching(overlap, boundary, shape("patch_shape"),
                                        shape("global_shape"));
  return {};
}
const Methods kPatchPredictor = {{"", call_patch_predictor}, {"set_patching", set_patching}};

Value patch_predictor(Arguments& a) {
  diffusion::MultiDiffusionPredictorOptions o;
  o.condition = condition(a);
  o.fuse = a.flag("fuse", true);
  o.chunk_size = a.integer("chunk_size", 0);
  o.use_checkpointing = a.flag("use_checkpointing", false);
  const diffusion::MSEDSMLossOptions prediction = prediction_options(a);
  o.prediction_type = prediction.prediction_type;
  o.to_x0 = prediction.to_x0;
  const auto model = module_of(a.at("model")).as<MultiDiffusionModel2D>();
  return Object{std::make_shared<MultiDiffusionPredictor>(model, std::move(o)), a.target(),
                &kPatchPredictor};
}

const MultiDiffusionPredictor& given_predictor(Arguments& a, std::string_view name) {
  return *a.at(name).object(name).as<PredictorRef>();
}
Value patch_data_consistency(Arguments& a) {
  const Tensor mask = a.tensor("mask");
  return Object{
      diffusion::MultiDiffusionDPSGuidance(diffusion::MultiDiffusionDataConsistencyDPSGuidance(
          given_predictor(a, "predictor"), mask, observations(a))),
      a.target()};
}
Value patch_model_consistency(Arguments& a) {
  const auto observe = observation_operator(a);
  return Object{
      diffusion::MultiDiffusionDPSGuidance(diffusion::MultiDiffusionModelConsistencyDPSGuidance(
          given_predictor(a, "predictor"), observe, observations(a))),
      a.target()};
}
Value patch_score_predictor(Arguments& a) {
  return Object{diffusion::Predictor(diffusion::MultiDiffusionDPSScorePredictor(
                    given_predictor(a, "x0_predictor"), x0_to_score(a),
                    guidances<diffusion::MultiDiffusionDPSGuidance>(a))),
                a.target(), &kPredictor};
}

template <class Loss>
Value call_patch_loss(const Object& self, Arguments& a) {
  const Loss& loss = self.as<std::shared_ptr<HeldLoss<Loss>>>()->loss;
  const diffusion::Condition c = condition(a);
  const Tensor x0 = a.tensor("x0"), t = a.optional_tensor("t");
  const bool reset = a.flag("reset_patch_indices", true);
  if constexpr (std::is_same_v<Loss, diffusion::MultiDiffusionWeightedMSEDSMLoss>) {
    return loss(x0, a.tensor("weight"), default_generator(), c, reset, t);
  } else {
    return loss(x0, default_generator(), c, reset, t);
  }
}
template <class Loss>
Value make_patch_loss(Arguments& a) {
  static const Methods methods = {{"", call_patch_loss<Loss>}};
  const SchedulerRef s = scheduler(a, "noise_scheduler");
  const auto model = module_of(a.at("model")).as<MultiDiffusionModel2D>();
  return Object{
      std::make_shared<HeldLoss<Loss>>(HeldLoss<Loss>{s, Loss(model, *s, loss_options(a))}),
      a.target(), &methods};
}

}  // namespace

const Methods kPatchModel = {{"", call_model},
                             {"set_grid_patching", set_grid_patching},
                             {"set_random_patching", set_random_patching}};

PatchingRef patching_of(const Object& object) { return object.as<PatchingRef>(); }

void add_guidance(Functions& t) {
  t["GridPatching2D"] = grid_patching;
  t["RandomPatching2D"] = random_patching;
  t["ModelConsistencyDPSGuidance"] = model_consistency;
  t["DataConsistencyDPSGuidance"] = data_consistency;
  t["DPSScorePredictor"] = score_predictor;
  t["MultiDiffusionPredictor"] = patch_predictor;
  t["MultiDiffusionModelConsistencyDPSGuidance"] = patch_model_consistency;
  t["MultiDiffusionDataConsistencyDPSGuidance"] = patch_data_consistency;
  t["MultiDiffusionDPSScorePredictor"] = patch_score_predictor;
  t["MultiDiffusionMSEDSMLoss"] = make_patch_loss<diffusion::MultiDiffusionMSEDSMLoss>;
  t["MultiDiffusionWeightedMSEDSMLoss"] =
      make_patch_loss<diffusion::MultiDiffusionWeightedMSEDSMLoss>;
}

}  // namespace brume::conformance
