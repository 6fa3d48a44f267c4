#include <type_traits>

#include <brume/core/cpu/conv_driver.h>
#include <brume/core/cpu/conv_pointwise.h>
#include <brume/core/cpu/conv_winograd.h>
#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/widen.h>

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

template <class T>
bool can_multiply(const ConvShape& s, const View& from, const View& to, const ConvEpilogue& e) {
  return is_pointwise(s) && evenly_spaced(s, image<T>(from)) && evenly_spaced(s, image<T>(to)) &&
         (!e.residual || evenly_spaced(s, image<T>(e.residual)));
}

ConvEpilogue widened(Widened& wide, const ConvEpilogue& e) {
  return {.bias = wide.in(e.bias),
          .per_sample = wide.in(e.per_sample),
          .residual = wide.in(e.residual),
          .scale = e.scale};
}

void forward(const View& narrow_x, const View& narrow_w, const ConvParams& p,
             const ConvEpilogue& narrow_e, const View& narrow_y) {
  Widened wide;
  const View x = wide.in(narrow_x), w = wide.in(narrow_w), y = wide.out(narrow_y);
  const ConvEpilogue e = widened(wide, narrow_e);
  const ConvShape s = shape_of(x, w, p, y);
  dispatch<float, double>(x.dtype, "conv", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_same_v<T, float>)
      if (const WinogradLoops* loops = winograd_loops(s, p.algorithm))
        return winograd_forward(*loops, s, image<const T>(x), filter<T>(w, s), terms<T>(e),
                                image<T>(y));
    (can_multiply<T>(s, x, y, e)
         ? pointwise_forward<T>
         : direct_forward<T>)(s, image<const T>(x), filter<T>(w, s), terms<T>(e), image<T>(y));
  });
  wide.finish();
}

void input_gradient(const View& narrow_gy, const View& narrow_w, const ConvParams& p,
                    const ConvEpilogue& narrow_e, const View& narrow_gx) {
  Widened wide;
  const View gy = wide.in(narrow_gy), w = wide.in(narrow_w), gx = wide.out(narrow_gx);
  const ConvEpilogue e = widened(wide, narrow_e);
  const ConvShape s = shape_of(gx, w, p, gy);
  dispatch<float, double>(gy.dtype, "conv_input_gradient", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_same_v<T, float>)
      if (const WinogradLoops* loops = winograd_loops(s, p.algorithm))
        return winograd_input_gradient(*loops, s, image<const T>(gy), filter<T>(w, s), terms<T>(e),
                                       image<T>(gx));
    (can_multiply<T>(s, gy, gx, e) ? pointwise_input_gradient<T>
                                   : direct_input_gradient<T>)(s, image<const T>(gy),
                                                               filter<T>(w, s), terms<T>(e),
                                                               image<T>(gx));
  });
  wide.finish();
}

template <class T>
void weight_gradient(const ConvShape& s, const Image<const T>& x, const Image<const T>& gy,
                     ConvAlgorithm algorithm, T* gw) {
  if constexpr (std::is_same_v<T, float>)
    if (const WinogradLoops* loops = winograd_loops(s, algorithm))
      return winograd_weight_gradient(*loops, s, x, gy, gw);
  if (is_pointwise(s) && evenly_spaced(s, x) && evenly_spaced(s, gy) && samples_continue(s, x) &&
      samples_continue(s, gy))
    return pointwise_weight_gradient(s, x, gy, gw);
  direct_weight_gradient(s, x, gy, gw);
}

void weight_gradient(const View& narrow_x, const View& narrow_gy, const ConvParams& p,
                     const View& narrow_gw, const View& gb) {
  Widened wide;
  const View x = wide.in(narrow_x), gy = wide.in(narrow_gy), gw = wide.out(narrow_gw);
  const ConvShape s = shape_of(x, gw, p, gy);
  dispatch<float, double>(x.dtype, "conv_weight_gradient", [&](auto type) {
    using T = typename decltype(type)::type;
    weight_gradient(s, image<const T>(x), image<const T>(gy), p.algorithm, gw.as<T>());
  });
  wide.finish();
  if (!gb) return;
  Shape channels = Shape::filled(narrow_gy.rank(), 1);
  channels[1] = narrow_gy.size(1);
  const View sums{gb.data, gb.dtype, channels, dense_strides(channels)};
  cpu_reduce.reduce(ReduceOp::sum, 1, narrow_gy, sums);
}

}  // namespace
}  // namespace brume::cpu

namespace brume {

const ConvKernels cpu_conv{.forward = cpu::forward,
                           .input_gradient = cpu::input_gradient,
                           .weight_gradient = cpu::weight_gradient};

}  // namespace brume
