#include <brume/core/kernels/norm.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/isa/norm.h>
#include <brume/core/cpu/isa/softmax.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/cpu/widen.h>

namespace brume {
namespace cpu {
namespace {

template <class T>
const ChannelLoops<T>& channels_of() {
  if constexpr (std::is_same_v<T, float>)
    return channel_loops();
  else
    return portable::channel_loops_f64;
}

// Group norm. An image's pixels are cut into chunks that follow from its own size; sums of a chunk
// are taken in blocks of few pixels and added up in f64, chunk after chunk, so that neither the
// batch nor the number of threads shows in the bits.

constexpr int64_t kChunkNumbers = 16 * 1024;  // 64 KB: the second pass over a chunk finds it in L2
constexpr int64_t kBlockPixels = 256;         // summed in one f32 lane
// With fewer images their chunks are spread over the threads; with more, one thread takes an image
// through all stages while it is warm.
constexpr int64_t kManyImages = 8;

struct Images {
  int64_t batch, channels, pixels, groups;
  int64_t chunk_pixels, chunks;  // per image

  Images(const View& x, int64_t group_count)
      : batch(x.shape[0]), channels(x.shape[1]), pixels(1), groups(group_count) {
    for (int i = 2; i < x.rank(); ++i) pixels *= x.shape[i];
    chunk_pixels = std::max<int64_t>(kChunkNumbers / std::max<int64_t>(channels, 1), 1);
    chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
  }
  int64_t first_pixel(int64_t chunk) const { return chunk * chunk_pixels; }
  int64_t pixels_of(int64_t chunk) const {
    return std::min(chunk_pixels, pixels - first_pixel(chunk));
  }
  int64_t offset(int64_t image, int64_t chunk) const {
    return (image * pixels + first_pixel(chunk)) * channels;
  }

  // first(image, chunk) for all chunks, then between(image), then last(image, chunk).
  template <class First, class Between, class Last>
  void run(First first, Between between, Last last) const {
    if (batch >= kManyImages) {
      parallel_chunks(batch, [&](int64_t n) {
        for (int64_t c = 0; c < chunks; ++c) first(n, c);
        between(n);
        for (int64_t c = 0; c < chunks; ++c) last(n, c);
      });
      return;
    }
    parallel_chunks(batch * chunks, [&](int64_t i) { first(i / chunks, i % chunks); });
    for (int64_t n = 0; n < batch; ++n) between(n);
    parallel_chunks(batch * chunks, [&](int64_t i) { last(i / chunks, i % chunks); });
  }

