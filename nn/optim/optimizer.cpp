#include <brume/nn/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include <brume/autograd/node.h>
#include <brume/core/backend.h>
#include <brume/core/recording.h>
#include <brume/nn/optim/clip.h>
#include <brume/nn/optim/ema.h>

namespace brume::nn {
namespace {

// Up to 2^53 a step counts exactly as a double, and can be counted on from.
void check_steps_taken(const std::string& key, const Tensor& value) {
  check<FormatError>(value.dtype() == DType::i64, "the optimizer's state: '", key, "' is ",
                     value.dtype(), ", wanted i64");
  const int64_t steps = value.to_vector<int64_t>()[0];
  check<FormatError>(steps >= 0 && steps <= int64_t{1} << 53, "the optimizer's state: '", key,
                     "' must be from 0 to 2^53, got ", steps);
}

double most_norm(const StepOptions& options) {
  return options.clip_norm > 0 ? options.clip_norm : std::numeric_limits<double>::infinity();
}

}  // namespace

void check_option(const char* name, double value) {
  check(std::isfinite(value) && value >= 0, name, " must be finite and not negative, got ", value);
}

size_t Optimizer::add_parameters(const NamedTensors& parameters, double lr) {
  std::unordered_set<std::string> names;
  std::unordered_map<const void*, std::string> name_of;  // by the tensor
  for (const Parameter& p : parameters_) {
    names.insert(p.name);
    name_of.emplace(&p.value.impl(), p.name);
  }
  std::vector<Parameter> added;
  for (const auto& [name, value] : parameters) {
    check<Error>(names.insert(name).second, "optimizer: the parameter '", name,
                 "' is given more than once");
    const auto [known, is_new] = name_of.emplace(&value.impl(), name);
    check<Error>(is_new, "optimizer: '", known->second, "' and '", name,
                 "' are one tensor, which would be stepped twice; give it once");
    check<DTypeError>(value.dtype() == DType::f32 || value.dtype() == DType::f64,
                      "optimizer: takes f32 and f64, but '", name, "' is ", value.dtype());
    check(value.is_dense(), "optimizer: '", name, "' has gaps in memory, strides ",
          value.strides());
    added.push_back({.name = name,
                     .value = value,
                     .group = groups(),
                     .slots = std::vector<Tensor>(slot_names_.size())});
  }
  parameters_.insert(parameters_.end(), added.begin(), added.end());
  lr_.push_back(lr);
  return groups() - 1;
}

void Optimizer::zero_grad() {
  for (const Parameter& p : parameters_) set_grad(p.value, {});
}

void Optimizer::check_group(size_t group) const {
  check<Error>(group < groups(), "optimizer: there is no group ", group, "; it has ", groups());
}

double Optimizer::lr(size_t group) const {
  check_group(group);
  return lr_[group];
}

void Optimizer::set_lr(double lr) {
  check_option("set_lr: lr", lr);
  std::fill(lr_.begin(), lr_.end(), lr);
}

void Optimizer::set_lr(size_t group, double lr) {
  check_group(group);
  check_option("set_lr: lr", lr);
  lr_[group] = lr;
}

std::vector<Optimizer::Update> Optimizer::pending_updates() {
  std::vector<Update> updates;
  updates.reserve(parameters_.size());
  for (Parameter& p : parameters_) {
    Tensor g = grad_of(p.value);
    if (!g.defined()) continue;
    for (const Tensor& slot : p.slots)
      check<Error>(!slot.defined() ||
                       (slot.dtype() == p.value.dtype() && slot.device() == p.value.device() &&
                        slot.strides() == p.value.strides()),
                   "step: '", p.name, "' is ", p.value.dtype(), " on ", p.value.device(),
                   " with strides ", p.value.strides(),
                   " and its optimizer state is not; move a module before its first step");
    if (g.strides() != p.value.strides() || g.dtype() != p.value.dtype()) {
      Tensor copy = empty_like(p.value);
      copy_(copy, g);
      g = copy;
    }
    updates.push_back({.parameter = p, .grad = g, .average = {}});
  }
  return updates;
}

Tensor Optimizer::sums_of_squares(std::span<const Update> updates) {
  std::vector<View> grads;
  for (const Update& u : updates) grads.push_back(u.grad.view());
  return detail::sums_of_squares(grads, updates[0].grad.device());
}

double Optimizer::checked_norm(std::span<const Update> updates, bool skip_nonfinite) {
  const std::vector<double> squares = sums_of_squares(updates).to_vector<double>();
  double total = 0;
  for (size_t i = 0; i < squares.size(); ++i) {
    check<GradError>(std::isfinite(squares[i]) || skip_nonfinite, "step: the gradient of '",
                     updates[i].parameter.name,
                     "', or the sum of its squares, is not finite; no parameter was changed. Lower "
                     "the learning rate or clip the norm");
    total += squares[i];
  }
  check<GradError>(std::isfinite(total) || skip_nonfinite,
                   "step: the sum of all gradients' squares is above the largest f64; no parameter "
                   "was changed. Scale the loss down");
  return std::sqrt(total);
}

double Optimizer::step(const StepOptions& options) {
  refuse_in_captured_step("step", "the norm is returned to the host; use step_on_device");
  const NoGrad no_grad;
  check(options.clip_norm >= 0, "step: clip_norm must not be negative, got ", options.clip_norm);
  std::vector<Update> updates = pending_updates();
  const double norm = updates.empty() ? 0 : checked_norm(updates, options.skip_nonfinite);
  if (std::isfinite(norm))
    apply(updates, {.grad = clip_factor(norm, most_norm(options))}, options.ema);
  return norm;
}

Tensor Optimizer::step_on_device(const StepOptions& options) {
  const NoGrad no_grad;
  check(options.clip_norm >= 0, "step: clip_norm must not be negative, got ", options.clip_norm);
  std::vector<Update> updates = pending_updates();
  const Device device = updates.empty() ? kCpu : updates[0].grad.device();
  const Tensor norm = zeros({}, {.dtype = DType::f64, .device = device});
  const Tensor factor = ones({}, {.dtype = DType::f64, .device = device});
  if (!updates.empty())
    kernels(norm).optim.grad_norm(sums_of_squares(updates).view(), most_norm(options), norm.view(),
                                  factor.view());
  repeat_in_captured_step([this, updates, factor, ema = options.ema]() mutable {
    const NoGrad still;
    apply(updates, {.grad_factor = factor.view()}, ema);
  });
  return norm;
}

void Optimizer::apply(std::span<Update> updates, Scales scales, Ema* ema) {
  Ema::Pass average(ema);
  scales.average_decay = average.decay();
  for (Update& u : updates) {
    ++u.parameter.steps;
    u.average = average.take(u.parameter.value);
  }
  for (auto first = updates.begin(); first != updates.end();) {  // groups follow each other
    const size_t group = first->parameter.group;
    const auto last = std::find_if(first, updates.end(),
                                   [&](const Update& u) { return u.parameter.group != group; });
    update(group, std::span(first, last), scales);
    first = last;
  }
  for (const Update& u : updates) {
    u.parameter.value.impl().storage->bump_version();
    if (u.average.defined()) u.average.impl().storage->bump_version();
  }
  average.finish();
}

std::string Optimizer::key_of(const Parameter& p, size_t slot) const {
  return cat("state.", p.name, ".", slot < slot_names_.size() ? slot_names_[slot] : "step");
}

NamedTensors Optimizer::state() const {
  NamedTensors out;
  for (const Parameter& p : parameters_) {
    if (p.steps == 0) continue;
    for (size_t i = 0; i < slot_names_.size(); ++i)
      if (p.slots[i].defined()) out.push_back({key_of(p, i), p.slots[i]});
    out.push_back({key_of(p, slot_names_.size()),
                   scalar(static_cast<double>(p.steps), {.dtype = DType::i64})});
  }
  return out;
}

void Optimizer::check_complete(const std::vector<Place>& places) const {
  std::vector<std::vector<bool>> given(parameters_.size());
  for (const Place& place : places) {
    given[place.parameter].resize(slot_names_.size() + 1);
    given[place.parameter][place.slot] = true;
  }
  for (size_t p = 0; p < given.size(); ++p)
    for (size_t i = 0; i < given[p].size(); ++i)
      check<FormatError>(
          given[p][i] || (i >= used_slots(parameters_[p].group) && i < slot_names_.size()),
          "the optimizer's state: '", key_of(parameters_[p], i),
          "' is missing beside the parameter's others");
}

std::vector<Optimizer::Place> Optimizer::places_of(const NamedTensors& saved) const {
  std::unordered_map<std::string, Place> places;
  for (size_t p = 0; p < parameters_.size(); ++p)
    for (size_t i = 0; i <= slot_names_.size(); ++i) places[key_of(parameters_[p], i)] = {p, i};
  std::vector<Place> out;
  for (const auto& [key, value] : saved) {
    const auto found = places.find(key);
    check<FormatError>(found != places.end(), "the optimizer's state: '", key,
                       "' belongs to no parameter of this optimizer");
    const Place& place = found->second;
    const bool is_step = place.slot == slot_names_.size();
    const Shape wanted = is_step ? Shape{} : parameters_[place.parameter].value.shape();
    check(value.shape() == wanted, "the optimizer's state: '", key, "' is ", value.shape(),
          ", wanted ", wanted);
    if (is_step) check_steps_taken(key, value);
    out.push_back(place);
  }
  check_complete(out);
  return out;
}

void Optimizer::check_load_state(const NamedTensors& saved) const { (void)places_of(saved); }

void Optimizer::load_state(const NamedTensors& saved) {
  const NoGrad no_grad;
  const std::vector<Place> places = places_of(saved);
  std::vector<Parameter> loaded = parameters_;
  for (Parameter& p : loaded) {
    p.steps = 0;
    p.slots.assign(slot_names_.size(), {});
  }
  for (size_t i = 0; i < saved.size(); ++i) {
    Parameter& p = loaded[places[i].parameter];
    if (places[i].slot == slot_names_.size()) {
      p.steps = saved[i].tensor.to_vector<int64_t>()[0];
    } else {
      p.slots[places[i].slot] = empty_like(p.value);
      copy_(p.slots[places[i].slot], saved[i].tensor);
    }
  }
  parameters_ = std::move(loaded);
}

}  // namespace brume::nn
