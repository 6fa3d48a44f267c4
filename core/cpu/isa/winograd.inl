// Winograd's transforms: a line of three to six vectors at a time, first down, then across.

#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/cpu/isa/winograd.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;
using V = Wide<float>;

// F(2, 3): the points 0, 1, -1 and infinity.
struct F2 {
  static constexpr int kTile = 2, kPoints = 4;

  static BRUME_HD void input(const V* d, V* v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  static BRUME_HD void output(const V* v, V* y) {
    y[0] = v[0] + v[1] + v[2];
    y[1] = v[1] - v[2] - v[3];
  }
  static BRUME_HD void output_gradient(const V* y, V* v) {
    v[0] = y[0];
    v[1] = y[0] + y[1];
    v[2] = y[0] - y[1];
    v[3] = -y[1];
  }
  static BRUME_HD void filter(const V* g, V* u) {
    const V even = (g[0] + g[2]) * 0.5, odd = g[1] * 0.5;
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  static BRUME_HD void filter_gradient(const V* u, V* g) {
    const V even = (u[1] + u[2]) * 0.5;
    g[0] = u[0] + even;
    g[1] = (u[1] - u[2]) * 0.5;
    g[2] = even + u[3];
  }
};

// F(4, 3): the points 0, a, -a, b, -b and infinity. Their choice decides the error: the usual 1 and
// 2 lose three times as much.
struct F4 {
  static constexpr int kTile = 4, kPoints = 6;
  static constexpr double a = 0.625, b = 1.5, a2 = a * a, b2 = b * b;
  // One over the product of a point's distances to the others.
  static constexpr double w0 = 1 / (a2 * b2), wa = 1 / (2 * a2 * (a2 - b2)),
                          wb = 1 / (2 * b2 * (b2 - a2));

  static BRUME_HD void input(const V* d, V* v) {
    const V even_a = d[4] - b2 * d[2], odd_a = (d[3] - b2 * d[1]) * a;
    const V even_b = d[4] - a2 * d[2], odd_b = (d[3] - a2 * d[1]) * b;
    v[0] = (d[4] - (a2 + b2) * d[2]) + (a2 * b2) * d[0];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = (d[5] - (a2 + b2) * d[3]) + (a2 * b2) * d[1];
  }
  static BRUME_HD void output(const V* v, V* y) {
    const V even_a = v[1] + v[2], odd_a = v[1] - v[2], even_b = v[3] + v[4], odd_b = v[3] - v[4];
    y[0] = v[0] + even_a + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = a2 * even_a + b2 * even_b;
    y[3] = (a * a2) * odd_a + ((b * b2) * odd_b + v[5]);
  }
  static BRUME_HD void output_gradient(const V* y, V* v) {
    const V even_a = y[0] + a2 * y[2], odd_a = (y[1] + a2 * y[3]) * a;
    const V even_b = y[0] + b2 * y[2], odd_b = (y[1] + b2 * y[3]) * b;
    v[0] = y[0];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = y[3];
  }
  static BRUME_HD void filter(const V* g, V* u) {
    const V even_a = (g[0] + a2 * g[2]) * wa, odd_a = g[1] * (a * wa);
    const V even_b = (g[0] + b2 * g[2]) * wb, odd_b = g[1] * (b * wb);
    u[0] = g[0] * w0;
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
  static BRUME_HD void filter_gradient(const V* u, V* g) {
    const V even_a = (u[1] + u[2]) * wa, odd_a = (u[1] - u[2]) * (a * wa);
    const V even_b = (u[3] + u[4]) * wb, odd_b = (u[3] - u[4]) * (b * wb);
    g[0] = w0 * u[0] + even_a + even_b;
    g[1] = odd_a + odd_b;
    g[2] = a2 * even_a + b2 * even_b + u[5];
  }
};

// store(i, j, the square's line transform down and across) of the kFrom x kFrom vectors load(i, j).
template <int kFrom, int kTo, class Load, class Line, class Store>
BRUME_HD void transform(Load load, Line line, Store store) {
  V half[kTo][kFrom];
  BRUME_UNROLL
  for (int j = 0; j < kFrom; ++j) {
    V from[kFrom], to[kTo];
    BRUME_UNROLL
    for (int i = 0; i < kFrom; ++i) from[i] = load(i, j);
    line(from, to);
    BRUME_UNROLL
    for (int i = 0; i < kTo; ++i) half[i][j] = to[i];
  }
  BRUME_UNROLL
  for (int i = 0; i < kTo; ++i) {
    V to[kTo];
    line(half[i], to);
    BRUME_UNROLL
    for (int j = 0; j < kTo; ++j) store(i, j, to[j]);
  }
}

// f(channel, lanes) for vectors that cover [0, channels), the last one overlapping the one before:
// only fewer channels than lanes make a partly filled vector. f must be repeatable.
// Callers force it inline: out of line, every store makes it read its captures again.
template <class F>
BRUME_HD void for_channels(int64_t channels, F f) {
  const int64_t last = channels - V::kLanes;
  if (last < 0) return f(0, Part<V>{static_cast<int>(channels)});
  for (int64_t c = 0;; c = c + V::kLanes < last ? c + V::kLanes : last) {
    f(c, Whole<V>{});
    if (c == last) return;
  }
}

template <class F>
void input(int64_t channels, const float* const* pixels, float* points, int64_t step) {
  constexpr int kP = F::kPoints;
  for_channels(
      channels, [=](int64_t c, auto lanes) __attribute__((always_inline)) {
        transform<kP, kP>([&](int i, int j) { return lanes.load(pixels[i * kP + j] + c); },
                          F::input,
                          [&](int i, int j, V v) { v.store(points + (i * kP + j) * step + c); });
      });
}

template <class F>
void output(int64_t channels, const float* points, int64_t step, const WinogradTerms& terms,
            float* const* pixels) {
  constexpr int kP = F::kPoints, kM = F::kTile;
  const V scale(terms.scale);
  for_channels(
      channels, [=](int64_t c, auto lanes) __attribute__((always_inline)) {
        const V shift = terms.shift ? lanes.load(terms.shift + c) : V(0);
        transform<kP, kM>([&](int i, int j) { return V::load(points + (i * kP + j) * step + c); },
                          F::output,
                          [&](int i, int j, V y) {
                            y = y + shift;
                            if (terms.residual) y = y + lanes.load(terms.residual[i * kM + j] + c);
                            lanes.store(y * scale, pixels[i * kM + j] + c);
                          });
      });
}

template <class F>
void output_gradient(int64_t channels, const float* const* pixels, float* points, int64_t step) {
  constexpr int kP = F::kPoints, kM = F::kTile;
  for_channels(
      channels, [=](int64_t c, auto lanes) __attribute__((always_inline)) {
        transform<kM, kP>([&](int i, int j) { return lanes.load(pixels[i * kM + j] + c); },
                          F::output_gradient,
                          [&](int i, int j, V v) { v.store(points + (i * kP + j) * step + c); });
      });
}

template <class F>
void filter(int64_t rows, int64_t channels, const float* g, bool flipped, float* points,
            int64_t step) {
  constexpr int kP = F::kPoints;
  const int64_t first = flipped ? 8 * channels : 0, next = flipped ? -channels : channels;
  for (int64_t r = 0; r < rows; ++r, g += 9 * channels, points += channels)
    for (int64_t c = 0; c < channels; c += V::kLanes)
      transform<3, kP>([&](int i, int j) { return V::load(g + first + (i * 3 + j) * next + c); },
                       F::filter,
                       [&](int i, int j, V u) { u.store(points + (i * kP + j) * step + c); });
}

template <class F>
void filter_gradient(int64_t channels, const float* points, int64_t step, int64_t parts,
                     int64_t part, float* g) {
  constexpr int kP = F::kPoints;
  const auto sum = [&](const float* from) {
    V u = V::load(from);
    for (int64_t i = 1; i < parts; ++i) u = u + V::load(from + i * part);
    return u;
  };
  for (int64_t c = 0; c < channels; c += V::kLanes)
    transform<kP, 3>([&](int i, int j) { return sum(points + (i * kP + j) * step + c); },
                     F::filter_gradient,
                     [&](int i, int j, V x) { x.store(g + (i * 3 + j) * channels + c); });
}

template <class F>
constexpr WinogradLoops table() {
  return {.tile = F::kTile,
          .points = F::kPoints * F::kPoints,
          .input = input<F>,
          .output = output<F>,
          .output_gradient = output_gradient<F>,
          .filter = filter<F>,
          .filter_gradient = filter_gradient<F>};
}

}  // namespace

const WinogradLoops winograd_f2 = table<F2>();
const WinogradLoops winograd_f4 = table<F4>();

}  // namespace brume::cpu::BRUME_ISA