  // f(first_pixel, pixels) for the blocks of a chunk, counted from its beginning.
  template <class F>
  void for_blocks(int64_t chunk, F f) const {
    const int64_t n = pixels_of(chunk);
    for (int64_t p = 0; p < n; p += kBlockPixels) f(p, std::min(kBlockPixels, n - p));
  }
};

// Per image and channel, with center = mean - add:
//   y = act((x - center) slope + offset)
template <class T>
struct Coefficients {
  T *center, *slope, *offset;  // [batch, channels]
  T* gain;                     // weight (1 + scale): slope = rstd gain
};

// A term's value for one image and channel, or what its absence means.
template <class T>
T at(const View& term, int64_t image, int64_t channel, T absent) {
  if (!term) return absent;
  return term.as<T>()[term.rank() == 2 ? image * term.stride(0) + channel : channel];
}

template <class T>
void fill_coefficients(const Images& im, int64_t n, const GroupNormTerms& t, const T* mean,
                       const T* rstd, const Coefficients<T>& out) {
  const int64_t per_group = im.channels / im.groups;
  for (int64_t c = 0; c < im.channels; ++c) {
    const int64_t i = n * im.channels + c, g = n * im.groups + c / per_group;
    const T scale = T(1) + at<T>(t.scale, n, c, 0);
    out.center[i] = mean[g] - at<T>(t.add, n, c, 0);
    out.gain[i] = at<T>(t.weight, n, c, 1) * scale;
    out.slope[i] = rstd[g] * out.gain[i];
    out.offset[i] = at<T>(t.bias, n, c, 0) * scale + at<T>(t.shift, n, c, 0);
  }
}

template <class T>
Coefficients<T> take_coefficients(Scratch& scratch, const Images& im) {
  const int64_t n = im.batch * im.channels;
  return {scratch.take<T>(n), scratch.take<T>(n), scratch.take<T>(n), scratch.take<T>(n)};
}

// Mean of each channel of a chunk, and the sum of squared deviations from it. The first pass gives
// a shift near the mean, so that the second loses nothing to cancellation.
template <class T>
void chunk_moments(const Images& im, int64_t chunk, const T* x, double* mean, double* squares) {
  const ChannelLoops<T>& loops = channels_of<T>();
  const int64_t channels = im.channels, n = im.pixels_of(chunk);
  Scratch scratch;
  T *shift = scratch.take<T>(channels), *s = scratch.take<T>(channels),
    *q = scratch.take<T>(channels);
  std::fill_n(s, channels, T(0));
  loops.moments(n, channels, x, s, shift, nullptr);
  for (int64_t c = 0; c < channels; ++c) shift[c] /= static_cast<T>(n);
  std::fill_n(mean, channels, 0.0);
  std::fill_n(squares, channels, 0.0);
  im.for_blocks(chunk, [&](int64_t p, int64_t pixels) {
    loops.moments(pixels, channels, x + p * channels, shift, s, q);
    for (int64_t c = 0; c < channels; ++c) mean[c] += s[c], squares[c] += q[c];
  });
  for (int64_t c = 0; c < channels; ++c) {
    const double m = mean[c] / static_cast<double>(n);
    squares[c] -= mean[c] * m;
    mean[c] = shift[c] + m;
  }
}

// Joins the moments of an image's chunks and channels, [chunks, 2, channels], to those of its
// groups.
template <class T>
void join_moments(const Images& im, int64_t n, const double* moments, const View& add,
                  const GroupNormParams& p, T* mean, T* rstd) {
  const int64_t per_group = im.channels / im.groups;
  const double count = static_cast<double>(per_group * im.pixels);
  for (int64_t g = 0; g < im.groups; ++g) {
    double m = 0, squares = 0;
    const auto each = [&](auto f) {
      for (int64_t chunk = 0; chunk < im.chunks; ++chunk)
        for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
          const double* at_chunk = moments + chunk * 2 * im.channels;
          f(static_cast<double>(im.pixels_of(chunk)), at_chunk[c] + at<T>(add, n, c, 0),
            at_chunk[im.channels + c]);
        }
    };
    each([&](double k, double channel_mean, double) { m += k * channel_mean; });
    m /= count;
    each([&](double k, double channel_mean, double q) {
      squares += q + k * (channel_mean - m) * (channel_mean - m);
    });
    const double variance = squares / (count - (p.unbiased ? 1 : 0));
    mean[g] = static_cast<T>(m);
    rstd[g] = static_cast<T>(1 / std::sqrt(variance + p.eps));
  }
}

template <class T>
void group_norm_of(const View& x, const GroupNormTerms& terms, const GroupNormParams& p,
                   const View& y, const View& mean, const View& rstd) {
  const Images im(x, p.groups);
  const ChannelLoops<T>& loops = channels_of<T>();
  Scratch scratch;
  const Coefficients<T> k = take_coefficients<T>(scratch, im);
  double* moments = scratch.take<double>(im.batch * im.chunks * 2 * im.channels);
  im.run(
      [&](int64_t n, int64_t chunk) {
        double* m = moments + (n * im.chunks + chunk) * 2 * im.channels;
        chunk_moments(im, chunk, x.as<T>() + im.offset(n, chunk), m, m + im.channels);
      },
      [&](int64_t n) {
        join_moments(im, n, moments + n * im.chunks * 2 * im.channels, terms.add, p,
                     mean.as<T>() + n * im.groups, rstd.as<T>() + n * im.groups);
        fill_coefficients(im, n, terms, mean.as<T>(), rstd.as<T>(), k);
      },
      [&](int64_t n, int64_t chunk) {
        const int64_t c = n * im.channels;
        loops.affine(im.pixels_of(chunk), im.channels, x.as<T>() + im.offset(n, chunk),
                     k.center + c, k.slope + c, k.offset + c, p.silu,
                     y.as<T>() + im.offset(n, chunk));
      });
}

// What backward sums up per image and channel, with g the gradient in front of the activation and
// d = x - center.
struct ChannelSums {
  double g, gd, d;
};

// gx = g slope - (u + v d), per channel of one image; gradients of the image's own terms.
template <class T>
void image_gradients(const Images& im, int64_t n, const GroupNormTerms& terms,
                     const GroupNormParams& p, const T* rstd, const Coefficients<T>& k,
                     const ChannelSums* sums, T* u, T* v, const GroupNormTerms& grads) {
  const int64_t per_group = im.channels / im.groups;
  const double count = static_cast<double>(per_group * im.pixels);
  const double freedom = count - (p.unbiased ? 1 : 0);
  for (int64_t group = 0; group < im.groups; ++group) {
    const double r = rstd[n * im.groups + group];
    double of_mean = 0, of_scale = 0;  // sums of the normalised values' gradient, and times d
    for (int64_t c = group * per_group; c < (group + 1) * per_group; ++c) {
      const double gain = k.gain[n * im.channels + c];
      of_mean += gain * sums[c].g;
      of_scale += gain * sums[c].gd;
    }
    const double u_group = r * of_mean / count, v_group = r * r * r * of_scale / freedom;
    for (int64_t c = group * per_group; c < (group + 1) * per_group; ++c) {
      const int64_t i = n * im.channels + c;
      u[i] = static_cast<T>(u_group);
      v[i] = static_cast<T>(v_group);
      const double gn = r * sums[c].gd;  // sum of g times the normalised value
      if (grads.add)
        grads.add.as<T>()[i] =
            static_cast<T>(k.slope[i] * sums[c].g - u_group * static_cast<double>(im.pixels) -
                           v_group * sums[c].d);
      if (grads.scale)
        grads.scale.as<T>()[i] = static_cast<T>(at<T>(terms.weight, n, c, 1) * gn +
                                                at<T>(terms.bias, n, c, 0) * sums[c].g);
      if (grads.shift) grads.shift.as<T>()[i] = static_cast<T>(sums[c].g);
    }
  }
}

// Gradients of weight and bias, which all images share.
template <class T>
void shared_gradients(const Images& im, const GroupNormTerms& terms, const T* rstd,
                      const ChannelSums* sums, const GroupNormTerms& grads) {
  const int64_t per_group = im.channels / im.groups;
  for (int64_t c = 0; c < im.channels; ++c) {
    double gw = 0, gb = 0;
    for (int64_t n = 0; n < im.batch; ++n) {
      const ChannelSums& s = sums[n * im.channels + c];
      const double scale = 1 + static_cast<double>(at<T>(terms.scale, n, c, 0));
      gw += scale * rstd[n * im.groups + c / per_group] * s.gd;
      gb += scale * s.g;
    }
    if (grads.weight) grads.weight.as<T>()[c] = static_cast<T>(gw);
    if (grads.bias) grads.bias.as<T>()[c] = static_cast<T>(gb);
  }
}

template <class T>
void group_norm_backward_of(const View& x, const GroupNormTerms& terms, const View& mean,
                            const View& rstd, const GroupNormParams& p, const View& gy,
                            const View& gx, const GroupNormTerms& grads) {
  const Images im(x, p.groups);
  const ChannelLoops<T>& loops = channels_of<T>();
  Scratch scratch;
  const Coefficients<T> k = take_coefficients<T>(scratch, im);
  T *u = scratch.take<T>(im.batch * im.channels), *v = scratch.take<T>(im.batch * im.channels);
  auto* sums = scratch.take<ChannelSums>(im.batch * im.channels);
  auto* parts = scratch.take<ChannelSums>(im.batch * im.chunks * im.channels);
  for (int64_t n = 0; n < im.batch; ++n)
    fill_coefficients(im, n, terms, mean.as<T>(), rstd.as<T>(), k);

  const auto sum_chunk = [&](int64_t n, int64_t chunk) {
    Scratch local;
    T* s = local.take<T>(3 * im.channels);
    ChannelSums* part = parts + (n * im.chunks + chunk) * im.channels;
    std::fill_n(part, im.channels, ChannelSums{});
    im.for_blocks(chunk, [&](int64_t pixel, int64_t pixels) {
      const int64_t first = im.offset(n, chunk) + pixel * im.channels, c = n * im.channels;
      loops.affine_sums(pixels, im.channels, x.as<T>() + first, k.center + c, k.slope + c,
                        k.offset + c, p.silu, gy.as<T>() + first, gx.as<T>() + first, s);
      for (int64_t i = 0; i < im.channels; ++i) {
        part[i].g += s[i];
        part[i].gd += s[im.channels + i];
        part[i].d += s[2 * im.channels + i];
      }
    });
  };
  const auto join = [&](int64_t n) {
    ChannelSums* image = sums + n * im.channels;
    std::fill_n(image, im.channels, ChannelSums{});
    for (int64_t chunk = 0; chunk < im.chunks; ++chunk)
      for (int64_t c = 0; c < im.channels; ++c) {
        const ChannelSums& part = parts[(n * im.chunks + chunk) * im.channels + c];
        image[c].g += part.g;
        image[c].gd += part.gd;
        image[c].d += part.d;
      }
    image_gradients(im, n, terms, p, rstd.as<T>(), k, image, u, v, grads);
  };
  const auto finish_chunk = [&](int64_t n, int64_t chunk) {
    const int64_t first = im.offset(n, chunk), c = n * im.channels;
    loops.affine_grad(im.pixels_of(chunk), im.channels, x.as<T>() + first, k.center + c,
                      k.slope + c, u + c, v + c, (p.silu ? gx : gy).template as<T>() + first,
                      gx.as<T>() + first);
  };
  im.run(sum_chunk, join, finish_chunk);
  shared_gradients(im, terms, rstd.as<T>(), sums, grads);
}

// f(term) for each term.
template <class F>
GroupNormTerms map(const GroupNormTerms& t, F f) {
  return {.weight = f(t.weight),
          .bias = f(t.bias),
          .add = f(t.add),
          .scale = f(t.scale),
          .shift = f(t.shift)};
}

void group_norm(const View& x, const GroupNormTerms& terms, const GroupNormParams& p, const View& y,
                const View& mean, const View& rstd) {
  Widened w;
  const View wx = w.in(x), wy = w.out(y);
  const GroupNormTerms wt = map(terms, [&](const View& v) { return w.in(v); });
  dispatch<float, double>(wx.dtype, "group_norm", [&](auto type) {
    group_norm_of<typename decltype(type)::type>(wx, wt, p, wy, mean, rstd);
  });
  w.finish();
}

void group_norm_backward(const View& x, const GroupNormTerms& terms, const View& mean,
                         const View& rstd, const GroupNormParams& p, const View& gy, const View& gx,
                         const GroupNormTerms& grads) {
  Widened w;
  const View wx = w.in(x), wgy = w.in(gy), wgx = w.out(gx);
  const GroupNormTerms wt = map(terms, [&](const View& v) { return w.in(v); });
  const GroupNormTerms wg = map(grads, [&](const View& v) { return w.out(v); });
  dispatch<float, double>(wx.dtype, "group_norm_backward", [&](auto type) {
    group_norm_backward_of<typename decltype(type)::type>(wx, wt, mean, rstd, p, wgy, wgx, wg);
  });
  w.finish();
}

// Norms over rows. Rows of one line of weights are cut into chunks; a chunk's gradients of weight
// and bias are summed in T and joined in f64, in order.

constexpr int64_t kChunkRows = 64;

template <class T>
const RowLoops<T>& rows_of() {
  if constexpr (std::is_same_v<T, float>)
    return row_loops();
  else
    return portable::row_loops_f64;
}

struct Rows {
  int64_t rows, width, groups, per_group;
  int64_t chunks;  // per group

