#include <brume/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ostream>

#include <brume/core/backend.h>
#include <brume/core/constant.h>
#include <brume/core/integers.h>
#include <brume/core/recording.h>

namespace brume {
namespace {

Counted<TensorImpl> make_impl(Counted<Storage> storage, DType dtype, int64_t offset,
                              const Shape& shape, const Strides& strides) {
  Counted<TensorImpl> impl(new TensorImpl);
  impl->storage = std::move(storage);
  impl->dtype = dtype;
  impl->offset = offset;
  impl->numel = numel(shape);
  impl->shape = shape;
  impl->strides = strides;
  return impl;
}

Tensor empty_strided(const Shape& shape, const Strides& strides, DType dtype, Device device) {
  const auto bytes = static_cast<size_t>(numel(shape) * item_size(dtype));
  return Tensor(make_impl(Counted(new Storage(bytes, device)), dtype, 0, shape, strides));
}

// Where the elements are, on the host, in x's own layout without gaps.
Tensor on_host(const Tensor& x) {
  return transfer(x.is_dense() ? x : relayout(x, Layout::row_major), kCpu);
}

void refuse_write(Device device, const char* op) {
  if (device.type != DeviceType::cpu)
    refuse_in_captured_step(op,
                            "the host's values would be those of the first time for ever; fill "
                            "a tensor of the device by copy_ between steps");
}

void check_held(DType dtype, double value, const char* op) {
  check<DTypeError>(holds(dtype, value), op, ": ", dtype, " cannot hold ", value);
}

void refuse_read(const Tensor& x, const char* op) {
  if (x.device().type != DeviceType::cpu)
    refuse_in_captured_step(op,
                            "the host would read the device; leave the value in a tensor and "
                            "read it between steps");
}

}  // namespace

void Tensor::throw_empty() { throw Error("tensor: this handle is empty"); }

void Tensor::check_host(DType wanted) const {
  check<DTypeError>(dtype() == wanted, "host: the tensor holds ", dtype(), ", asked for ", wanted);
  check<DeviceError>(device() == kCpu, "host: the tensor is on ", device(),
                     "; transfer it to the CPU first");
  check(is_row_major(), "host: a tensor of shape ", shape(), " and strides ", strides(),
        " is not row-major; use relayout or contiguous");
}

double Tensor::item() const {
  refuse_read(*this, "item");
  check(numel() == 1, "item: wants one element, the shape is ", shape());
  return to_vector<double>().front();
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  refuse_read(*this, "to_vector");
  const Tensor x = transfer(relayout(convert(*this, dtype_of<T>), Layout::row_major), kCpu);
  const T* first = static_cast<const T*>(x.data());
  return std::vector<T>(first, first + x.numel());
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;
template std::vector<bool> Tensor::to_vector() const;

Tensor empty(const Shape& shape, TensorOptions options) {
  return empty_strided(shape, dense_strides(shape, options.layout), options.dtype, options.device);
}

Tensor zeros(const Shape& shape, TensorOptions options) {
  Tensor x = empty(shape, options);
  kernels(x).memory.fill_bytes(x.data(), 0, static_cast<size_t>(x.numel() * item_size(x.dtype())));
  return x;
}

Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }

Tensor full(const Shape& shape, double value, TensorOptions options) {
  check_held(options.dtype, value, "full");
  Tensor x = empty(shape, options);
  kernels(x).pointwise.fill(value, x.view());
  return x;
}

Tensor empty_like(const Tensor& x) { return empty_like(x, x.dtype()); }

Tensor empty_like(const Tensor& x, DType dtype) {
  return empty_strided(x.shape(), dense_strides_like(x.shape(), x.strides()), dtype, x.device());
}

Tensor zeros_like(const Tensor& x) {
  Tensor y = empty_like(x);
  kernels(y).memory.fill_bytes(y.data(), 0, static_cast<size_t>(y.numel() * item_size(y.dtype())));
  return y;
}

Tensor ones_like(const Tensor& x) {
  Tensor y = empty_like(x);
  kernels(y).pointwise.fill(1, y.view());
  return y;
}

Tensor scalar(double value, TensorOptions options) { return full({}, value, options); }

Tensor arange(double start, int64_t count, double step, TensorOptions options) {
  check(count >= 0, "arange: count must not be negative, got ", count);
  std::vector<double> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = start + static_cast<double>(i) * step;
  return constant(convert(from_vector(values, {count}), options.dtype), options.device);
}

template <class T>
Tensor from_span(std::span<const T> values, const Shape& shape, Device device) {
  check(static_cast<int64_t>(values.size()) == numel(shape), "from_span: ", values.size(),
        " values do not fill a tensor of shape ", shape);
  Tensor x = empty(shape, {.dtype = dtype_of<T>, .device = device});
  refuse_write(device, "from_span");
  kernels(x).memory.from_host(x.data(), values.data(), values.size_bytes());
  return x;
}
template Tensor from_span(std::span<const float>, const Shape&, Device);
template Tensor from_span(std::span<const double>, const Shape&, Device);
template Tensor from_span(std::span<const bf16>, const Shape&, Device);
template Tensor from_span(std::span<const f16>, const Shape&, Device);
template Tensor from_span(std::span<const int32_t>, const Shape&, Device);
template Tensor from_span(std::span<const int64_t>, const Shape&, Device);
template Tensor from_span(std::span<const uint8_t>, const Shape&, Device);
template Tensor from_span(std::span<const bool>, const Shape&, Device);

Tensor from_memory(void* data, const Shape& shape, DType dtype, std::function<void()> release,
                   Device device) {
  const auto bytes = static_cast<size_t>(numel(shape) * item_size(dtype));
  return Tensor(make_impl(Counted(new Storage(data, bytes, device, std::move(release))), dtype, 0,
                          shape, dense_strides(shape)));
}

Tensor alias(const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset) {
  check(shape.rank() == strides.rank(), "alias: shape ", shape, " and strides ", strides,
        " differ in rank");
  int64_t first = 0;
  bool fits = !__builtin_add_overflow(x.impl().offset, offset, &first);
  int64_t lowest = first, highest = first;
  for (int i = 0; i < shape.rank(); ++i) {
    int64_t& end = strides[i] < 0 ? lowest : highest;
    int64_t way = 0;
    fits &= !__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &way);
    fits &= !__builtin_add_overflow(end, way, &end);
  }
  const auto capacity = static_cast<int64_t>(x.impl().storage->bytes()) / item_size(x.dtype());
  const bool any = numel(shape) > 0;
  check(!any || (fits && lowest >= 0 && highest < capacity), "alias: shape ", shape,
        " with strides ", strides, " at ", offset, " leaves a storage of ", capacity, " elements");
  return Tensor(
      make_impl(x.impl().storage, x.dtype(), any ? first : x.impl().offset, shape, strides));
}

