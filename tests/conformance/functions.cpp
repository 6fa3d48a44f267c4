#include "tests/conformance/functions.h"

#include <algorithm>

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
    add_diffusion(t);
    add_legacy(t);
    return t;
  }();
  return table;
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
