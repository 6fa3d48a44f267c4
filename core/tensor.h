#pragma once
// The tensor: a handle to storage, dtype, shape and strides. Copying a handle is cheap and means
// the same tensor. Operations live in autograd/ops; here is what needs no gradient.

#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <brume/core/device.h>
#include <brume/core/dtype.h>
#include <brume/core/ref_counted.h>
#include <brume/core/shape.h>
#include <brume/core/storage.h>
#include <brume/core/view.h>

namespace brume {

struct Backend;

/// What autograd hangs on a tensor; core only destroys it and asks before a write.
struct GradRecord {
  virtual ~GradRecord() = default;
  /// Whether a write would change a value that gradients depend on.
  virtual bool refuses_write() const = 0;
};

struct TensorImpl : RefCounted {
  Counted<Storage> storage;
  DType dtype = DType::f32;
  int64_t offset = 0;  // elements
  int64_t numel = 0;
  Shape shape;
  Strides strides;
  std::unique_ptr<GradRecord> grad;
};

class Tensor {
 public:
  /// No tensor: defined() is false.
  Tensor() = default;
  explicit Tensor(Counted<TensorImpl> impl) : impl_(std::move(impl)) {}

  bool defined() const { return static_cast<bool>(impl_); }
  const Shape& shape() const { return impl().shape; }
  const Strides& strides() const { return impl().strides; }
  int rank() const { return impl().shape.rank(); }
  /// Size along an axis; negative axes count from the end.
  int64_t size(int64_t axis) const { return shape()[wrap_axis(axis, rank(), "size")]; }
  int64_t numel() const { return impl().numel; }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().storage->device(); }
  bool is_row_major() const { return brume::is_row_major(shape(), strides()); }
  bool is_channels_last() const { return brume::is_channels_last(shape(), strides()); }
  bool is_dense() const { return brume::is_dense(shape(), strides()); }

  /// First element, on the tensor's device.
  void* data() const {
    return static_cast<std::byte*>(impl().storage->data()) + impl().offset * item_size(dtype());
  }
  View view() const { return {data(), dtype(), shape(), strides()}; }

  /// The elements in memory, for reading or (if writable) writing.
  /// @throws DTypeError, DeviceError, or ShapeError if T differs, it is not on the CPU, or not
  ///         row-major; relayout() makes it so
  template <class T>
  std::span<T> host() const {
    check_host(dtype_of<std::remove_const_t<T>>);
    return {static_cast<T*>(data()), static_cast<size_t>(numel())};
  }
  /// The value of a tensor with one element, converted.
  double item() const;
  /// All elements in logical (row-major) order, converted to T, from any device and layout.
  template <class T>
  std::vector<T> to_vector() const;

  /// Raised by every write into the storage.
  uint32_t version() const { return impl().storage->version(); }

  TensorImpl& impl() const {
    if (!impl_) [[unlikely]]
      throw_empty();
    return *impl_;
  }
  const Counted<TensorImpl>& handle() const { return impl_; }

 private:
  [[noreturn]] static void throw_empty();
  void check_host(DType wanted) const;
  Counted<TensorImpl> impl_;
};

struct TensorOptions {
  DType dtype = DType::f32;
  Device device = kCpu;
  Layout layout = Layout::row_major;
};

Tensor empty(const Shape& shape, TensorOptions options = {});
Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor full(const Shape& shape, double value, TensorOptions options = {});
/// Same shape, dtype, device and memory order of the axes.
Tensor empty_like(const Tensor& x);
Tensor empty_like(const Tensor& x, DType dtype);
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
/// A rank-0 tensor.
Tensor scalar(double value, TensorOptions options = {});
/// start, start + step, ... (count elements), computed in f64 and rounded.
Tensor arange(double start, int64_t count, double step = 1, TensorOptions options = {});
/// Copies `values` (row-major) into a new tensor of T's dtype; bytes for bool.
template <class T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device = kCpu);
template <class T>
Tensor from_vector(const std::vector<T>& values, const Shape& shape, Device device = kCpu) {
  return from_span(std::span<const T>(values), shape, device);
}
/// Row-major memory of others, without a copy; `release` runs when the last handle goes.
Tensor from_memory(void* data, const Shape& shape, DType dtype, std::function<void()> release,
                   Device device = kCpu);

/// Another reading of the same storage: no copy, no gradient. `offset` counts from x's first
/// element. @throws ShapeError if it would leave the storage
Tensor alias(const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset = 0);

/// Same values on another device or in another dtype, without a gradient; `x` itself if nothing
/// changes. Floats become integers by to_integer() of core/integers.h.
Tensor convert(const Tensor& x, DType dtype);
Tensor transfer(const Tensor& x, Device device);
/// A row-major (or channels-last) tensor of the same values, without a gradient; `x` itself if it
/// is one.
Tensor relayout(const Tensor& x, Layout layout);

// The writers. Each raises the storage's version and refuses a tensor that gradients depend on
// (GradError names `who`).
void check_writable(const Tensor& x, const char* who);
/// x = value. @throws DTypeError, as full() does, if it is beyond an integer dtype's range
void fill_(const Tensor& x, double value);
/// x = y, converted; y broadcasts to x's shape and may be on another device.
void copy_(const Tensor& x, const Tensor& y);

/// The kernels of x's device.
const Backend& kernels(const Tensor& x);

std::string to_string(const Tensor& x);  // values, shape and dtype; long axes abridged
std::ostream& operator<<(std::ostream& out, const Tensor& x);
std::ostream& operator<<(std::ostream& out, DType dtype);
std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace brume
