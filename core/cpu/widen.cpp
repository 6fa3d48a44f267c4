#include <brume/core/cpu/widen.h>

#include <brume/core/cpu/cpu_kernels.h>

namespace brume::cpu {

View Widened::array_like(const View& x) {
  return {.data = scratch_.take<float>(numel(x.shape)),
          .dtype = DType::f32,
          .shape = x.shape,
          .strides = dense_strides_like(x.shape, x.strides)};
}

View Widened::in(const View& x) {
  if (!x || !is_half(x.dtype)) return x;
  View once = x;  // what repeats is copied once
  for (int i = 0; i < x.rank(); ++i)
    if (x.stride(i) == 0) once.shape[i] = 1;
  View wide = array_like(once);
  cpu_pointwise.copy(once, wide);
  for (int i = 0; i < x.rank(); ++i)
    if (x.stride(i) == 0) wide.strides[i] = 0;
  wide.shape = x.shape;
  return wide;
}

View Widened::out(const View& y) {
  if (!y || !is_half(y.dtype)) return y;
  check<Error>(results_ < kResults, "widen: more than ", kResults, " results");
  narrow_[results_] = y;
  wide_[results_] = array_like(y);
  return wide_[results_++];
}

void Widened::finish() const {
  for (int i = 0; i < results_; ++i) cpu_pointwise.copy(wide_[i], narrow_[i]);
}

}  // namespace brume::cpu
