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

template <class T>
__device__ inline bool is_pack(const T* at) {
  return (reinterpret_cast<uintptr_t>(at) & 15) == 0;
}

/// sums[j] += from[j] for j < count; whole packs where the address allows it.
template <class T, class A, int kCount>
__device__ inline void add_run(A (&sums)[kCount], const T* from, int count) {
  constexpr int kPack = Pack<T>::kCount;
  static_assert(kCount % kPack == 0);
  if (count == kCount && is_pack(from)) {
#pragma unroll
    for (int i = 0; i < kCount; i += kPack) {
      const Pack<T> x = load_pack(from + i);
#pragma unroll
      for (int j = 0; j < kPack; ++j) sums[i + j] += static_cast<A>(x.at[j]);
    }
  } else {
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      if (j < count) sums[j] += static_cast<A>(from[j]);
  }
}
/// to[j] = sums[j] for j < count.
template <class T, class A, int kCount>
__device__ inline void store_run(T* to, const A (&sums)[kCount], int count) {
  constexpr int kPack = Pack<T>::kCount;
  static_assert(kCount % kPack == 0);
  if (count == kCount && is_pack(to)) {
#pragma unroll
    for (int i = 0; i < kCount; i += kPack) {
      Pack<T> x;
#pragma unroll
      for (int j = 0; j < kPack; ++j) x.at[j] = static_cast<T>(sums[i + j]);
      store_pack(to + i, x);
    }
  } else {
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      if (j < count) to[j] = static_cast<T>(sums[j]);
  }
}

}  // namespace brume::cuda