  Rows(const View& x, const View& weight, const View& bias)
      : rows(x.shape[0]),
        width(x.shape[1]),
        groups(weight ? weight.shape[0]
               : bias ? bias.shape[0]
                      : 1),
        per_group(rows / std::max<int64_t>(groups, 1)),
        chunks((per_group + kChunkRows - 1) / kChunkRows) {}

  // f(group, chunk of all, first row, rows)
  template <class F>
  void for_chunks(F f) const {
    parallel_chunks(groups * chunks, [&](int64_t i) {
      const int64_t group = i / chunks, first = i % chunks * kChunkRows;
      f(group, i, group * per_group + first, std::min(kChunkRows, per_group - first));
    });
  }
};

// [groups, width]: the term plus offset, or `absent` everywhere.
template <class T>
const T* lines(Scratch& scratch, const Rows& r, const View& term, double offset, double absent) {
  T* out = scratch.take<T>(r.groups * r.width);
  if (!term) {
    std::fill_n(out, r.groups * r.width, static_cast<T>(absent));
    return out;
  }
  for (int64_t g = 0; g < r.groups; ++g)
    for (int64_t i = 0; i < r.width; ++i)
      out[g * r.width + i] = term.as<T>()[g * term.stride(0) + i] + static_cast<T>(offset);
  return out;
}

template <class T>
void row_norm_of(const View& x, const View& weight, const View& bias, const RowNormParams& p,
                 const View& y, const View& mean, const View& rstd) {
  const Rows r(x, weight, bias);
  Scratch scratch;
  const T* w = lines<T>(scratch, r, weight, p.weight_offset, 1);
  const T* b = lines<T>(scratch, r, bias, 0, 0);
  r.for_chunks([&](int64_t group, int64_t, int64_t row, int64_t rows) {
    rows_of<T>().norm(rows, r.width, static_cast<T>(p.eps), x.as<T>() + row * r.width,
                      w + group * r.width, b + group * r.width, y.as<T>() + row * r.width,
                      p.center ? mean.as<T>() + row : nullptr, rstd.as<T>() + row);
  });
}

// out[group] = sum of parts[group][chunk], in f64.
template <class T>
void join_lines(const Rows& r, const T* parts, int64_t part_size, const View& out) {
  if (!out) return;
  parallel_for(r.groups * r.width, 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / r.width, column = i % r.width;
      double total = 0;
      for (int64_t c = 0; c < r.chunks; ++c)
        total += parts[(group * r.chunks + c) * part_size + column];
      out.as<T>()[i] = static_cast<T>(total);
    }
  });
}

