#pragma once
// One element of a tensor whose dtype is known at run time only.

#include <cuda_runtime.h>

#include <brume/core/integers.h>

namespace brume::cuda {

/// Element i of an array, as a T (float or double).
template <class T>
__host__ __device__ inline T load_as(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::f32:
      return static_cast<T>(static_cast<const float*>(data)[i]);
    case DType::f64:
      return static_cast<T>(static_cast<const double*>(data)[i]);
    case DType::bf16:
      return static_cast<T>(static_cast<float>(static_cast<const bf16*>(data)[i]));
    case DType::f16:
      return static_cast<T>(static_cast<float>(static_cast<const f16*>(data)[i]));
    case DType::i32:
      return static_cast<T>(static_cast<const int32_t*>(data)[i]);
    case DType::i64:
      return static_cast<T>(static_cast<const int64_t*>(data)[i]);
    case DType::u8:
      return static_cast<T>(static_cast<const uint8_t*>(data)[i]);
    case DType::boolean:
      return static_cast<T>(static_cast<const bool*>(data)[i]);
  }
  return T(0);
}

/// The reverse; integers by to_integer().
template <class T>
__host__ __device__ inline void store_as(void* data, DType dtype, int64_t i, T value) {
  switch (dtype) {
    case DType::f32:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      break;
    case DType::f64:
      static_cast<double*>(data)[i] = static_cast<double>(value);
      break;
    case DType::bf16:
      static_cast<bf16*>(data)[i] = bf16(static_cast<float>(value));
      break;
    case DType::f16:
      static_cast<f16*>(data)[i] = f16(static_cast<float>(value));
      break;
    case DType::i32:
      static_cast<int32_t*>(data)[i] = to_integer<int32_t>(value);
      break;
    case DType::i64:
      static_cast<int64_t*>(data)[i] = to_integer<int64_t>(value);
      break;
    case DType::u8:
      static_cast<uint8_t*>(data)[i] = to_integer<uint8_t>(value);
      break;
    case DType::boolean:
      static_cast<bool*>(data)[i] = value != T(0);
      break;
  }
}

}  // namespace brume::cuda
