#pragma once
// One convolution in its three passes, by a backend's kernels and by double loops.

#include <algorithm>
#include <cmath>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>

#include "tests/core/numbers.h"

namespace brume::conv_test {

/// One convolution, three axes; a size of 1 and a kernel of 1 make an axis vanish.
struct Case {
  int64_t batch, ci, co;  // channels of all groups
  int64_t in[3], kernel[3];
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  int64_t groups = 1;
  int64_t out(int i) const {
    return (in[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i] + 1;
  }
  int64_t x_size() const { return batch * ci * in[0] * in[1] * in[2]; }
  int64_t y_size() const { return batch * co * out(0) * out(1) * out(2); }
  int64_t w_size() const { return co * (ci / groups) * kernel[0] * kernel[1] * kernel[2]; }
};

// [B, C, D, H, W] over channels-last memory, with axes of size 1 in front left out down to `rank`.
template <class T>
View image(std::vector<T>& data, int64_t b, int64_t c, int64_t d, int64_t h, int64_t w, int rank) {
  Shape shape{b, c, d, h, w};
  Strides strides{d * h * w * c, 1, h * w * c, w * c, c};
  for (; shape.rank() > rank;) {
    shape.erase(2);
    strides.erase(2);
  }
  return {data.data(), dtype_of<T>, shape, strides};
}

inline int rank_of(const Case& s) {
  if (s.in[0] > 1 || s.kernel[0] > 1 || s.padding[0] > 0) return 5;
  return s.in[1] > 1 || s.kernel[1] > 1 || s.padding[1] > 0 ? 4 : 3;
}

template <class T>
View weight(std::vector<T>& data, const Case& s) {
  Shape shape{s.co, s.ci / s.groups, s.kernel[0], s.kernel[1], s.kernel[2]};
  while (shape.rank() > rank_of(s)) shape.erase(2);
  return {data.data(), dtype_of<T>, shape, dense_strides(shape)};
}

inline ConvParams params(const Case& s, ConvAlgorithm algorithm) {
  ConvParams p;
  const int missing = 5 - rank_of(s);
  for (int i = missing; i < 3; ++i) {
    p.stride[i - missing] = s.stride[i];
    p.padding[i - missing] = s.padding[i];
    p.dilation[i - missing] = s.dilation[i];
  }
  p.groups = s.groups;
  p.algorithm = algorithm;
  return p;
}

// Calls f(x index, w index, y index) for every product of the convolution.
template <class F>
void each_product(const Case& s, F f) {
  const int64_t ci = s.ci / s.groups, co = s.co / s.groups;
  int64_t y = 0;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t d = 0; d < s.out(0); ++d)
      for (int64_t h = 0; h < s.out(1); ++h)
        for (int64_t v = 0; v < s.out(2); ++v)
          for (int64_t o = 0; o < s.co; ++o, ++y)
            for (int64_t i = 0; i < ci; ++i)
              for (int64_t kd = 0; kd < s.kernel[0]; ++kd)
                for (int64_t kh = 0; kh < s.kernel[1]; ++kh)
                  for (int64_t kw = 0; kw < s.kernel[2]; ++kw) {
                    const int64_t xd = d * s.stride[0] - s.padding[0] + kd * s.dilation[0];
                    const int64_t xh = h * s.stride[1] - s.padding[1] + kh * s.dilation[1];
                    const int64_t xw = v * s.stride[2] - s.padding[2] + kw * s.dilation[2];
                    if (xd < 0 || xd >= s.in[0] || xh < 0 || xh >= s.in[1] || xw < 0 ||
                        xw >= s.in[2])
                      continue;
                    const int64_t x = (((b * s.in[0] + xd) * s.in[1] + xh) * s.in[2] + xw) * s.ci +
                                      o / co * ci + i;
                    const int64_t w =
                        (((o * ci + i) * s.kernel[0] + kd) * s.kernel[1] + kh) * s.kernel[2] + kw;
                    f(static_cast<size_t>(x), static_cast<size_t>(w), static_cast<size_t>(y));
                  }
}

template <class T>
double largest_difference(const std::vector<double>& wanted, const std::vector<T>& got) {
  double worst = 0, size = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(wanted[i] - static_cast<double>(got[i])));
    size = std::max(size, std::abs(wanted[i]));
  }
  return worst / size;
}

