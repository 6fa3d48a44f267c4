#pragma once
// Shared memory, declared so that the emulator can poison, count and watch it.

#include <cuda_runtime.h>

#ifndef __CUDACC__
#include <brume/cuda/emu/block.h>
#endif

/// SHARED(float, tile, [16][17]): an array that the threads of a block share.
#ifdef __CUDACC__
#define SHARED(T, name, dims) __shared__ T name dims
#else
#define SHARED(T, name, dims)                     \
  using name##_type = T dims;                     \
  static const char name##_key = 0;               \
  name##_type& name = *static_cast<name##_type*>( \
      ::brume::cuda::emu::static_shared(&name##_key, sizeof(name##_type)))
#endif

namespace brume::cuda {

/// The shared memory whose size the launch gave, on a 1024-byte boundary.
template <class T>
__device__ inline T* dynamic_shared() {
#ifdef __CUDACC__
  extern __shared__ __align__(1024) unsigned char brume_dynamic_shared[];
  return reinterpret_cast<T*>(brume_dynamic_shared);
#else
  return static_cast<T*>(emu::dynamic_shared());
#endif
}

}  // namespace brume::cuda
