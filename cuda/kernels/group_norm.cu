// Group norm with what stands around it: y = act((x - center) slope + offset) per image and
// channel.
//
// Forward: sums of (x - shift) and its square per channel, shift = the image's first pixel, so that
// a large mean does not eat the variance; a warp joins a group's channels in f64 and leaves the
// coefficients; one pass applies them. Backward has the same shape: sums, join, apply. Traffic: two
// reads and a write of x (the second read from L2 below about 30 MB), four reads and a write back.

#include <brume/cuda/kernels/group_norm.h>

#include <brume/cuda/channel_grid.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/device/channel_sums.cuh>
#include <brume/cuda/device/reduce.cuh>

namespace brume::cuda {
namespace {

/// A term per channel, or per image and channel; null = absent.
template <class T>
struct Term {
  T* data;
  int64_t row;  // 0: shared by the images

  explicit Term(const View& v) : data(v.as<T>()), row(v && v.rank() == 2 ? v.stride(0) : 0) {}
  __device__ Wide<T> at(int64_t image, int channel, Wide<T> absent) const {
    return data ? static_cast<Wide<T>>(data[image * row + channel]) : absent;
  }
};

template <class T>
struct Terms {
  Term<T> weight, bias, add, scale, shift;
  explicit Terms(const GroupNormTerms& t)
      : weight(t.weight), bias(t.bias), add(t.add), scale(t.scale), shift(t.shift) {}
};

struct Groups {
  int count, size;  // channels of one
  bool unbiased;
  double eps;
};

/// Rows [image][kRows][channel] of numbers per channel.
enum : int { kCenter, kSlope, kOffset, kCoefficients };

template <class T>
__device__ inline void put_coefficients(const ChannelGrid& g, const Terms<T>& t, int64_t image,
                                        int c, Wide<T> mean, Wide<T> rstd, Wide<T>* out) {
  const Wide<T> scale = 1 + t.scale.at(image, c, 0);
  out += image * kCoefficients * g.channels + c;
  out[kCenter * g.channels] = mean - t.add.at(image, c, 0);
  out[kSlope * g.channels] = rstd * t.weight.at(image, c, 1) * scale;
  out[kOffset * g.channels] = t.bias.at(image, c, 0) * scale + t.shift.at(image, c, 0);
}

template <int kRows, int kV, class A>
__device__ inline void load_rows(const ChannelGrid& g, int64_t image, int channel, const A* from,
                                 A (&out)[kRows][kV]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int v = 0; v < kV; ++v) out[r][v] = from[(image * kRows + r) * g.channels + channel + v];
}

// ---- forward

template <class T, int kV>
__global__ void __launch_bounds__(kChannelThreads)
    moment_sums(ChannelGrid g, const T* x, Wide<T>* part) {
  const ChannelShare<kV> mine(g);
  Wide<T> shift[kV] = {};
  if (mine.busy) load_wide<kV>(x + mine.at(g, 0), shift);
  channel_sums<2, kV>(g, mine, part, [&](int64_t pixel, Wide<T>(&sums)[2][kV]) {
    Wide<T> v[kV];
    load_wide<kV>(x + mine.at(g, pixel), v);
#pragma unroll
    for (int i = 0; i < kV; ++i) {
      const Wide<T> d = v[i] - shift[i];
      sums[0][i] += d;
      sums[1][i] += d * d;
    }
  });
}

// The total of sum n of a channel over the chunks, in order.
template <int kN, class A>
__device__ inline double join_chunks(const ChannelGrid& g, const A* part, int64_t image, int n,
                                     int c) {
  double total = 0;
#pragma unroll 1
  for (int chunk = 0; chunk < g.chunks; ++chunk)
    total += static_cast<double>(part[((image * g.chunks + chunk) * kN + n) * g.channels + c]);
  return total;
}

// A warp per (image, group).
template <class T>
__global__ void __launch_bounds__(kWarpLanes)
    join_moments(ChannelGrid g, Groups groups, Terms<T> terms, const T* x, const Wide<T>* part,
                 Wide<T>* mean, Wide<T>* rstd, Wide<T>* coefficients) {
  const int64_t image = blockIdx.x / static_cast<uint32_t>(groups.count);
  const int group = static_cast<int>(blockIdx.x % static_cast<uint32_t>(groups.count));
  const int begin = group * groups.size, end = begin + groups.size;
  const int lane = static_cast<int>(threadIdx.x);
  const auto pixels = static_cast<double>(g.pixels);
  const auto channel_mean = [&](int c, double sum) {
    const auto shift = static_cast<double>(
        static_cast<Wide<T>>(x[image * g.pixels * g.channels + c]) + terms.add.at(image, c, 0));
    return shift + sum / pixels;
  };
  double total = 0;
#pragma unroll 1
  for (int c = begin + lane; c < end; c += kWarpLanes)
    total += channel_mean(c, join_chunks<2>(g, part, image, 0, c));
  const double m = warp_reduce<Sum>(total) / groups.size;
  double squares = 0;
#pragma unroll 1
  for (int c = begin + lane; c < end; c += kWarpLanes) {
    const double sum = join_chunks<2>(g, part, image, 0, c);
    const double apart = channel_mean(c, sum) - m;
    squares += join_chunks<2>(g, part, image, 1, c) - sum * sum / pixels + pixels * apart * apart;
  }
  squares = warp_reduce<Sum>(squares);
  const double count = pixels * groups.size - (groups.unbiased ? 1 : 0);
  const auto r = static_cast<Wide<T>>(1 / root_of(squares / count + groups.eps));
  if (lane == 0) {
    mean[blockIdx.x] = static_cast<Wide<T>>(m);
    rstd[blockIdx.x] = r;
  }
#pragma unroll 1
  for (int c = begin + lane; c < end; c += kWarpLanes)
    put_coefficients(g, terms, image, c, static_cast<Wide<T>>(m), r, coefficients);
}

template <class T, int kV, bool kSilu>
__global__ void __launch_bounds__(kChannelThreads)
    apply(ChannelGrid g, const T* x, const Wide<T>* coefficients, T* y) {
  const ChannelShare<kV> mine(g);
  if (!mine.busy) return;
  Wide<T> k[kCoefficients][kV];
  load_rows(g, mine.image, mine.channel, coefficients, k);
#pragma unroll 2
  for (int64_t pixel = mine.begin; pixel < mine.end; pixel += mine.step) {
    Wide<T> v[kV];
    load_wide<kV>(x + mine.at(g, pixel), v);
#pragma unroll
    for (int i = 0; i < kV; ++i) {
      v[i] = (v[i] - k[kCenter][i]) * k[kSlope][i] + k[kOffset][i];
      if constexpr (kSilu) v[i] *= sigmoid_of(v[i]);
    }
    store_narrow(y + mine.at(g, pixel), v);
  }
}

// ---- backward; g: the gradient in front of the activation, d = x - center

template <class T>
__global__ void __launch_bounds__(kChannelThreads)
    recompute_coefficients(ChannelGrid g, Groups groups, Terms<T> terms, const Wide<T>* mean,
                           const Wide<T>* rstd, Wide<T>* out) {
  const int64_t i = int64_t{blockIdx.x} * kChannelThreads + threadIdx.x;
  if (i >= g.images * g.channels) return;
  const int64_t image = i / g.channels;
  const int c = static_cast<int>(i % g.channels);
  const int64_t group = image * groups.count + c / groups.size;
  put_coefficients(g, terms, image, c, mean[group], rstd[group], out);
}

/// The gradient in front of the activation, and d.
template <bool kSilu, class A>
__device__ inline A before_activation(A gy, A d, A slope, A offset) {
  if constexpr (!kSilu) return gy;
  const A z = d * slope + offset, s = sigmoid_of(z);
  return gy * s * (1 + z * (1 - s));
}

enum : int { kG, kGd, kD, kSums };

template <class T, int kV, bool kSilu>
__global__ void __launch_bounds__(kChannelThreads, 2)
    gradient_sums(ChannelGrid g, const T* x, const T* gy, const Wide<T>* coefficients,
                  Wide<T>* part) {
  const ChannelShare<kV> mine(g);
  Wide<T> k[kCoefficients][kV] = {};
  if (mine.busy) load_rows(g, mine.image, mine.channel, coefficients, k);
  channel_sums<kSums, kV>(g, mine, part, [&](int64_t pixel, Wide<T>(&sums)[kSums][kV]) {
    Wide<T> v[kV], go[kV];
    load_wide<kV>(x + mine.at(g, pixel), v);
    load_wide<kV>(gy + mine.at(g, pixel), go);
#pragma unroll
    for (int i = 0; i < kV; ++i) {
      const Wide<T> d = v[i] - k[kCenter][i];
      const Wide<T> gz = before_activation<kSilu>(go[i], d, k[kSlope][i], k[kOffset][i]);
      sums[kG][i] += gz;
      sums[kGd][i] += gz * d;
      sums[kD][i] += d;
    }
  });
}

// A warp per (image, group): totals [image][kSums][channel], what the group subtracts
// (uv [image][2][channel]), and the gradients of the image's own terms.
template <class T>
__global__ void __launch_bounds__(kWarpLanes)
    join_gradients(ChannelGrid g, Groups groups, Terms<T> terms, const Wide<T>* rstd,
                   const Wide<T>* coefficients, const Wide<T>* part, double* totals, Wide<T>* uv,
                   Terms<T> grads) {
  const int64_t image = blockIdx.x / static_cast<uint32_t>(groups.count);
  const int group = static_cast<int>(blockIdx.x % static_cast<uint32_t>(groups.count));
  const int begin = group * groups.size, end = begin + groups.size;
  const int lane = static_cast<int>(threadIdx.x);
  double of_mean = 0, of_scale = 0;
#pragma unroll 1
  for (int c = begin + lane; c < end; c += kWarpLanes) {
    double* total = totals + image * kSums * g.channels + c;
    for (int n = 0; n < kSums; ++n)
      total[n * g.channels] = join_chunks<kSums>(g, part, image, n, c);
    const double gain = static_cast<double>(terms.weight.at(image, c, 1)) *
                        (1 + static_cast<double>(terms.scale.at(image, c, 0)));
    of_mean += gain * total[kG * g.channels];
    of_scale += gain * total[kGd * g.channels];
  }
  of_mean = warp_reduce<Sum>(of_mean);
  of_scale = warp_reduce<Sum>(of_scale);
  const double r = rstd[blockIdx.x], count = static_cast<double>(g.pixels) * groups.size;
  const double u = r * of_mean / count;
  const double v = r * r * r * of_scale / (count - (groups.unbiased ? 1 : 0));
#pragma unroll 1
  for (int c = begin + lane; c < end; c += kWarpLanes) {
    const double* total = totals + image * kSums * g.channels + c;
    const double sum = total[kG * g.channels], gd = total[kGd * g.channels];
    uv[image * 2 * g.channels + c] = static_cast<Wide<T>>(u);
    uv[(image * 2 + 1) * g.channels + c] = static_cast<Wide<T>>(v);
    const auto put = [&](const Term<T>& to, double value) {
      if (to.data) to.data[image * to.row + c] = static_cast<T>(static_cast<Wide<T>>(value));
    };
    const double slope = coefficients[(image * kCoefficients + kSlope) * g.channels + c];
    put(grads.add, slope * sum - u * static_cast<double>(g.pixels) - v * total[kD * g.channels]);
    put(grads.scale, static_cast<double>(terms.weight.at(image, c, 1)) * r * gd +
                         static_cast<double>(terms.bias.at(image, c, 0)) * sum);
    put(grads.shift, sum);
  }
}

// Weight and bias, which the images share: a thread per channel adds them up in order.
template <class T>
__global__ void __launch_bounds__(kChannelThreads)
    shared_gradients(ChannelGrid g, Groups groups, Terms<T> terms, const Wide<T>* rstd,
                     const double* totals, Terms<T> grads) {
  const int c = static_cast<int>(blockIdx.x) * kChannelThreads + static_cast<int>(threadIdx.x);
  if (c >= g.channels) return;
  double gw = 0, gb = 0;
#pragma unroll 1
  for (int64_t image = 0; image < g.images; ++image) {
    const double* total = totals + image * kSums * g.channels + c;
    const double scale = 1 + static_cast<double>(terms.scale.at(image, c, 0));
    gw += scale * static_cast<double>(rstd[image * groups.count + c / groups.size]) *
          total[kGd * g.channels];
    gb += scale * total[kG * g.channels];
  }
  if (grads.weight.data) grads.weight.data[c] = static_cast<T>(static_cast<Wide<T>>(gw));
  if (grads.bias.data) grads.bias.data[c] = static_cast<T>(static_cast<Wide<T>>(gb));
}

template <class T, int kV, bool kSilu>
__global__ void __launch_bounds__(kChannelThreads)
    apply_gradient(ChannelGrid g, const T* x, const T* gy, const Wide<T>* coefficients,
                   const Wide<T>* uv, T* gx) {
  const ChannelShare<kV> mine(g);
  if (!mine.busy) return;
  Wide<T> k[kCoefficients][kV], less[2][kV];
  load_rows(g, mine.image, mine.channel, coefficients, k);
  load_rows(g, mine.image, mine.channel, uv, less);
#pragma unroll 2
  for (int64_t pixel = mine.begin; pixel < mine.end; pixel += mine.step) {
    Wide<T> v[kV], go[kV];
    load_wide<kV>(x + mine.at(g, pixel), v);
    load_wide<kV>(gy + mine.at(g, pixel), go);
#pragma unroll
    for (int i = 0; i < kV; ++i) {
      const Wide<T> d = v[i] - k[kCenter][i];
      const Wide<T> gz = before_activation<kSilu>(go[i], d, k[kSlope][i], k[kOffset][i]);
      v[i] = gz * k[kSlope][i] - (less[0][i] + less[1][i] * d);
    }
    store_narrow(gx + mine.at(g, pixel), v);
  }
}

// ---- launches

/// f(Constant<kV>, Constant<kSilu>)
template <class T, class F>
void with_forms(bool packs, bool silu, F f) {
  using One = std::integral_constant<int, 1>;
  using Whole = std::integral_constant<int, Pack<T>::kCount>;
  if (packs)
    silu ? f(Whole{}, std::true_type{}) : f(Whole{}, std::false_type{});
  else
    silu ? f(One{}, std::true_type{}) : f(One{}, std::false_type{});
}

int64_t pixels_of(const View& x) {
  int64_t pixels = 1;
  for (int i = 2; i < x.rank(); ++i) pixels *= x.size(i);
  return pixels;
}

struct Work {
  ChannelGrid grid;
  Groups groups;
  bool packs;

