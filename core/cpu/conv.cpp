#include <algorithm>
#include <type_traits>

#include <brume/core/cpu/conv_driver.h>
#include <brume/core/cpu/conv_winograd.h>
#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>

namespace brume::cpu {
namespace {

// Fewer than three dimensions are the last ones of three.
int missing(const View& x) { return 5 - x.rank(); }

ConvShape shape_of(const View& x, const View& w, const ConvParams& p, const View& y) {
  ConvShape s{};
  s.batch = x.size(0);
  s.groups = p.groups;
  s.ci = w.size(1);
  s.co = w.size(0) / p.groups;
  for (int i = 0; i < 3; ++i) {
    const int axis = i - missing(x);
    const bool there = axis >= 0;
    s.in[i] = there ? x.size(axis + 2) : 1;
    s.out[i] = there ? y.size(axis + 2) : 1;
    s.kernel[i] = there ? w.size(axis + 2) : 1;
    s.stride[i] = there ? p.stride[axis] : 1;
    s.padding[i] = there ? p.padding[axis] : 0;
    s.dilation[i] = there ? p.dilation[axis] : 1;
  }
  return s;
}

template <class T>
Image<T> image(const View& x) {
  Image<T> image{x.as<T>(), 0, {0, 0, 0}};
  if (!x) return image;
  image.batch = x.stride(0);
  for (int i = missing(x); i < 3; ++i) image.space[i] = x.stride(i - missing(x) + 2);
  return image;
}

template <class T>
Filter<T> filter(const View& w, const ConvShape& s) {
  Filter<T> f{w.as<const T>(), s.co * w.stride(0), w.stride(0), w.stride(1), {0, 0, 0}};
  for (int i = missing(w); i < 3; ++i) f.space[i] = w.stride(i - missing(w) + 2);
  return f;
}

template <class T>
ConvTerms<T> terms(const ConvEpilogue& e) {
  return {e.bias.as<const T>(), e.per_sample.as<const T>(),
          e.per_sample ? e.per_sample.stride(0) : 0, image<const T>(e.residual),
          static_cast<T>(e.scale)};
}

void forward(const View& x, const View& w, const ConvParams& p, const ConvEpilogue& e,
             const View& y) {
  const ConvShape s = shape_of(x, w, p, y);
  dispatch<float, double>(x.dtype, "conv", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_same_v<T, float>)
      if (const WinogradLoops* loops = winograd_loops(s, p.algorithm))
        return winograd_forward(*loops, s, image<const T>(x), filter<T>(w, s), terms<T>(e),
                                image<T>(y));
    direct_forward(s, image<const T>(x), filter<T>(w, s), terms<T>(e), image<T>(y));
  });
}

void input_gradient(const View& gy, const View& w, const ConvParams& p, const ConvEpilogue& e,
                    const View& gx) {
  const ConvShape s = shape_of(gx, w, p, gy);
  dispatch<float, double>(gy.dtype, "conv_input_gradient", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_same_v<T, float>)
      if (const WinogradLoops* loops = winograd_loops(s, p.algorithm))
        return winograd_input_gradient(*loops, s, image<const T>(gy), filter<T>(w, s), terms<T>(e),
                                       image<T>(gx));
    direct_input_gradient(s, image<const T>(gy), filter<T>(w, s), terms<T>(e), image<T>(gx));
  });
}

// Sums over all pixels, in pieces that the problem alone decides.
template <class T>
void sum_pixels(const ConvShape& s, const Image<const T>& x, T* sums) {
  constexpr int64_t kPiecePixels = 2048;
  const int64_t channels = s.groups * s.co, rows = s.batch * s.out[0] * s.out[1];
  const int64_t piece_rows = std::max<int64_t>(kPiecePixels / std::max<int64_t>(s.out[2], 1), 1);
  const int64_t pieces = (rows + piece_rows - 1) / piece_rows;
  Scratch scratch;
  T* parts = scratch.take<T>(pieces * channels);
  parallel_for(rows, piece_rows, [&](int64_t begin, int64_t end) {
    T* part = parts + begin / piece_rows * channels;
    std::fill_n(part, channels, T(0));
    for (int64_t r = begin; r < end; ++r)
      for (int64_t w = 0; w < s.out[2]; ++w) {
        const T* pixel = x.at(r / (s.out[0] * s.out[1]), r / s.out[1] % s.out[0], r % s.out[1], w);
        for (int64_t c = 0; c < channels; ++c) part[c] += pixel[c];
      }
  });
  std::fill_n(sums, channels, T(0));
  for (int64_t i = 0; i < pieces; ++i)
    for (int64_t c = 0; c < channels; ++c) sums[c] += parts[i * channels + c];
}

template <class T>
void weight_gradient(const ConvShape& s, const Image<const T>& x, const Image<const T>& gy,
                     ConvAlgorithm algorithm, T* gw) {
  if constexpr (std::is_same_v<T, float>)
    if (const WinogradLoops* loops = winograd_loops(s, algorithm))
      return winograd_weight_gradient(*loops, s, x, gy, gw);
  direct_weight_gradient(s, x, gy, gw);
}

void weight_gradient(const View& x, const View& gy, const ConvParams& p, const View& gw,
                     const View& gb) {
  const ConvShape s = shape_of(x, gw, p, gy);
  dispatch<float, double>(x.dtype, "conv_weight_gradient", [&](auto type) {
    using T = typename decltype(type)::type;
    weight_gradient(s, image<const T>(x), image<const T>(gy), p.algorithm, gw.as<T>());
    if (gb) sum_pixels(s, image<const T>(gy), gb.as<T>());
  });
}

}  // namespace
}  // namespace brume::cpu

namespace brume {

const ConvKernels cpu_conv{.forward = cpu::forward,
                           .input_gradient = cpu::input_gradient,
                           .weight_gradient = cpu::weight_gradient};

}  // namespace brume
