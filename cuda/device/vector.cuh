#pragma once
// Elements moved 16 bytes at a time.

#include <cuda_runtime.h>

#include <cstdint>

namespace brume::cuda {

/// As many T as 16 bytes hold. A whole Pack is loaded and stored by one instruction.
template <class T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(T);
  T at[kCount];
};

/// `from` on a 16-byte boundary.
template <class T>
__device__ inline Pack<T> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T>*>(from);
}
/// `to` on a 16-byte boundary.
template <class T>
__device__ inline void store_pack(T* to, const Pack<T>& pack) {
  *reinterpret_cast<Pack<T>*>(to) = pack;
}

/// The n elements of a step from `from` on, n <= Pack::kCount: contiguous, or (stride 0) the same
/// value for all.
template <class T>
__device__ inline Pack<T> load_step(const T* from, int64_t stride, int n) {
  if (stride != 0 && n == Pack<T>::kCount) return load_pack(from);
  Pack<T> x{};
#pragma unroll
  for (int j = 0; j < Pack<T>::kCount; ++j)
    if (stride == 0 || j < n) x.at[j] = from[stride == 0 ? 0 : j];
  return x;
}
template <class T>
__device__ inline void store_step(T* to, const Pack<T>& x, int n) {
  if (n == Pack<T>::kCount) {
    store_pack(to, x);
  } else {
#pragma unroll
    for (int j = 0; j < Pack<T>::kCount; ++j)
      if (j < n) to[j] = x.at[j];
  }
}

}  // namespace brume::cuda
