#pragma once
// The kernels of one pointwise function: value, gradient, gradient of the gradient. Three forms:
//   packs  f32, four elements of a row at once; an operand's row is contiguous or one value
//   f32    any strides and dtypes, computed in f32
//   f64    the same in f64
// A thread holds one lane: the formula runs on Vec<T, 1>, its derivatives on duals over that.

#include <type_traits>
#include <utility>

#include <brume/core/kernels/pointwise.h>
#include <brume/core/math/pointwise_loops.h>
#include <brume/cuda/device/element.cuh>
#include <brume/cuda/device/steps.cuh>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {

constexpr int kThreads = 256;
constexpr int kPack = Pack<float>::kCount;

/// Packs per thread that are read before the first is used: fewer the more operands there are.
__host__ __device__ constexpr int packs_per_thread(int arity) {
  return arity == 1 ? 4 : arity == 2 ? 2 : 1;
}

/// A functor's constants on their way to the device.
struct Constants {
  alignas(8) unsigned char bytes[kMaxFunctorBytes] = {};
};

// Outputs stand first: y, x.. | gx.., g, x.. | gg, gx.., g, x.., h..
using ForwardKernel = void(Constants, Steps<5>);
using BackwardKernel = void(Constants, Steps<9>);
using Backward2Kernel = void(Constants, Steps<14>);

struct FunctionKernels {
  int arity = 0;
  ForwardKernel *forward_packs = nullptr, *forward_f32 = nullptr, *forward_f64 = nullptr;
  BackwardKernel *backward_packs = nullptr, *backward_f32 = nullptr, *backward_f64 = nullptr;
  Backward2Kernel *backward2_f32 = nullptr, *backward2_f64 = nullptr;
};

/// The list of functions is compiled in this many files, kernels/pointwise_part*.cu: function i in
/// part i % kParts, as its element i / kParts.
constexpr int kParts = 4;
template <int kPart>
const FunctionKernels& kernels_of_part(int element);

// ---- what a step computes

template <class F>
__device__ inline F functor_of(const Constants& constants) {
  static_assert(sizeof(F) <= sizeof(Constants) && std::is_trivially_copyable_v<F>);
  F f;
  __builtin_memcpy(&f, constants.bytes, sizeof f);
  return f;
}

template <class F, class T, int... K>
__device__ inline T value_of(const F& f, const T (&x)[sizeof...(K)],
                             std::integer_sequence<int, K...>) {
  using V = math::Vec<T, 1>;
  const auto y = f(V(x[K])...);
  if constexpr (std::is_same_v<std::remove_const_t<decltype(y)>, V>)
    return y.v;
  else
    return select(y, V(1), V(0)).v;  // a predicate
}

/// gx = g df/dx
template <class F, class T, int... K>
__device__ inline void gradients_of(const F& f, T g, const T (&x)[sizeof...(K)],
                                    T (&gx)[sizeof...(K)],
                                    std::integer_sequence<int, K...> operands) {
  using V = math::Vec<T, 1>;
  const V at[] = {V(x[K])...};
  const auto p = math::partials(f, at, operands);
  ((gx[K] = g * p.d[K].v), ...);
}

/// gg = h df/dx and gx = g h d2f/dx2, by one dual in direction h.
template <class F, class T, int... K>
__device__ inline T second_gradients_of(const F& f, T g, const T (&x)[sizeof...(K)],
                                        const T (&h)[sizeof...(K)], T (&gx)[sizeof...(K)],
                                        std::integer_sequence<int, K...> operands) {
  using V = math::Vec<T, 1>;
  math::Dual<V, 1> at[sizeof...(K)];
  ((at[K] = math::Dual<V, 1>(V(x[K])), at[K].d[0] = V(h[K])), ...);
  const auto p = math::partials(f, at, operands);
  ((gx[K] = g * p.d[K].d[0].v), ...);
  return ((h[K] * p.d[K].v.v) + ...);
}

// ---- packs

template <int K>
__device__ inline Pack<float> load_pack_of(const Steps<K>& steps, int k, int64_t offset, int n) {
  return load_step(static_cast<const float*>(steps.data[k]) + offset, steps.stride[k][0], n);
}

template <class F, int N>
__global__ void __launch_bounds__(kThreads) forward_packs(Constants constants, Steps<5> steps) {
  constexpr int kUnroll = packs_per_thread(N);
  const F f = functor_of<F>(constants);
  const uint32_t first = blockIdx.x * (kThreads * kUnroll) + threadIdx.x;
  Pack<float> x[kUnroll][N];
  int64_t to[kUnroll];
  int count[kUnroll];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const uint32_t step = first + u * kThreads;
    if (step >= steps.count) break;
    int64_t offset[N + 1];
    count[u] = steps.locate<kPack>(step, offset);
    to[u] = offset[0];
#pragma unroll
    for (int k = 0; k < N; ++k) x[u][k] = load_pack_of(steps, k + 1, offset[k + 1], count[u]);
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    if (first + u * kThreads >= steps.count) break;
    Pack<float> y;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      float at[N];
#pragma unroll
      for (int k = 0; k < N; ++k) at[k] = x[u][k].at[j];
      y.at[j] = value_of(f, at, math::Operands<N>{});
    }
    store_step(static_cast<float*>(steps.data[0]) + to[u], y, count[u]);
  }
}

