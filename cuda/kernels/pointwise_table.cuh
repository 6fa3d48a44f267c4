#pragma once
// The kernels of one part of the list; the parts share the compile time.

#include <tuple>

#include <brume/core/math/pointwise_list.h>
#include <brume/cuda/kernels/pointwise_functions.cuh>

namespace brume::cuda {

template <class... F>
std::tuple<F...> as_tuple(math::FnList<F...>);
using AllFunctions = decltype(as_tuple(math::AllPointwiseFns{}));

template <int kPart, int... I>
const FunctionKernels& kernels_among(int element, std::integer_sequence<int, I...>) {
  static const FunctionKernels table[] = {
      kernels_of<std::tuple_element_t<kPart + I * kParts, AllFunctions>>()...};
  return table[element];
}

template <int kPart>
const FunctionKernels& kernels_of_part(int element) {
  constexpr int kCount = (math::AllPointwiseFns::kSize - kPart + kParts - 1) / kParts;
  return kernels_among<kPart>(element, std::make_integer_sequence<int, kCount>{});
}

}  // namespace brume::cuda
