#include <brume/core/cpu/isa/depthwise.h>
#include <brume/core/cpu/isa/lanes.h>

namespace brume::cpu::BRUME_ISA {
namespace {

// kCount results, one vector of channels from c on: a vector of weights serves all of them.
template <int kCount, class T, class Lanes>
void vector_of_pixels(const DepthwisePixels<T>& p, int64_t first, int64_t c, const Lanes& lanes) {
  using V = math::Wide<T>;
  V sum[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) sum[i] = V(T(0));
  for (int64_t t = 0; t < p.taps; ++t) {
    const V w = lanes.load(p.w[t] + c);
    const T* x = p.x[t] + first * p.x_step + c;
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) sum[i] = fma(lanes.load(x + i * p.x_step), w, sum[i]);
  }
  const V scale(p.scale);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    V v = sum[i];
    if (p.shift) v = v + lanes.load(p.shift + c);
    if (p.residual) v = v + lanes.load(p.residual + (first + i) * p.residual_step + c);
    lanes.store(v * scale, p.y + (first + i) * p.y_step + c);
  }
}

template <class T>
void pixels(const DepthwisePixels<T>& p) {
  constexpr int kTogether = 8;
  math::for_vectors<math::Wide<T>>(p.channels, [&](int64_t c, const auto& lanes) {
    int64_t i = 0;
    for (; i + kTogether <= p.count; i += kTogether) vector_of_pixels<kTogether>(p, i, c, lanes);
    for (; i < p.count; ++i) vector_of_pixels<1>(p, i, c, lanes);
  });
}

template <class T>
void weight(int64_t channels, int64_t count, const T* x, int64_t x_step, const T* g, int64_t g_step,
            T* sums) {
  using V = math::Wide<T>;
  math::for_groups<V, 4>(channels, [&](int64_t c, auto group, const auto& lanes) {
    constexpr int kVectors = decltype(group)::kVectors;
    V sum[kVectors];
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) sum[k] = V(T(0));
    for (int64_t i = 0; i < count; ++i)
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k) {
        const int64_t at = c + k * V::kLanes;
        sum[k] = fma(lanes.load(x + i * x_step + at), lanes.load(g + i * g_step + at), sum[k]);
      }
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      T* to = sums + c + k * V::kLanes;
      lanes.store(lanes.load(to) + sum[k], to);
    }
  });
}

}  // namespace

extern const DepthwiseLoops<float> depthwise_f32 = {pixels<float>, weight<float>};
#if BRUME_VECTOR_BYTES == 16
extern const DepthwiseLoops<double> depthwise_f64 = {pixels<double>, weight<double>};
#endif

}  // namespace brume::cpu::BRUME_ISA
