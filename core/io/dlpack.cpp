#include <brume/core/io/dlpack.h>

#include <array>
#include <memory>

#include <brume/core/io/dlpack_layout.h>

namespace brume::io {
namespace {

struct Exported {
  DLManagedTensor managed;
  Tensor tensor;
  std::vector<int64_t> shape, strides;
};

DLDataType dlpack_type(DType t) {
  const auto bits = static_cast<uint8_t>(8 * item_size(t));
  switch (t) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
      return {kDLFloat, bits, 1};
    case DType::bf16:
      return {kDLBfloat, bits, 1};
    case DType::i32:
    case DType::i64:
      return {kDLInt, bits, 1};
    case DType::u8:
      return {kDLUInt, bits, 1};
    case DType::boolean:
      return {kDLBool, bits, 1};
  }
  throw DTypeError("to_dlpack: unknown dtype");
}

DType dtype_from(const DLDataType& type) {
  for (const DType t : kAllDTypes) {
    const DLDataType known = dlpack_type(t);
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1) return t;
  }
  throw DTypeError(cat("from_dlpack: no dtype for code ", static_cast<int>(type.code), " of ",
                       static_cast<int>(type.bits), " bits and ", type.lanes, " lanes"));
}

Device device_of(const DLDevice& device) {
  if (device.device_type == kDLCPU) return kCpu;
  check<DeviceError>(device.device_type == kDLCUDA, "from_dlpack: no device of type ",
                     static_cast<int>(device.device_type));
  return {DeviceType::cuda, device.device_id};
}

}  // namespace

void delete_dlpack(DLManagedTensor* managed) {
  if (managed->deleter != nullptr) managed->deleter(managed);
}

DLManagedTensor* to_dlpack(const Tensor& x) {
  auto out = std::make_unique<Exported>();
  out->tensor = x;
  for (int a = 0; a < x.rank(); ++a) {
    out->shape.push_back(x.shape()[a]);
    out->strides.push_back(x.strides()[a]);
  }
  const bool on_cpu = x.device().type == DeviceType::cpu;
  out->managed = {
      .dl_tensor = {.data = x.data(),
                    .device = {on_cpu ? kDLCPU : kDLCUDA, x.device().index},
                    .ndim = x.rank(),
                    .dtype = dlpack_type(x.dtype()),
                    .shape = out->shape.data(),
                    .strides = out->strides.data(),
                    .byte_offset = 0},
      .manager_ctx = out.get(),
      .deleter = [](DLManagedTensor* self) { delete static_cast<Exported*>(self->manager_ctx); }};
  return &out.release()->managed;
}

Tensor from_dlpack(DLManagedTensor* managed) {
  check<Error>(managed != nullptr, "from_dlpack: no tensor");
  std::unique_ptr<DLManagedTensor, void (*)(DLManagedTensor*)> owner(managed, delete_dlpack);
  const DLTensor& t = managed->dl_tensor;
  const DType dtype = dtype_from(t.dtype);
  const Device device = device_of(t.device);
  check(t.ndim >= 0 && t.ndim <= kMaxRank, "from_dlpack: ", t.ndim, " axes, but ", kMaxRank,
        " are the most");
  Shape shape;
  for (int a = 0; a < t.ndim; ++a) shape.push_back(t.shape[a]);
  const bool is_row_major = t.strides == nullptr;
  Strides strides = dense_strides(shape);
  int64_t span = numel(shape) == 0 ? 0 : 1;  // elements from the first to the last
  bool overflow = false;
  for (int a = 0; a < t.ndim; ++a) {
    if (!is_row_major) strides[a] = t.strides[a];
    check(shape[a] >= 0 && strides[a] >= 0,
          "from_dlpack: sizes and strides must not be negative, got ", shape[a], " and ",
          strides[a]);
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(shape[a] - 1, strides[a], &reach);
    if (span > 0) overflow |= __builtin_add_overflow(span, reach, &span);
  }
  check(!overflow, "from_dlpack: the strides ", strides, " reach beyond any memory");
  auto* data = static_cast<std::byte*>(t.data) + t.byte_offset;
  const std::shared_ptr<DLManagedTensor> shared(owner.release(), delete_dlpack);
  const Tensor all = from_memory(
      data, {span}, dtype, [shared] {}, device);
  return alias(all, shape, strides);
}

}  // namespace brume::io
