#include <brume/nn/optim/clip.h>

#include <cmath>
#include <numeric>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/core/backend.h>

namespace brume::nn {
namespace {

std::vector<Tensor> gradients(const NamedTensors& parameters) {
  std::vector<Tensor> out;
  for (const auto& [name, value] : parameters)
    if (Tensor g = grad_of(value); g.defined()) out.push_back(std::move(g));
  return out;
}

double total_norm(const Tensor& sums) {
  const std::vector<double> squares = sums.to_vector<double>();
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

double joint_norm(const std::vector<Tensor>& grads, double p) {
  double total = 0;
  for (const Tensor& g : grads) {
    const double norm = vector_norm(g, p).item();
    if (std::isinf(p))
      total = std::isnan(norm) || norm > total ? norm : total;
    else
      total += std::pow(norm, p);
  }
  return std::isinf(p) ? total : std::pow(total, 1 / p);
}

}  // namespace

namespace detail {

Tensor sums_of_squares(std::span<const View> grads, Device device) {
  const Tensor sums =
      empty({static_cast<int64_t>(grads.size())}, {.dtype = DType::f64, .device = device});
  kernels(sums).optim.sums_of_squares(grads, sums.view());
  return sums;
}

}  // namespace detail

double clip_grad_norm(const NamedTensors& parameters, double max_norm, double p) {
  check(max_norm >= 0 && p > 0, "clip_grad_norm: wants max_norm >= 0 and p > 0, got ", max_norm,
        " and ", p);
  const NoGrad no_grad;
  const std::vector<Tensor> grads = gradients(parameters);
  if (grads.empty()) return 0;
  std::vector<View> views;
  views.reserve(grads.size());
  for (const Tensor& g : grads) views.push_back(g.view());
  const double norm =
      p == 2 ? total_norm(detail::sums_of_squares(views, grads[0].device())) : joint_norm(grads, p);
  const double factor = clip_factor(norm, max_norm);
  if (!std::isfinite(norm) || factor == 1) return norm;
  kernels(grads[0]).optim.scale(views, factor);
  for (const Tensor& g : grads) g.impl().storage->bump_version();
  return norm;
}

void clip_grad_value(const NamedTensors& parameters, double limit) {
  check(limit >= 0, "clip_grad_value: the limit must not be negative, got ", limit);
  const NoGrad no_grad;
  for (const auto& [name, value] : parameters)
    if (const Tensor g = grad_of(value); g.defined()) set_grad(value, clamp(g, -limit, limit));
}

}  // namespace brume::nn
