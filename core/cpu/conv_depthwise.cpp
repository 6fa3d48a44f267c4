// Convolutions with one channel per group: every channel by itself, channels along the vectors.

#include <algorithm>
#include <vector>

#include <brume/core/cpu/conv_correlation.h>
#include <brume/core/cpu/isa/depthwise.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>

namespace brume::cpu {
namespace {

// [taps of depth][of height][of width][groups]
template <class T>
const T* filter_by_taps(const Correlation<T>& c, Scratch& scratch) {
  T* out = scratch.take<T>(c.taps() * c.groups);
  T* at = out;
  for (const Tap& d : c.axis[0].taps)
    for (const Tap& h : c.axis[1].taps)
      for (const Tap& w : c.axis[2].taps) {
        const T* from =
            c.w + d.entry * c.w_space[0] + h.entry * c.w_space[1] + w.entry * c.w_space[2];
        for (int64_t g = 0; g < c.groups; ++g) *at++ = from[g * c.w_group];
      }
  return out;
}

// Results of an axis whose taps all read inside the input: [begin, end).
struct Inside {
  int64_t begin, end;
};
Inside inside(const AxisPlan& axis, int64_t in) {
  const int64_t highest = axis.taps.back().offset;
  const int64_t begin = std::max<int64_t>(-axis.lowest() + axis.step - 1, 0) / axis.step;
  const int64_t end = in - 1 - highest < 0 ? 0 : (in - 1 - highest) / axis.step + 1;
  if (begin >= std::min(end, axis.results)) return {axis.results, axis.results};
  return {begin, std::min(end, axis.results)};
}

// One row of results.
template <class T>
class Row {
 public:
  Row(const Correlation<T>& c, const T* filter, const T* shift, int64_t sample, int64_t depth,
      int64_t height)
      : c_(c), filter_(filter), sample_(sample) {
    const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
    depth_in_ = depth * d.step;
    height_in_ = height * h.step;
    const int64_t y_depth = d.first + depth * d.every, y_height = h.first + height * h.every;
    p_.channels = c.groups;
    p_.x_step = w.step * c.x.space[2];
    p_.shift = shift;
    p_.residual =
        c.terms.residual.data ? c.terms.residual.at(sample, y_depth, y_height, w.first) : nullptr;
    p_.residual_step = c.terms.residual.space[2] * w.every;
    p_.scale = c.terms.scale;
    p_.y = c.y.at(sample, y_depth, y_height, w.first);
    p_.y_step = c.y.space[2] * w.every;
  }

  void compute() {
    const Inside middle = inside(c_.axis[2], c_.in[2]);
    for (int64_t i = 0; i < middle.begin; ++i) compute(i, 1);
    if (middle.begin < middle.end) compute(middle.begin, middle.end - middle.begin);
    for (int64_t i = middle.end; i < c_.axis[2].results; ++i) compute(i, 1);
  }

 private:
  // `count` results from `first` on; they have the same taps.
  void compute(int64_t first, int64_t count) {
    const auto outside = [&](int axis, int64_t at) { return at < 0 || at >= c_.in[axis]; };
    x_.clear();
    w_.clear();
    const T* filter = filter_;
    for (const Tap& d : c_.axis[0].taps)
      for (const Tap& h : c_.axis[1].taps)
        for (const Tap& w : c_.axis[2].taps) {
          const int64_t i = depth_in_ + d.offset, j = height_in_ + h.offset;
          const int64_t k = first * c_.axis[2].step + w.offset;
          if (!outside(0, i) && !outside(1, j) && !outside(2, k)) {
            x_.push_back(c_.x.at(sample_, i, j, k));
            w_.push_back(filter);
          }
          filter += c_.groups;
        }
    DepthwisePixels<T> p = p_;
    p.count = count;
    p.taps = static_cast<int64_t>(x_.size());
    p.x = x_.data();
    p.w = w_.data();
    p.y += first * p.y_step;
    if (p.residual) p.residual += first * p.residual_step;
    depthwise_loops<T>().pixels(p);
  }

