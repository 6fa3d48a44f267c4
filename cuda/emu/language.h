#pragma once
// CUDA C++ as the kernels use it, for a host compiler: qualifiers, built-in variables and types,
// synchronisation, shuffles, votes, atomics. A call that waits carries its place in the text, so
// that a barrier which only a part of the block reaches can be named.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <numbers>

#include <brume/cuda/emu/block.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::brume::cuda::emu::self->thread)
#define blockIdx (::brume::cuda::emu::self->block)
#define blockDim (::brume::cuda::emu::self->block_size)
#define gridDim (::brume::cuda::emu::self->grid_size)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// The compiler puts the caller's place into default arguments.
#define BRUME_PLACE_PARAMETERS const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::wait_for_block({"__syncthreads", file, line});
}
inline void __syncwarp(unsigned mask = ~0U, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::wait_for_warp({"__syncwarp", file, line}, mask);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::show(value, {"__shfl_sync", file, line}, mask);
  return brume::cuda::emu::shown<T>(lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::show(value, {"__shfl_xor_sync", file, line}, mask);
  return brume::cuda::emu::shown<T>(brume::cuda::emu::lane() ^ flip);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int by, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::show(value, {"__shfl_down_sync", file, line}, mask);
  const int lane = brume::cuda::emu::lane();
  return brume::cuda::emu::shown<T>(lane + by < 32 ? lane + by : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int by, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::show(value, {"__shfl_up_sync", file, line}, mask);
  const int lane = brume::cuda::emu::lane();
  return brume::cuda::emu::shown<T>(lane - by >= 0 ? lane - by : lane);
}

inline unsigned __ballot_sync(unsigned mask, int vote, BRUME_PLACE_PARAMETERS) {
  brume::cuda::emu::show(vote, {"__ballot_sync", file, line}, mask);
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane)
    if (brume::cuda::emu::shown<int>(lane)) votes |= 1U << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int vote, BRUME_PLACE_PARAMETERS) {
  return __ballot_sync(mask, vote, file, line) != 0;
}
inline int __all_sync(unsigned mask, int vote, BRUME_PLACE_PARAMETERS) {
  return __ballot_sync(mask, vote, file, line) == ~0U;
}

// Blocks may run on several OS threads, hence real atomics. Each lets the others go first, so that
// an order of arrival which a result depends on shows.
template <class T>
T atomicAdd(T* address, T value) {
  brume::cuda::emu::give_way();
  return std::atomic_ref<T>(*address).fetch_add(value);
}
template <class T>
T atomicExch(T* address, T value) {
  brume::cuda::emu::give_way();
  return std::atomic_ref<T>(*address).exchange(value);
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  brume::cuda::emu::give_way();
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, value);
  return expected;
}
template <class T>
T atomicMax(T* address, T value) {
  brume::cuda::emu::give_way();
  T old = *address;
  while (old < value && !std::atomic_ref<T>(*address).compare_exchange_weak(old, value)) continue;
  return old;
}

inline void sincospi(double x, double* sine, double* cosine) {
  *sine = std::sin(x * std::numbers::pi);
  *cosine = std::cos(x * std::numbers::pi);
}

inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