template <class F, int N>
__global__ void __launch_bounds__(kThreads) backward_packs(Constants constants, Steps<9> steps) {
  const F f = functor_of<F>(constants);
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[2 * N + 1];
  const int count = steps.locate<kPack>(step, offset);
  const Pack<float> g = load_pack_of(steps, N, offset[N], count);
  Pack<float> x[N], gx[N];
#pragma unroll
  for (int k = 0; k < N; ++k) x[k] = load_pack_of(steps, N + 1 + k, offset[N + 1 + k], count);
#pragma unroll
  for (int j = 0; j < kPack; ++j) {
    float at[N], out[N];
#pragma unroll
    for (int k = 0; k < N; ++k) at[k] = x[k].at[j];
    gradients_of(f, g.at[j], at, out, math::Operands<N>{});
#pragma unroll
    for (int k = 0; k < N; ++k) gx[k].at[j] = out[k];
  }
#pragma unroll
  for (int k = 0; k < N; ++k)
    if (steps.data[k]) store_step(static_cast<float*>(steps.data[k]) + offset[k], gx[k], count);
}

// ---- any strides and dtypes

template <class T, int K>
__device__ inline T load_operand(const Steps<K>& steps, int k, int64_t offset) {
  return steps.data[k] ? load_as<T>(steps.data[k], steps.dtype[k], offset) : T(0);
}
template <class T, int K>
__device__ inline void store_operand(const Steps<K>& steps, int k, int64_t offset, T value) {
  if (steps.data[k]) store_as(steps.data[k], steps.dtype[k], offset, value);
}

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads) forward_any(Constants constants, Steps<5> steps) {
  const F f = functor_of<F>(constants);
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[N + 1];
  steps.locate<1>(step, offset);
  T x[N];
#pragma unroll
  for (int k = 0; k < N; ++k) x[k] = load_operand<T>(steps, k + 1, offset[k + 1]);
  store_operand(steps, 0, offset[0], value_of(f, x, math::Operands<N>{}));
}

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads) backward_any(Constants constants, Steps<9> steps) {
  const F f = functor_of<F>(constants);
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[2 * N + 1];
  steps.locate<1>(step, offset);
  T x[N], gx[N];
#pragma unroll
  for (int k = 0; k < N; ++k) x[k] = load_operand<T>(steps, N + 1 + k, offset[N + 1 + k]);
  gradients_of(f, load_operand<T>(steps, N, offset[N]), x, gx, math::Operands<N>{});
#pragma unroll
  for (int k = 0; k < N; ++k) store_operand(steps, k, offset[k], gx[k]);
}

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads) backward2_any(Constants constants, Steps<14> steps) {
  const F f = functor_of<F>(constants);
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  constexpr int kG = N + 1, kX = N + 2, kH = 2 * N + 2;
  int64_t offset[3 * N + 2];
  steps.locate<1>(step, offset);
  T x[N], h[N], gx[N];
#pragma unroll
  for (int k = 0; k < N; ++k) {
    x[k] = load_operand<T>(steps, kX + k, offset[kX + k]);
    h[k] = load_operand<T>(steps, kH + k, offset[kH + k]);
  }
  const T g = load_operand<T>(steps, kG, offset[kG]);
  const T gg = second_gradients_of(f, g, x, h, gx, math::Operands<N>{});
  store_operand(steps, 0, offset[0], gg);
#pragma unroll
  for (int k = 0; k < N; ++k) store_operand(steps, 1 + k, offset[1 + k], gx[k]);
}

// ---- the table of a part

template <class F>
constexpr FunctionKernels kernels_of() {
  using V = math::Vec<float, 1>;
  constexpr int N = math::arity_of<F, V>();
  FunctionKernels t;
  t.arity = N;
  t.forward_packs = forward_packs<F, N>;
  t.forward_f32 = forward_any<F, float, N>;
  t.forward_f64 = forward_any<F, double, N>;
  if constexpr (!math::Loops<F, V, N>::kPredicate) {
    t.backward_packs = backward_packs<F, N>;
    t.backward_f32 = backward_any<F, float, N>;
    t.backward_f64 = backward_any<F, double, N>;
    t.backward2_f32 = backward2_any<F, float, N>;
    t.backward2_f64 = backward2_any<F, double, N>;
  }
  return t;
}

}  // namespace brume::cuda