Tensor convert(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y =
      empty_strided(x.shape(), dense_strides_like(x.shape(), x.strides()), dtype, x.device());
  kernels(x).pointwise.copy(x.view(), y.view());
  return y;
}

Tensor transfer(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  if (!x.is_dense()) return transfer(relayout(x, Layout::row_major), device);
  const Strides strides = dense_strides_like(x.shape(), x.strides());
  Tensor y = empty_strided(x.shape(), strides, x.dtype(), device);
  const auto bytes = static_cast<size_t>(x.numel() * item_size(x.dtype()));
  if (device.type == DeviceType::cpu) {
    refuse_read(x, "transfer");
    kernels(x).memory.to_host(y.data(), x.data(), bytes);
  } else if (x.device().type == DeviceType::cpu) {
    refuse_write(device, "transfer");
    kernels(y).memory.from_host(y.data(), x.data(), bytes);
  } else {
    return transfer(transfer(x, kCpu), device);
  }
  return y;
}

Tensor relayout(const Tensor& x, Layout layout) {
  const bool fits = layout == Layout::row_major ? x.is_row_major() : x.is_channels_last();
  if (fits) return x;
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .layout = layout});
  kernels(x).pointwise.copy(x.view(), y.view());
  return y;
}

void check_writable(const Tensor& x, const char* who) {
  const GradRecord* grad = x.impl().grad.get();
  check<GradError>(!grad || !grad->refuses_write(), who,
                   ": gradients depend on this tensor's value; write under NoGrad, or to a copy");
}

