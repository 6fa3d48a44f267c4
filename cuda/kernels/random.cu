// Family random: a thread draws one block of four elements, so that every Philox call is used whole
// and f32 leaves in 16-byte stores. The formulas are those of the CPU, in single roundings: the
// same bits. Bound: the stores, beside about 100 integer instructions per block.

#include <brume/core/kernels/random.h>

#include <cmath>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/core/math/philox.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

struct Source {
  uint64_t seed, offset;
};

/// Four draws as wide as T: the upper words are those of the narrow draws.
template <class T>
__device__ inline void draws(const Source& from, uint64_t block,
                             typename math::Drawn<T>::Draw (&out)[4]) {
  const math::Words high = math::philox(from.seed, from.offset, block);
  if constexpr (sizeof(T) == 4) {
    for (int k = 0; k < 4; ++k) out[k] = high.w[k];
  } else {
    const math::Words low = math::philox(from.seed, from.offset, block | math::kLowWords);
    for (int k = 0; k < 4; ++k) out[k] = uint64_t{high.w[k]} << 32 | low.w[k];
  }
}

struct Uniform {
  template <class T>
  __device__ void make(const Source& from, uint64_t block, T (&y)[4]) const {
    typename math::Drawn<T>::Draw bits[4];
    draws<T>(from, block, bits);
    for (int k = 0; k < 4; ++k) y[k] = math::uniform_from<T>(bits[k]);
  }
};

struct Normal {
  template <class T>
  __device__ void make(const Source& from, uint64_t block, T (&y)[4]) const {
    typename math::Drawn<T>::Draw bits[4];
    draws<T>(from, block, bits);
    for (int k = 0; k < 4; k += 2) {
      const math::Pair<T> z = math::normal_from<T>(bits[k], bits[k + 1]);
      y[k] = z.a;
      y[k + 1] = z.b;
    }
  }
};

struct Integers {
  uint64_t low, range;
  __device__ void make(const Source& from, uint64_t block, int64_t (&y)[4]) const {
    uint64_t bits[4];
    draws<double>(from, block, bits);
    for (int k = 0; k < 4; ++k) y[k] = static_cast<int64_t>(low + math::below(range, bits[k]));
  }
};

struct Mask {
  uint64_t limit;  // an element is dropped if its first word is below
  double value;
  template <class T>
  __device__ void make(const Source& from, uint64_t block, T (&y)[4]) const {
    const math::Words words = math::philox(from.seed, from.offset, block);
    for (int k = 0; k < 4; ++k) y[k] = words.w[k] < limit ? T(0) : static_cast<T>(value);
  }
};

template <class T, class F>
__global__ void __launch_bounds__(kThreads) fill_blocks(F f, Draws draws, int64_t n, T* y) {
  const int64_t block = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (4 * block >= n) return;
  T out[4];
  f.make(Source{draws.seed, draws.first()}, static_cast<uint64_t>(block), out);
  constexpr int kPack = Pack<T>::kCount;
#pragma unroll
  for (int first = 0; first < 4; first += kPack) {
    Pack<T> pack;
#pragma unroll
    for (int k = 0; k < kPack; ++k) pack.at[k] = out[first + k];
    const int64_t left = n - 4 * block - first;
    if (left > 0)
      store_step(y + 4 * block + first, pack, left < kPack ? static_cast<int>(left) : kPack);
  }
}

template <class... T, class F>
void fill(const char* op, const F& f, const Draws& from, const View& y) {
  const int64_t n = numel(y.shape);
  const auto blocks = count32(op, ceil_div(ceil_div(n, 4), kThreads));
  dispatch<T...>(y.dtype, op, [&]<class E>(Type<E>) {
    launch(fill_blocks<E, F>, blocks, kThreads, 0, stream(op), f, from, n, y.as<E>());
  });
}

void uniform(const Draws& from, const View& y) {
  fill<float, double>("uniform", Uniform{}, from, y);
}
void normal(const Draws& from, const View& y) { fill<float, double>("normal", Normal{}, from, y); }
void integers(const Draws& from, int64_t low, int64_t high, const View& y) {
  const auto first = static_cast<uint64_t>(low);
  fill<int64_t>("integers", Integers{first, static_cast<uint64_t>(high) - first}, from, y);
}
void dropout_mask(const Draws& from, double p, double value, const View& y) {
  const auto limit = static_cast<uint64_t>(std::llround(p * 0x1p32));
  fill<float, double>("dropout_mask", Mask{limit, value}, from, y);
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const RandomKernels cuda_random{.uniform = cuda::uniform,
                                .normal = cuda::normal,
                                .integers = cuda::integers,
                                .dropout_mask = cuda::dropout_mask};

}  // namespace brume
