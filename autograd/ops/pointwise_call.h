#pragma once
// Any callable as an elementwise operation. Apart from pointwise.h, because it brings the vector
// types along, which only a file that calls it should wait for.

#include <type_traits>

#include <brume/core/kernels/pointwise.h>
#include <brume/core/math/pointwise_loops.h>
#include <brume/core/tensor.h>

namespace brume {

namespace detail {
Tensor pointwise(const PointwiseFn& fn, Tensor* operands);
}

/// f of every element of the operands. f is one of math::AllPointwiseFns, or any callable without
/// pointers that computes on its arguments with what core/math has: `[c](auto x, auto y) { return
/// c * exp(x) + y; }`. Forward, both orders of gradients and broadcasting follow. On the CPU your
/// callable is compiled for the baseline instruction set, or for more with your own flags.
/// @throws DTypeError, DeviceError or ShapeError if the operands do not fit together; DeviceError
///         on a device that has no code for f
template <class F, class... T>
requires(std::is_same_v<T, Tensor>&&...) Tensor pointwise(const F& f, T... operands) {
  constexpr int kArity = sizeof...(T);
  static_assert(kArity >= 1 && kArity <= kMaxOperands);
  static_assert(std::is_trivially_copyable_v<F> && sizeof(F) <= kMaxFunctorBytes,
                "a pointwise function holds a few numbers, which travel by value");
  PointwiseFn fn{.name = "pointwise",
                 .id = math::AllPointwiseFns::index<F>,
                 .arity = kArity,
                 .takes_integers = math::takes_integers<F>,
                 .unit_partials = math::unit_partials<F>,
                 .functor = &f,
                 .functor_bytes = sizeof(F)};
  if constexpr (requires { F::name; }) fn.name = F::name;
  for (int k = 0; k < kArity; ++k) fn.needs[k] = math::needs<F>.of[k];
  fn.predicate = math::Loops<F, math::Wide<float>, kArity>::kPredicate;
  if constexpr (math::AllPointwiseFns::index<F> < 0) {
    constexpr math::LoopKinds all{.forward = true, .backward = true, .backward2 = true};
    static constexpr auto f32 = math::blocks<F, math::Wide<float>, kArity, all>();
    static constexpr auto f64 = math::blocks<F, math::Wide<double>, kArity, all>();
    fn.f32 = &f32;
    fn.f64 = &f64;
  }
  Tensor list[] = {std::move(operands)...};
  return detail::pointwise(fn, list);
}

}  // namespace brume
