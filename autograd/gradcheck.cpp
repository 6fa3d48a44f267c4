#include <brume/autograd/gradcheck.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/backward.h>

namespace brume {
namespace {

using Function = std::function<Tensors(const Tensors&)>;

Tensor leaf(const std::vector<double>& values, const Tensor& like) {
  return set_requires_grad(transfer(from_vector(values, like.shape()), like.device()));
}

// Fixed numbers in [-1, 1] without pattern: multiples of the golden ratio, folded.
Tensor projection(const Tensor& y, size_t result) {
  std::vector<double> values(static_cast<size_t>(y.numel()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 2 * std::fmod(0.6180339887498949 * static_cast<double>(7 * result + i + 1), 1) - 1;
  return transfer(from_vector(values, y.shape()), y.device());
}

bool is_checked(const Tensor& x) { return x.defined() && requires_grad(x); }

double projected(const Tensors& results) {
  double sum = 0;
  for (size_t k = 0; k < results.size(); ++k) {
    if (!results[k].defined() || results[k].dtype() != DType::f64) continue;
    const auto y = results[k].to_vector<double>();
    const auto c = projection(results[k], k).to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * c[i];
  }
  return sum;
}

// Gradients of the projection as recorded; undefined where the results do not depend on an input.
Tensors recorded_gradients(const Function& f, const Tensors& inputs, const Tensors& wanted) {
  Tensors outputs, cotangents;
  const Tensors results = f(inputs);
  for (size_t k = 0; k < results.size(); ++k) {
    if (!is_checked(results[k])) continue;
    outputs.push_back(results[k]);
    cotangents.push_back(projection(results[k], k));
  }
  return outputs.empty() ? Tensors(wanted.size()) : grad(outputs, wanted, cotangents);
}

// Of `count` elements, those that are moved: all, or every so many-th.
std::vector<size_t> moved_elements(int64_t count, int64_t most) {
  std::vector<size_t> moved;
  const int64_t n = std::min(count, most);
  for (int64_t k = 0; k < n; ++k) moved.push_back(static_cast<size_t>(k * count / n));
  return moved;
}

std::vector<double> finite_differences(const Function& f, Tensors inputs, size_t which,
                                       const std::vector<size_t>& moved, double step) {
  const Tensor original = inputs[which];
  std::vector<double> values = original.to_vector<double>(), slopes;
  const auto at = [&](size_t i, double value) {
    values[i] = value;
    inputs[which] = leaf(values, original);
    return projected(f(inputs));
  };
  for (size_t i : moved) {
    const double x = values[i];
    slopes.push_back((at(i, x + step) - at(i, x - step)) / (2 * step));
    values[i] = x;
  }
  return slopes;
}

void compare(const Function& f, const Tensors& leaves, size_t input, const Tensor& gradient,
             const GradcheckOptions& options, GradcheckResult& result) {
  const std::vector<size_t> moved = moved_elements(leaves[input].numel(), options.elements);
  const std::vector<double> slopes = finite_differences(f, leaves, input, moved, options.step);
  const auto g = gradient.defined()
                     ? gradient.to_vector<double>()
                     : std::vector<double>(static_cast<size_t>(leaves[input].numel()));
  double scale = 1;
  for (double slope : slopes)
    if (std::isfinite(slope)) scale = std::max(scale, std::abs(slope));
  for (size_t k = 0; k < moved.size(); ++k) {
    const double error = std::abs(g[moved[k]] - slopes[k]) / scale;
    if (error > result.error) result.error = error;
    if (!(error <= options.tolerance) && result.text.empty())
      result.text = cat("gradient of input ", input, " at element ", moved[k], " is ", g[moved[k]],
                        ", finite differences say ", slopes[k]);
  }
}

// The gradient as a function of the inputs and of the cotangents, itself open to checking.
GradcheckResult check_gradient_of_gradient(const Function& f, const Tensors& inputs,
                                           GradcheckOptions options) {
  Tensors extended = inputs;
  std::vector<size_t> floating;
  const Tensors results = f(inputs);
  for (size_t k = 0; k < results.size(); ++k) {
    if (!is_checked(results[k])) continue;
    floating.push_back(k);
    extended.push_back(leaf(projection(results[k], k).to_vector<double>(), results[k]));
  }
  const auto gradient = [&](const Tensors& in) {
    const Tensors y = f(Tensors(in.begin(), in.begin() + static_cast<int64_t>(inputs.size())));
    Tensors outputs, wanted;
    for (size_t k : floating) outputs.push_back(y[k]);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (is_checked(in[i])) wanted.push_back(in[i]);
    const Tensors cotangents(in.begin() + static_cast<int64_t>(inputs.size()), in.end());
    return grad(outputs, wanted, cotangents, {.create_graph = true});
  };
  options.second_order = false;
  GradcheckResult result = gradcheck(gradient, extended, options);
  if (!result.text.empty()) result.text = "second order: " + result.text;
  return result;
}

}  // namespace

GradcheckResult gradcheck(const Function& f, const Tensors& inputs,
                          const GradcheckOptions& options) {
  Tensors leaves = inputs, wanted;
  for (Tensor& x : leaves) {
    if (!is_checked(x)) continue;
    check<DTypeError>(x.dtype() == DType::f64, "gradcheck: takes f64 inputs, got ", x.dtype(),
                      "; use to(x, DType::f64)");
    x = leaf(x.to_vector<double>(), x);
    wanted.push_back(x);
  }
  check<GradError>(!wanted.empty(),
                   "gradcheck: no input requires a gradient, so nothing would be checked; use "
                   "set_requires_grad(x)");
  GradcheckResult result;
  const Tensors gradients = recorded_gradients(f, leaves, wanted);
  for (size_t i = 0, k = 0; i < leaves.size(); ++i)
    if (is_checked(leaves[i])) compare(f, leaves, i, gradients[k++], options, result);
  if (!options.second_order || !result) return result;
  const GradcheckResult second = check_gradient_of_gradient(f, leaves, options);
  result.error = std::max(result.error, second.error);
  result.text = second.text;
  return result;
}

}  // namespace brume
