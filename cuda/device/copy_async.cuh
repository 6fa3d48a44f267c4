#pragma once
// Copies from global to shared memory that pass by the registers. A thread sees its own copies
// after copy_wait, those of others after a barrier behind it.

#include <cuda_runtime.h>

#include <cstdint>

#ifndef __CUDACC__
#include <brume/cuda/emu/async_copy.h>
#endif

namespace brume::cuda {

/// 16 bytes, both on a 16-byte boundary; zeros unless `valid`, and `from` is then any address of
/// global memory.
__device__ inline void copy_async(void* to, const void* from, bool valid) {
#ifdef __CUDACC__
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
#else
  emu::async_copies().start(to, from, 16, valid ? 16 : 0);
#endif
}

/// Closes a group of copies; an empty one counts.
__device__ inline void copy_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emu::async_copies().close_group();
#endif
}

/// Waits until all but the newest kUnderWay groups of this thread have landed.
template <int kUnderWay>
__device__ inline void copy_wait() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnderWay) : "memory");
#else
  emu::async_copies().wait(kUnderWay);
#endif
}

}  // namespace brume::cuda
