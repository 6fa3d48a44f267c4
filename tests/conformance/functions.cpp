#include "tests/conformance/functions.h"

#include <algorithm>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::conformance {

const Functions& functions() {
  static const Functions table = [] {
    Functions t;
    add_arithmetic(t);
    add_elementwise(t);
    add_reductions(t);
    add_shapes(t);
    add_indexing(t);
    add_products(t);
    add_norms(t);
    add_losses(t);
    add_transforms(t);
    add_resampling(t);
    add_diffusion(t);
    add_guidance(t);
    add_legacy(t);
    return t;
  }();
  return table;
}

namespace {

using Formula = Tensor (*)(const Tensors& x);
const std::map<std::string, Formula, std::less<>> kFormulas = {
    {"identity", [](const Tensors& x) { return x.at(0); }},
    {"square", [](const Tensors& x) { return square(x.at(0)); }},
    {"tanh", [](const Tensors& x) { return tanh(x.at(0)); }},
    {"first_channel", [](const Tensors& x) { return slice(x.at(0), 1, 0, 1); }},
    {"first_channel_square", [](const Tensors& x) { return square(slice(x.at(0), 1, 0, 1)); }},
    {"channel_mean", [](const Tensors& x) { return mean(x.at(0), 1, keep_axis); }},
    {"avg_pool2",
     [](const Tensors& x) {
       const Shape& s = x.at(0).shape();
       return mean(reshape(x.at(0), {s[0], s[1], s[2] / 2, 2, s[3] / 2, 2}), {3, 5});
     }},
    {"huber_like", [](const Tensors& x) { return sqrt(square(x.at(0) - x.at(1)) + 0.25) - 0.5; }},
};
Value call_formula(const Object& self, Arguments& a) {
  Tensors x;
  for (const auto& [name, value] : a.take_rest()) x.push_back(value.array(name).tensor);
  return self.as<Formula>()(x);
}
const Methods kFormula = {{"", call_formula}};

}  // namespace

Value named_function(const std::string& name) {
  const auto found = kFormulas.find(name);
  check<Error>(found != kFormulas.end(), "unknown function ", name);
  return Object{found->second, name, &kFormula};
}

Tensor cast(const Tensor& x, DType dtype) {
  return is_floating(x.dtype()) && is_floating(dtype) ? to(x, dtype) : convert(x, dtype);
}
Tensor floating(const Tensor& x) { return is_floating(x.dtype()) ? x : convert(x, DType::f32); }

DType promoted(DType a, DType b) {
  if (a == b) return a;
  if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
  if (is_floating(a)) {  // bf16 and f16 meet in f32
    if (a == DType::f64 || b == DType::f64) return DType::f64;
    return DType::f32;
  }
  const auto width = [](DType t) { return t == DType::boolean ? 0 : item_size(t); };
  return width(a) > width(b) ? a : b;
}

Tensor move_axis(const Tensor& x, int64_t from, int64_t to) {
  std::vector<int64_t> axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  const int source = wrap_axis(from, x.rank(), "move_axis");
  axes.erase(axes.begin() + source);
  axes.insert(axes.begin() + wrap_axis(to, x.rank(), "move_axis"), source);
  return permute(x, Dims(axes));
}

Tensor real(const Array& x) { return x.complex ? select(x.tensor, -1, 0) : x.tensor; }
Tensor imaginary(const Array& x) { return x.complex ? select(x.tensor, -1, 1) : Tensor(); }
Value make_complex(const Tensor& real_part, const Tensor& imaginary_part) {
  return Array{stack({real_part, imaginary_part}, -1), true};
}

}  // namespace brume::conformance
