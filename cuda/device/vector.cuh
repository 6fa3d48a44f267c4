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

}  // namespace brume::cuda
