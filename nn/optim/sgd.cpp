#include <brume/nn/optim/sgd.h>

#include <cmath>

#include <brume/core/backend.h>

namespace brume::nn {

Sgd::Sgd(const NamedTensors& parameters, const SgdOptions& options)
    : Optimizer({"momentum_buffer"}) {
  add_group(parameters, options);
}

void Sgd::add_group(const NamedTensors& parameters, const SgdOptions& o) {
  check_option("Sgd: lr", o.lr);
  check_option("Sgd: momentum", o.momentum);
  check_option("Sgd: weight_decay", o.weight_decay);
  check(std::isfinite(o.dampening), "Sgd: dampening must be finite, got ", o.dampening);
  check(!o.nesterov || (o.momentum > 0 && o.dampening == 0),
        "Sgd: nesterov wants momentum and no dampening, got momentum ", o.momentum,
        " and dampening ", o.dampening);
  add_parameters(parameters, o.lr);
  options_.push_back(o);
}

size_t Sgd::used_slots(size_t group) const { return options_[group].momentum > 0 ? 1 : 0; }

void Sgd::update(size_t group, std::span<Update> updates, const Scales& scales) {
  const SgdOptions& o = options_[group];
  std::vector<SgdEntry> list;
  for (Update& u : updates) {
    Tensor& buffer = u.parameter.slots[0];
    const bool first = !buffer.defined();
    if (first && o.momentum > 0) buffer = empty_like(u.parameter.value);
    list.push_back({.param = u.parameter.value.view(),
                    .grad = u.grad.view(),
                    .momentum_buffer = o.momentum > 0 ? buffer.view() : View{},
                    .average = u.average.defined() ? u.average.view() : View{},
                    .first = first});
  }
  kernels(updates[0].grad)
      .optim.sgd(list, {.lr = lr(group),
                        .momentum = o.momentum,
                        .dampening = o.dampening,
                        .weight_decay = o.weight_decay,
                        .nesterov = o.nesterov,
                        .maximize = o.maximize,
                        .grad_scale = scales.grad,
                        .grad_factor = scales.grad_factor,
                        .average_decay = scales.average_decay});
}

}  // namespace brume::nn
