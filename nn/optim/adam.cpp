#include <brume/nn/optim/adam.h>

#include <brume/core/backend.h>

namespace brume::nn {
namespace {

void check_options(const AdamOptions& o) {
  check_option("Adam: lr", o.lr);
  for (double beta : o.betas)
    check(beta >= 0 && beta < 1, "Adam: betas lie in [0, 1), got ", o.betas[0], " and ",
          o.betas[1]);
  check_option("Adam: eps", o.eps);
  check_option("Adam: weight_decay", o.weight_decay);
}

enum Slot : size_t { exp_avg, exp_avg_sq, max_exp_avg_sq };

AdamOptions as_adam(const AdamWOptions& o) {
  return {.lr = o.lr,
          .betas = o.betas,
          .eps = o.eps,
          .weight_decay = o.weight_decay,
          .amsgrad = o.amsgrad,
          .maximize = o.maximize,
          .decoupled_weight_decay = true};
}

}  // namespace

Adam::Adam(const NamedTensors& parameters, const AdamOptions& options)
    : Optimizer({"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}) {
  add_group(parameters, options);
}

void Adam::add_group(const NamedTensors& parameters, const AdamOptions& options) {
  check_options(options);
  add_parameters(parameters, options.lr);
  options_.push_back(options);
}

size_t Adam::used_slots(size_t group) const { return options_[group].amsgrad ? 3 : 2; }

void Adam::update(size_t group, std::span<Update> updates, const Scales& scales) {
  const AdamOptions& o = options_[group];
  std::vector<AdamEntry> list;
  list.reserve(updates.size());
  for (Update& u : updates) {
    Parameter& p = u.parameter;
    for (size_t i = 0; i < used_slots(group); ++i)
      if (!p.slots[i].defined()) p.slots[i] = zeros_like(p.value);
    list.push_back({.param = p.value.view(),
                    .grad = u.grad.view(),
                    .exp_avg = p.slots[exp_avg].view(),
                    .exp_avg_sq = p.slots[exp_avg_sq].view(),
                    .max_exp_avg_sq = o.amsgrad ? p.slots[max_exp_avg_sq].view() : View{},
                    .average = u.average.defined() ? u.average.view() : View{},
                    .step = p.steps});
  }
  kernels(updates[0].grad)
      .optim.adam(list, {.lr = lr(group),
                         .beta1 = o.betas[0],
                         .beta2 = o.betas[1],
                         .eps = o.eps,
                         .weight_decay = o.weight_decay,
                         .decoupled = o.decoupled_weight_decay,
                         .maximize = o.maximize,
                         .grad_scale = scales.grad,
                         .grad_factor = scales.grad_factor,
                         .average_decay = scales.average_decay});
}

AdamW::AdamW(const NamedTensors& parameters, const AdamWOptions& options)
    : Adam(parameters, as_adam(options)) {}

void AdamW::add_group(const NamedTensors& parameters, const AdamWOptions& options) {
  Adam::add_group(parameters, as_adam(options));
}

}  // namespace brume::nn