  template <class T>
  static Work of(Type<T>, const View& x, const GroupNormParams& p, const View& y, const View& gy) {
    const int64_t channels = x.size(1);
    const int width = Pack<T>::kCount;
    const bool packs = fits_channel_packs(channels, width, x.as<T>(), y.as<T>(), gy.as<T>());
    return {channel_grid(x.size(0), pixels_of(x), channels, packs ? width : 1),
            {static_cast<int>(p.groups), static_cast<int>(channels / p.groups), p.unbiased, p.eps},
            packs};
  }
  int64_t numbers() const { return grid.images * grid.channels; }
  int64_t parts() const { return numbers() * grid.chunks; }
  uint32_t group_blocks(const char* op) const { return count32(op, grid.images * groups.count); }
};

}  // namespace

void group_norm(const View& x, const GroupNormTerms& terms, const GroupNormParams& p, const View& y,
                const View& mean, const View& rstd) {
  constexpr const char* kOp = "group_norm";
  if (numel(x.shape) == 0) return;
  dispatch<float, double, bf16, f16>(x.dtype, kOp, [&]<class T>(Type<T> type) {
    const Work work = Work::of(type, x, p, y, {});
    const ChannelGrid& g = work.grid;
    const Terms<T> t(terms);
    Scratch scratch;
    auto* coefficients = scratch.take<Wide<T>>(kCoefficients * work.numbers());
    auto* part = scratch.take<Wide<T>>(2 * work.parts());
    with_forms<T>(work.packs, p.silu, [&](auto v, auto silu) {
      launch_channels(moment_sums<T, v.value>, kOp, g, x.as<T>(), part);
      launch(join_moments<T>, work.group_blocks(kOp), kWarpLanes, 0, stream(kOp), g, work.groups, t,
             x.as<T>(), part, mean.as<Wide<T>>(), rstd.as<Wide<T>>(), coefficients);
      launch_channels(apply<T, v.value, silu.value>, kOp, g, x.as<T>(), coefficients, y.as<T>());
    });
  });
}