template <class T>
void row_norm_backward_of(const View& x, const View& weight, const View& mean, const View& rstd,
                          const RowNormParams& p, const View& gy, const View& gx,
                          const View& gweight, const View& gbias) {
  const Rows r(x, weight ? weight : gweight, gbias);
  Scratch scratch;
  const T* w = lines<T>(scratch, r, weight, p.weight_offset, 1);
  const int64_t part_size = 2 * r.width;
  T* parts = scratch.take<T>(r.groups * r.chunks * part_size);
  r.for_chunks([&](int64_t group, int64_t chunk, int64_t row, int64_t rows) {
    T* part = parts + chunk * part_size;
    std::fill_n(part, part_size, T(0));
    rows_of<T>().norm_grad(rows, r.width, x.as<T>() + row * r.width, w + group * r.width,
                           p.center ? mean.as<T>() + row : nullptr, rstd.as<T>() + row,
                           gy.as<T>() + row * r.width, gx.as<T>() + row * r.width, part,
                           part + r.width);
  });
  join_lines<T>(r, parts, part_size, gweight);
  join_lines<T>(r, parts + r.width, part_size, gbias);
}

void row_norm(const View& x, const View& weight, const View& bias, const RowNormParams& p,
              const View& y, const View& mean, const View& rstd) {
  Widened w;
  const View wx = w.in(x), ww = w.in(weight), wb = w.in(bias), wy = w.out(y);
  dispatch<float, double>(wx.dtype, "row_norm", [&](auto type) {
    row_norm_of<typename decltype(type)::type>(wx, ww, wb, p, wy, mean, rstd);
  });
  w.finish();
}