template <class T>
struct Run {
  std::vector<T> y, gx, gw, gb;
};

// Bias, per_sample, residual and a scale forward, a bias in the input gradient.
template <class T>
Run<T> run(const Case& s, ConvAlgorithm algorithm) {
  auto x = numbers<T>(s.x_size(), 1), w = numbers<T>(s.w_size(), 2), g = numbers<T>(s.y_size(), 3);
  auto bias = numbers<T>(s.co, 4), add = numbers<T>(s.batch * s.co, 5);
  auto residual = numbers<T>(s.y_size(), 6), bias_x = numbers<T>(s.ci, 7);
  Run<T> r;
  r.y.resize(g.size(), T(9));
  r.gx.resize(x.size(), T(9));
  r.gw.resize(w.size(), T(9));
  r.gb.resize(static_cast<size_t>(s.co), T(9));
  const int rank = rank_of(s);
  const auto x_view = [&](std::vector<T>& v) {
    return image(v, s.batch, s.ci, s.in[0], s.in[1], s.in[2], rank);
  };
  const auto y_view = [&](std::vector<T>& v) {
    return image(v, s.batch, s.co, s.out(0), s.out(1), s.out(2), rank);
  };
  const ConvParams p = params(s, algorithm);
  const View bias_view{bias.data(), dtype_of<T>, {s.co}, {1}};
  const View add_view{add.data(), dtype_of<T>, {s.batch, s.co}, {s.co, 1}};
  const View bias_x_view{bias_x.data(), dtype_of<T>, {s.ci}, {1}};
  cpu_conv.forward(
      x_view(x), weight(w, s), p,
      {.bias = bias_view, .per_sample = add_view, .residual = y_view(residual), .scale = 0.5},
      y_view(r.y));
  cpu_conv.input_gradient(y_view(g), weight(w, s), p, {.bias = bias_x_view}, x_view(r.gx));
  cpu_conv.weight_gradient(x_view(x), y_view(g), p, weight(r.gw, s),
                           {r.gb.data(), dtype_of<T>, {s.co}, {1}});
  return r;
}

// The same by double loops.
template <class T>
Run<double> loops(const Case& s) {
  auto x = numbers<T>(s.x_size(), 1), w = numbers<T>(s.w_size(), 2), g = numbers<T>(s.y_size(), 3);
  auto bias = numbers<T>(s.co, 4), add = numbers<T>(s.batch * s.co, 5);
  auto residual = numbers<T>(s.y_size(), 6), bias_x = numbers<T>(s.ci, 7);
  Run<double> r;
  r.y.resize(g.size());
  r.gx.resize(x.size());
  r.gw.resize(w.size());
  r.gb.resize(static_cast<size_t>(s.co));
  each_product(s, [&](size_t i, size_t j, size_t k) {
    r.y[k] += static_cast<double>(x[i]) * static_cast<double>(w[j]);
    r.gx[i] += static_cast<double>(g[k]) * static_cast<double>(w[j]);
    r.gw[j] += static_cast<double>(g[k]) * static_cast<double>(x[i]);
  });
  const auto co = static_cast<size_t>(s.co), ci = static_cast<size_t>(s.ci);
  const size_t sample = s.batch ? g.size() / static_cast<size_t>(s.batch) : 1;
  for (size_t k = 0; k < g.size(); ++k) {
    r.y[k] += static_cast<double>(bias[k % co] + residual[k]);
    r.y[k] = 0.5 * (r.y[k] + static_cast<double>(add[k / sample * co + k % co]));
    r.gb[k % co] += static_cast<double>(g[k]);
  }
  for (size_t i = 0; i < x.size(); ++i) r.gx[i] += static_cast<double>(bias_x[i % ci]);
  return r;
}

}  // namespace brume::conv_test
