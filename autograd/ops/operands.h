#pragma once
// What operations ask of their operands.

#include <string_view>

#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/core/recording.h>
#include <brume/core/tensor.h>

namespace brume {

/// @throws DTypeError naming `op` unless y, called `name`, has x's dtype
inline void check_same_dtype(std::string_view op, const Tensor& x, const char* name,
                             const Tensor& y) {
  check<DTypeError>(x.dtype() == y.dtype(), op, ": x is ", x.dtype(), ", but ", name, " is ",
                    y.dtype(), "; convert one with to()");
}
/// @throws DeviceError naming `op` unless y, called `name`, is where x is
inline void check_same_device(std::string_view op, const Tensor& x, const char* name,
                              const Tensor& y) {
  check<DeviceError>(x.device() == y.device(), op, ": x is on ", x.device(), ", but ", name,
                     " is on ", y.device());
}
/// The index, in which each number lies in [0, limit). While a captured step is recorded nobody can
/// look: there, and in its replays, the device puts 0 where one does not, and the host throws the
/// same error where it next waits for the device.
/// @throws DTypeError naming `op` unless the index is i64; ShapeError if one is outside
inline Tensor checked_index(const char* op, const Tensor& index, int64_t limit) {
  check<DTypeError>(index.dtype() == DType::i64, op, ": wants an index of i64, got ",
                    index.dtype());
  if (index.numel() == 0) return index;
  const Tensor lines = index.rank() == 0 ? alias(index, {1}, {1}) : index;
  const IndexKernels& kernel = kernels(index).index;
  if (!Recording::current() || !kernel.confine_indices) {
    kernel.check_indices(op, limit, lines.view());
    return index;
  }
  const Tensor confined = empty(lines.shape(), {.dtype = DType::i64, .device = index.device()});
  kernel.confine_indices(op, limit, lines.view(), confined.view());
  return index.rank() == 0 ? alias(confined, {}, {}) : confined;
}

}  // namespace brume