void row_norm_backward(const View& x, const View& weight, const View& mean, const View& rstd,
                       const RowNormParams& p, const View& gy, const View& gx, const View& gweight,
                       const View& gbias) {
  Widened w;
  const View wx = w.in(x), ww = w.in(weight), wgy = w.in(gy), wgx = w.out(gx), wgw = w.out(gweight),
             wgb = w.out(gbias);
  dispatch<float, double>(wx.dtype, "row_norm_backward", [&](auto type) {
    row_norm_backward_of<typename decltype(type)::type>(wx, ww, mean, rstd, p, wgy, wgx, wgw, wgb);
  });
  w.finish();
}

// Softmax.

template <class T>
const SoftmaxLoops<T>& softmax_of() {
  if constexpr (std::is_same_v<T, float>)
    return softmax_loops();
  else
    return portable::softmax_loops_f64;
}

template <bool kLog>
void softmax_rows(const View& x, const View& y) {
  Widened w;
  const View wx = w.in(x), wy = w.out(y);
  dispatch<float, double>(wx.dtype, kLog ? "log_softmax" : "softmax", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto f = kLog ? softmax_of<T>().log_softmax : softmax_of<T>().softmax;
    const int64_t width = wx.shape[1];
    const int64_t grain = std::max<int64_t>(kChunkNumbers / std::max<int64_t>(width, 1), 1);
    parallel_for(wx.shape[0], grain, [&](int64_t begin, int64_t end) {
      f(end - begin, width, wx.as<T>() + begin * width, wy.as<T>() + begin * width);
    });
  });
  w.finish();
}

}  // namespace
}  // namespace cpu

const NormKernels cpu_norm{.group_norm = cpu::group_norm,
                           .group_norm_backward = cpu::group_norm_backward,
                           .row_norm = cpu::row_norm,
                           .row_norm_backward = cpu::row_norm_backward,
                           .softmax = cpu::softmax_rows<false>,
                           .log_softmax = cpu::softmax_rows<true>};

}  // namespace brume
