#pragma once
// The functions of core/math for one number, so that CPU and GPU agree.

#include <cuda_runtime.h>

#include <brume/core/dtype.h>
#include <brume/core/math/special.h>

namespace brume::cuda {

/// What elements of type T are computed in.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class A>
__device__ inline A exp_of(A x) {
  return math::exp(math::Vec<A, 1>(x)).v;
}
template <class A>
__device__ inline A log_of(A x) {
  return math::log(math::Vec<A, 1>(x)).v;
}
template <class A>
__device__ inline A sigmoid_of(A x) {
  return math::sigmoid(math::Vec<A, 1>(x)).v;
}
template <class A>
__device__ inline A root_of(A x) {
  return sqrt(math::Vec<A, 1>(x)).v;
}

}  // namespace brume::cuda