void fill_(const Tensor& x, double value) {
  check_writable(x, "fill_");
  check_held(x.dtype(), value, "fill_");
  kernels(x).pointwise.fill(value, x.view());
  x.impl().storage->bump_version();
}

namespace {

// The bytes from a view's first to behind its last, in memory's order.
std::pair<const std::byte*, const std::byte*> extent(const View& v) {
  int64_t first = 0, last = 0;
  for (int i = 0; i < v.rank(); ++i)
    (v.stride(i) < 0 ? first : last) += (v.size(i) - 1) * v.stride(i);
  const auto* data = static_cast<const std::byte*>(v.data);
  return {data + first * item_size(v.dtype), data + (last + 1) * item_size(v.dtype)};
}

// Whether writing y while x is read may change elements of x that are still to be read: they share
// memory, and not element by element. The shapes are equal and not empty.
bool is_read_after_write(const View& x, const View& y) {
  if (x.data == y.data && x.dtype == y.dtype && x.strides == y.strides) return false;
  const auto [x_begin, x_end] = extent(x);
  const auto [y_begin, y_end] = extent(y);
  return x_begin < y_end && y_begin < x_end;
}

}  // namespace

void copy_(const Tensor& x, const Tensor& y) {
  check_writable(x, "copy_");
  const Shape shape = broadcast_shapes(y.shape(), x.shape(), "copy_");
  check(shape == x.shape(), "copy_: a value of shape ", y.shape(),
        " does not fit into a tensor of shape ", x.shape());
  for (int i = 0; i < x.rank(); ++i)
    check(x.strides()[i] != 0 || x.shape()[i] <= 1, "copy_: axis ", i, " of a tensor of shape ",
          x.shape(), " repeats one element (it was expanded); copy into contiguous(x)");
  Tensor from = transfer(y, x.device());
  View view = from.view();
  view.strides = broadcast_strides(from.shape(), from.strides(), x.shape());
  view.shape = x.shape();
  if (x.numel() > 0 && is_read_after_write(view, x.view())) {
    const Tensor own = empty(x.shape(), {.dtype = from.dtype(), .device = from.device()});
    kernels(x).pointwise.copy(view, own.view());
    view = own.view();
    from = own;
  }
  kernels(x).pointwise.copy(view, x.view());
  x.impl().storage->bump_version();
}

const Backend& kernels(const Tensor& x) { return backend(x.device().type); }

namespace {

// Rows of the last axis on one line, long axes as their first and last three entries.
// An f32 is printed as such: as a double it would take 17 digits.
void print(std::string& out, const double* values, DType dtype, const Shape& shape, int axis,
           int64_t step) {
  if (axis == shape.rank()) {
    if (dtype == DType::f32)
      detail::append(out, static_cast<float>(*values));
    else
      detail::append(out, *values);
    return;
  }
  constexpr int64_t kEdge = 3;
  const bool abridged = shape[axis] > 2 * kEdge + 1;
  const bool last = axis == shape.rank() - 1;
  step /= std::max<int64_t>(shape[axis], 1);
  out += '[';
  for (int64_t i = 0; i < shape[axis]; ++i) {
    if (i > 0) out += last ? ", " : ",\n" + std::string(static_cast<size_t>(axis) + 1, ' ');
    if (abridged && i == kEdge) {
      out += "...";
      i = shape[axis] - kEdge - 1;
      continue;
    }
    print(out, values + i * step, dtype, shape, axis + 1, step);
  }
  out += ']';
}

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "undefined";
  const std::vector<double> values = on_host(x).to_vector<double>();
  std::string out;
  if (x.numel() > 0) print(out, values.data(), x.dtype(), x.shape(), 0, x.numel());
  return out + cat(x.numel() > 0 ? " " : "", x.dtype(), " ", x.shape());
}

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }
std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name(dtype); }
std::ostream& operator<<(std::ostream& out, Device device) { return out << to_string(device); }

}  // namespace brume
