// Random fills: rows of blocks of four elements, split over threads.

#include <algorithm>
#include <cmath>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/random_fills.h>
#include <brume/core/math/philox.h>

namespace brume {
namespace cpu {
namespace {

constexpr int64_t kGrain = 4096;  // blocks of four elements per piece of work

// make(first, blocks, y) writes whole blocks; the last block of y may be cut short.
template <class T, class F>
void in_blocks(const View& y, const F& make) {
  const int64_t n = numel(y.shape), whole = n / 4;
  T* out = y.as<T>();
  parallel_for(whole, kGrain, [&](int64_t begin, int64_t end) {
    make(static_cast<uint64_t>(begin), end - begin, out + 4 * begin);
  });
  if (n % 4 == 0) return;
  T last[4];
  make(static_cast<uint64_t>(whole), 1, last);
  std::copy(last, last + n % 4, out + 4 * whole);
}

// The 64-bit draws of a block of four elements: each element's word, and another one below it.
struct WideWords {
  uint64_t w[4];
};
WideWords wide_words(uint64_t seed, uint64_t offset, uint64_t block) {
  const math::Words high = math::philox(seed, offset, block);
  const math::Words low = math::philox(seed, offset, block | math::kLowWords);
  WideWords wide;
  for (int k = 0; k < 4; ++k) wide.w[k] = uint64_t{high.w[k]} << 32 | low.w[k];
  return wide;
}

// f(words, y) for every block of four.
template <class T, class F>
void with_wide_words(uint64_t seed, uint64_t offset, const View& y, const F& f) {
  in_blocks<T>(y, [&](uint64_t first, int64_t blocks, T* out) {
    for (int64_t i = 0; i < blocks; ++i)
      f(wide_words(seed, offset, first + static_cast<uint64_t>(i)), out + 4 * i);
  });
}

template <class T>
void fill(RandomFills::Fill<T> make, const Draws& from, const View& y) {
  const uint64_t offset = from.first();
  in_blocks<T>(y, [&](uint64_t first, int64_t blocks, T* out) {
    make(from.seed, offset, first, blocks, out);
  });
}

void uniform(const Draws& from, const View& y) {
  const RandomFills& fills = random_fills();
  if (y.dtype == DType::f32) return fill(fills.uniform_f32, from, y);
  dispatch<double>(y.dtype, "uniform", [&](auto) { fill(fills.uniform_f64, from, y); });
}

void normal(const Draws& from, const View& y) {
  const RandomFills& fills = random_fills();
  if (y.dtype == DType::f32) return fill(fills.normal_f32, from, y);
  dispatch<double>(y.dtype, "normal", [&](auto) { fill(fills.normal_f64, from, y); });
}

void integers(const Draws& from, int64_t low, int64_t high, const View& y) {
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  with_wide_words<int64_t>(from.seed, from.first(), y, [&](const WideWords& words, int64_t* out) {
    for (int k = 0; k < 4; ++k)
      out[k] = static_cast<int64_t>(static_cast<uint64_t>(low) + math::below(range, words.w[k]));
  });
}

void dropout_mask(const Draws& from, double p, double value, const View& y) {
  const uint64_t seed = from.seed, offset = from.first();
  // An element is dropped if its word is below p 2^32.
  const auto limit = static_cast<uint64_t>(std::llround(p * 0x1p32));
  if (y.dtype == DType::f32)
    return in_blocks<float>(y, [&](uint64_t first, int64_t blocks, float* out) {
      random_fills().mask(seed, offset, first, blocks, limit, static_cast<float>(value), out);
    });
  dispatch<double>(y.dtype, "dropout_mask", [&](auto) {
    with_wide_words<double>(seed, offset, y, [&](const WideWords& words, double* out) {
      for (int k = 0; k < 4; ++k) out[k] = words.w[k] >> 32 < limit ? 0 : value;
    });
  });
}

}  // namespace
}  // namespace cpu

const RandomKernels cpu_random = {.uniform = &cpu::uniform,
                                  .normal = &cpu::normal,
                                  .integers = &cpu::integers,
                                  .dropout_mask = &cpu::dropout_mask};

}  // namespace brume
