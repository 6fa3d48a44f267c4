#pragma once
// What a transform of one length needs to know, computed once per process and length.

#include <cstdint>
#include <memory>
#include <vector>

namespace brume::cpu {

inline constexpr int kMaxRadix = 13;

/// One pass of the self-sorting algorithm: `blocks` butterflies of `radix` numbers, each for
/// `stride` neighbours. twiddles[(p * (radix - 1) + t - 1) * 2]: exp(-2 pi i p t / (radix *
/// blocks)).
template <class T>
struct FftPass {
  int radix;
  int64_t blocks, stride;
  std::vector<T> twiddles;
  std::vector<T> roots;  // exp(-2 pi i k / radix), for radices without code of their own
};

/// Lengths whose prime factors are at most kMaxRadix run passes; others are turned into a
/// convolution with `chirp`, done by transforms of a length that does.
/// @source Stockham 1966 (self-sorting passes); Bluestein 1970 (chirps)
template <class T>
struct FftPlan {
  int64_t n;
  std::vector<FftPass<T>> passes;
  std::vector<T> chirp;                      // exp(-pi i j^2 / n), n of them
  std::vector<T> chirp_spectrum;             // of its conjugate, wrapped around, divided by length
  std::shared_ptr<const FftPlan> convolver;  // null: passes
  /// exp(-2 pi i k / (2 n)): what splits a transform of n pairs into that of 2 n real numbers.
  std::vector<T> half_turn;

  /// Complex numbers that a transform works on, its input included.
  int64_t room() const { return convolver ? convolver->n : n; }
};

/// @throws ShapeError beyond 2^27
template <class T>
std::shared_ptr<const FftPlan<T>> fft_plan(int64_t n);

}  // namespace brume::cpu