void group_norm_backward(const View& x, const GroupNormTerms& terms, const View& mean,
                         const View& rstd, const GroupNormParams& p, const View& gy, const View& gx,
                         const GroupNormTerms& grads) {
  constexpr const char* kOp = "group_norm_backward";
  if (numel(x.shape) == 0) return;
  dispatch<float, double, bf16, f16>(x.dtype, kOp, [&]<class T>(Type<T> type) {
    const Work work = Work::of(type, x, p, gx, gy);
    const ChannelGrid& g = work.grid;
    const Terms<T> t(terms), gt(grads);
    const auto* r = rstd.as<Wide<T>>();
    Scratch scratch;
    auto* coefficients = scratch.take<Wide<T>>(kCoefficients * work.numbers());
    auto* uv = scratch.take<Wide<T>>(2 * work.numbers());
    auto* totals = scratch.take<double>(kSums * work.numbers());
    auto* part = scratch.take<Wide<T>>(kSums * work.parts());
    launch(recompute_coefficients<T>, count32(kOp, ceil_div(work.numbers(), kChannelThreads)),
           kChannelThreads, 0, stream(kOp), g, work.groups, t, mean.as<Wide<T>>(), r, coefficients);
    with_forms<T>(work.packs, p.silu, [&](auto v, auto silu) {
      launch_channels(gradient_sums<T, v.value, silu.value>, kOp, g, x.as<T>(), gy.as<T>(),
                      coefficients, part);
      launch(join_gradients<T>, work.group_blocks(kOp), kWarpLanes, 0, stream(kOp), g, work.groups,
             t, r, coefficients, part, totals, uv, gt);
      launch_channels(apply_gradient<T, v.value, silu.value>, kOp, g, x.as<T>(), gy.as<T>(),
                      coefficients, uv, gx.as<T>());
    });
    if (grads.weight || grads.bias)
      launch(shared_gradients<T>, count32(kOp, ceil_div(g.channels, kChannelThreads)),
             kChannelThreads, 0, stream(kOp), g, work.groups, t, r, totals, gt);
  });
}

}  // namespace brume::cuda