  const Correlation<T>& c_;
  const T* filter_;
  int64_t sample_, depth_in_, height_in_;
  DepthwisePixels<T> p_{};
  std::vector<const T*> x_, w_;
};

// bias + per_sample, [samples][groups] or [groups]; null where there is neither.
template <class T>
const T* shifts(const Correlation<T>& c, Scratch& scratch) {
  const ConvTerms<T>& t = c.terms;
  if (!t.per_sample) return t.bias;
  T* out = scratch.take<T>(c.batch * c.groups);
  for (int64_t b = 0; b < c.batch; ++b) shift_of(t, b, 0, c.groups, out + b * c.groups);
  return out;
}

int64_t rows_per_chunk(int64_t work_of_row) {
  constexpr int64_t kWorthForking = int64_t{1} << 17;
  return std::max<int64_t>(kWorthForking / std::max<int64_t>(work_of_row, 1), 1);
}

}  // namespace

template <class T>
void correlate_depthwise(const Correlation<T>& c) {
  Scratch scratch;
  const T* filter = filter_by_taps(c, scratch);
  const T* shift = shifts(c, scratch);
  const int64_t rows = c.axis[1].results, planes = c.axis[0].results;
  const int64_t grain = rows_per_chunk(c.axis[2].results * c.groups * c.taps());
  parallel_for(c.batch * planes * rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sample = i / rows / planes;
      Row<T>(c, filter, c.terms.per_sample ? shift + sample * c.groups : shift, sample,
             i / rows % planes, i % rows)
          .compute();
    }
  });
}

template <class T>
void depthwise_weight_gradient(const ConvShape& s, const Image<const T>& x,
                               const Image<const T>& gy, T* gw) {
  const int64_t taps = s.taps(), size = taps * s.groups, rows = s.batch * s.out[0] * s.out[1];
  const int64_t grain = std::max(rows_per_chunk(s.out[2] * size), (rows + 15) / 16);
  const int64_t pieces = (rows + grain - 1) / grain;
  Scratch scratch;
  T* all = scratch.take<T>(std::max<int64_t>(pieces, 1) * size);
  std::fill_n(all, std::max<int64_t>(pieces, 1) * size, T(0));
  const auto reached = [&](int axis, int64_t result, int64_t k) {
    return result * s.stride[axis] + k * s.dilation[axis] - s.padding[axis];
  };
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t sample = r / s.out[1] / s.out[0], depth = r / s.out[1] % s.out[0];
      T* sums = all + begin / grain * size;
      for (int64_t t = 0; t < taps; ++t, sums += s.groups) {
        const int64_t d = reached(0, depth, t / (s.kernel[1] * s.kernel[2]));
        const int64_t h = reached(1, r % s.out[1], t / s.kernel[2] % s.kernel[1]);
        if (d < 0 || d >= s.in[0] || h < 0 || h >= s.in[1]) continue;
        const int64_t kw = t % s.kernel[2];
        const AxisPlan tap{s.out[2], 0, 1, s.stride[2], {{reached(2, 0, kw), kw}}};
        const Inside w = inside(tap, s.in[2]);
        if (w.begin >= w.end) continue;
        depthwise_loops<T>().weight(s.groups, w.end - w.begin,
                                    x.at(sample, d, h, reached(2, w.begin, kw)),
                                    s.stride[2] * x.space[2],
                                    gy.at(sample, depth, r % s.out[1], w.begin), gy.space[2], sums);
      }
    }
  });
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t g = 0; g < s.groups; ++g) {
      T v = all[t * s.groups + g];
      for (int64_t i = 1; i < pieces; ++i) v += all[i * size + t * s.groups + g];
      gw[g * taps + t] = v;
    }
}

template void correlate_depthwise(const Correlation<float>&);
template void correlate_depthwise(const Correlation<double>&);
template void depthwise_weight_gradient(const ConvShape&, const Image<const float>&,
                                        const Image<const float>&, float*);
template void depthwise_weight_gradient(const ConvShape&, const Image<const double>&,
                                        const Image<const double>&, double*);

}  // namespace brume::cpu
