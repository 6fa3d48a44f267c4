// Plain loops of constant length over small arrays: the compiler makes vectors of them.

#include <brume/core/cpu/random_fills.h>
#include <brume/core/math/philox.h>

namespace brume::cpu::BRUME_ISA {
namespace {

constexpr int kBlocks = 64;  // drawn at a time: four arrays of words that stay in L1

// The words of kBlocks blocks from `first` on, [word][block].
void draw(uint64_t seed, uint64_t offset, uint64_t first, uint32_t (*words)[kBlocks]) {
  const auto high = static_cast<uint32_t>(first >> 32), low = static_cast<uint32_t>(first);
  for (int i = 0; i < kBlocks; ++i) {
    const uint32_t at = low + static_cast<uint32_t>(i);  // 64 bits would halve the vectors
    const uint32_t carry = at < low ? 1 : 0;
    const math::Words w =
        math::philox(seed, offset, static_cast<uint64_t>(high + carry) << 32 | at);
    words[0][i] = w.w[0];
    words[1][i] = w.w[1];
    words[2][i] = w.w[2];
    words[3][i] = w.w[3];
  }
}

// Each element's word, and another one below it.
void draw(uint64_t seed, uint64_t offset, uint64_t first, uint64_t (*words)[kBlocks]) {
  uint32_t high[4][kBlocks], low[4][kBlocks];
  draw(seed, offset, first, high);
  draw(seed, offset, first | math::kLowWords, low);
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < kBlocks; ++i) words[k][i] = uint64_t{high[k][i]} << 32 | low[k][i];
}

// f(words, values) makes numbers of [word][block]; they are stored block by block.
template <class T, class F>
void fill(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, T* y, const F& f) {
  typename math::Drawn<T>::Draw words[4][kBlocks];
  T values[4][kBlocks];
  for (int64_t done = 0; done < blocks; done += kBlocks) {
    draw(seed, offset, first + static_cast<uint64_t>(done), words);
    f(words, values);
    const int64_t left = blocks - done < kBlocks ? blocks - done : kBlocks;
    for (int64_t i = 0; i < left; ++i, y += 4) {
      y[0] = values[0][i];
      y[1] = values[1][i];
      y[2] = values[2][i];
      y[3] = values[3][i];
    }
  }
}

template <class T>
void uniform(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, T* y) {
  fill(seed, offset, first, blocks, y, [](const auto& words, auto& values) {
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < kBlocks; ++i) values[k][i] = math::uniform_from<T>(words[k][i]);
  });
}

template <class T>
void normal(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, T* y) {
  fill(seed, offset, first, blocks, y, [](const auto& words, auto& values) {
    for (int k = 0; k < 4; k += 2)
      for (int i = 0; i < kBlocks; ++i) {
        const math::Pair<T> z = math::normal_from<T>(words[k][i], words[k + 1][i]);
        values[k][i] = z.a;
        values[k + 1][i] = z.b;
      }
  });
}

void mask(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, uint64_t limit,
          float value, float* y) {
  const float dropped = limit == 0 ? value : 0.0F;
  const auto last = static_cast<uint32_t>(limit - 1);  // limits reach to 2^32
  fill(seed, offset, first, blocks, y, [value, dropped, last](const auto& words, auto& values) {
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < kBlocks; ++i) values[k][i] = words[k][i] <= last ? dropped : value;
  });
}

}  // namespace

extern const RandomFills random_fills;
const RandomFills random_fills = {&uniform<float>, &uniform<double>, &normal<float>,
                                  &normal<double>, &mask};

}  // namespace brume::cpu::BRUME_ISA
