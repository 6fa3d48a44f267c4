#include <brume/nn/optim/ema.h>

#include <algorithm>

#include <brume/autograd/mode.h>
#include <brume/core/backend.h>

namespace brume::nn {
namespace {

Tensor copy_of(const Tensor& x) {
  Tensor y = empty_like(x);
  copy_(y, x);
  return y;
}

}  // namespace

Ema::Ema(const NamedTensors& parameters, double decay, bool warmup)
    : decay_(decay), warmup_(warmup) {
  check(decay >= 0 && decay <= 1, "Ema: the decay lies in [0, 1], got ", decay);
  const NoGrad no_grad;
  for (const auto& [name, value] : parameters) {
    check(value.is_dense(), "Ema: '", name, "' has gaps in memory, strides ", value.strides());
    index_[&value.impl()] = entries_.size();
    entries_.push_back({name, value, copy_of(value)});
  }
}

Ema::Ema(const Module& module, double decay, bool warmup)
    : Ema(module.parameters(), decay, warmup) {}

void Ema::update() { Pass(this).finish(); }

Ema::Pass::Pass(Ema* ema) : ema_(ema) {
  if (!ema_) return;
  check<Error>(!ema_->swapped_, "Ema: update between swap_in and swap_out");
  ema_->check_layouts();
  const auto i = static_cast<double>(ema_->updates_);
  decay_ = ema_->warmup_ ? std::min(ema_->decay_, (1 + i) / (10 + i)) : ema_->decay_;
  taken_.resize(ema_->entries_.size());
}

Tensor Ema::Pass::take(const Tensor& parameter) {
  if (!ema_) return {};
  const auto found = ema_->index_.find(&parameter.impl());
  if (found == ema_->index_.end()) return {};
  taken_[found->second] = true;
  return ema_->entries_[found->second].average;
}

void Ema::Pass::finish() {
  if (!ema_) return;
  std::vector<AverageEntry> rest;
  for (size_t i = 0; i < taken_.size(); ++i) {
    const Entry& e = ema_->entries_[i];
    if (taken_[i]) continue;
    rest.push_back({.average = e.average.view(), .param = e.parameter.view()});
    e.average.impl().storage->bump_version();
  }
  if (!rest.empty()) kernels(ema_->entries_[0].average).optim.average(rest, decay_);
  ++ema_->updates_;
}

// The kernels walk a parameter and its average as two runs of memory of one type.
void Ema::check_layouts() const {
  for (const Entry& e : entries_)
    check<Error>(e.average.dtype() == e.parameter.dtype() &&
                     e.average.device() == e.parameter.device() &&
                     e.average.strides() == e.parameter.strides(),
                 "Ema: '", e.name, "' is ", e.parameter.dtype(), " on ", e.parameter.device(),
                 " with strides ", e.parameter.strides(), " and its average is ", e.average.dtype(),
                 " on ", e.average.device(), " with strides ", e.average.strides(),
                 "; move or convert a module before its Ema is made");
}

void Ema::exchange() {
  check_layouts();
  const NoGrad no_grad;
  for (const Entry& e : entries_) {
    const Tensor value = copy_of(e.parameter);
    copy_(e.parameter, e.average);
    copy_(e.average, value);
  }
  swapped_ = !swapped_;
}

void Ema::swap_in() {
  check<Error>(!swapped_, "Ema: swap_in twice");
  exchange();
}

void Ema::swap_out() {
  check<Error>(swapped_, "Ema: swap_out without swap_in");
  exchange();
}

NamedTensors Ema::averages() const {
  NamedTensors out;
  for (const Entry& e : entries_) out.push_back({e.name, e.average});
  return out;
}

std::vector<Tensor> Ema::matched(const NamedTensors& averages) const {
  check<Error>(!swapped_, "Ema: load between swap_in and swap_out");
  std::unordered_map<std::string, Tensor> given;
  for (const auto& [name, value] : averages) given[name] = value;
  std::vector<Tensor> out;
  for (const Entry& e : entries_) {
    const auto found = given.find(e.name);
    check<Error>(found != given.end(), "Ema: no average for '", e.name, "'");
    check(found->second.shape() == e.average.shape(), "Ema: the average of '", e.name, "' is ",
          found->second.shape(), ", wanted ", e.average.shape());
    out.push_back(found->second);
    given.erase(found);
  }
  check<Error>(given.empty(), "Ema: there is no parameter '",
               given.empty() ? "" : given.begin()->first, "' of which an average is given");
  return out;
}

void Ema::check_load(const NamedTensors& averages) const { (void)matched(averages); }

void Ema::load(const NamedTensors& averages, int64_t updates) {
  const std::vector<Tensor> values = matched(averages);
  const NoGrad no_grad;
  for (size_t i = 0; i < values.size(); ++i) copy_(entries_[i].average, values[i]);
  updates_ = updates;
}

}  // namespace brume::nn
