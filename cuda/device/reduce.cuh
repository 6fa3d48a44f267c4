#pragma once
// Sums and maxima over a warp or a block, in a fixed tree: the same bits every time.

#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {

constexpr unsigned kAllLanes = 0xffffffffU;
constexpr int kWarpLanes = 32;

struct Sum {
  template <class T>
  __device__ static T identity() {
    return T(0);
  }
  template <class T>
  __device__ static T join(T a, T b) {
    return a + b;
  }
};

/// NaN wins, as in the CPU's maximum.
struct Max {
  template <class T>
  __device__ static T identity() {
    return T(-INFINITY);
  }
  template <class T>
  __device__ static T join(T a, T b) {
    return a > b || a != a ? a : b;
  }
};

/// The value that another lane of the warp has.
template <class T>
__device__ inline T from_lane(T value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}

/// Every lane receives the result over the warp.
template <class Op, class T>
__device__ inline T warp_reduce(T value) {
#pragma unroll
  for (int flip = kWarpLanes / 2; flip > 0; flip /= 2)
    value = Op::join(value, __shfl_xor_sync(kAllLanes, value, flip));
  return value;
}

/// Every lane receives the result over the four lanes 4 i .. 4 i + 3 that it is one of.
template <class Op, class T>
__device__ inline T quad_reduce(T value) {
  value = Op::join(value, __shfl_xor_sync(kAllLanes, value, 1));
  return Op::join(value, __shfl_xor_sync(kAllLanes, value, 2));
}

/// Every thread receives the result over the block: blockDim.x a multiple of 32, one-dimensional.
/// All threads must call it; it may be called again at once.
template <class Op, class T>
__device__ inline T block_reduce(T value) {
  SHARED(T, of_warp, [kWarpLanes]);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int warps = static_cast<int>(blockDim.x) / kWarpLanes;
  value = warp_reduce<Op>(value);
  __syncthreads();  // the last call's readers are done
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  return warp_reduce<Op>(lane < warps ? of_warp[lane] : Op::template identity<T>());
}

}  // namespace brume::cuda
