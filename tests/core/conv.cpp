#include <brume/core/kernels/conv.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/parallel.h>

#include "tests/core/numbers.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

// One convolution, three axes; a size of 1 and a kernel of 1 make an axis vanish.
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

int rank_of(const Case& s) {
  if (s.in[0] > 1 || s.kernel[0] > 1 || s.padding[0] > 0) return 5;
  return s.in[1] > 1 || s.kernel[1] > 1 || s.padding[1] > 0 ? 4 : 3;
}

template <class T>
View weight(std::vector<T>& data, const Case& s) {
  Shape shape{s.co, s.ci / s.groups, s.kernel[0], s.kernel[1], s.kernel[2]};
  while (shape.rank() > rank_of(s)) shape.erase(2);
  return {data.data(), dtype_of<T>, shape, dense_strides(shape)};
}

ConvParams params(const Case& s, ConvAlgorithm algorithm) {
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

template <class T>
void check_case(const Case& s, ConvAlgorithm algorithm, double bound) {
  CAPTURE(s.batch);
  CAPTURE(s.ci);
  CAPTURE(s.co);
  CAPTURE(s.in[1]);
  CAPTURE(s.in[2]);
  CAPTURE(s.kernel[2]);
  CAPTURE(s.stride[2]);
  CAPTURE(s.dilation[2]);
  CAPTURE(s.groups);
  const Run<T> got = run<T>(s, algorithm);
  const Run<double> wanted = loops<T>(s);
  CHECK(largest_difference(wanted.y, got.y) <= bound);
  CHECK(largest_difference(wanted.gx, got.gx) <= bound);
  CHECK(largest_difference(wanted.gw, got.gw) <= bound);
  CHECK(largest_difference(wanted.gb, got.gb) <= bound);
}

const Case kCases[] = {
    {2, 3, 5, {1, 1, 11}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}},
    {1, 4, 6, {1, 1, 20}, {1, 1, 5}, {1, 1, 3}, {0, 0, 2}, {1, 1, 2}},
    {2, 5, 7, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {1, 8, 40, {1, 7, 6}, {1, 3, 2}, {1, 2, 1}, {0, 2, 0}, {1, 1, 2}},
    {2, 6, 4, {1, 8, 9}, {1, 3, 3}, {1, 2, 3}, {0, 1, 1}, {1, 2, 1}, 2},
    {1, 6, 6, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 6},
    {2, 4, 12, {1, 5, 6}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, 4},
    {1, 3, 4, {4, 5, 6}, {3, 2, 3}, {1, 1, 1}, {1, 0, 1}},
    {1, 2, 3, {6, 5, 7}, {2, 3, 3}, {2, 1, 2}, {1, 1, 1}, {1, 2, 2}},
    {3, 33, 17, {1, 6, 5}, {1, 1, 1}},
    {2, 7, 9, {1, 6, 5}, {1, 1, 1}, {1, 2, 2}},
    {1, 5, 3, {1, 16, 16}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {2, 20, 70, {1, 4, 4}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {1, 4, 4, {1, 6, 6}, {1, 2, 2}, {1, 3, 3}},
};

}  // namespace

TEST_CASE("convolution and both gradients agree with a double loop") {
  for (const Case& s : kCases) {
    check_case<float>(s, ConvAlgorithm::direct, 1e-6);
    check_case<double>(s, ConvAlgorithm::direct, 1e-14);
  }
}

TEST_CASE("a convolution over no samples writes nothing, and its weight gradient is zero") {
  const Case s{0, 4, 6, {1, 5, 5}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}};
  const Run<float> r = run<float>(s, ConvAlgorithm::direct);
  for (float g : r.gw) CHECK(g == 0);
  for (float g : r.gb) CHECK(g == 0);
}

TEST_CASE("a convolution reads images whose pixels have gaps") {
  const Case s{2, 4, 5, {1, 6, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}};
  auto x = numbers<float>(s.x_size(), 1), w = numbers<float>(s.w_size(), 2);
  std::vector<float> wide(x.size() * 3), y(static_cast<size_t>(s.y_size())), y2(y.size());
  for (size_t i = 0; i < x.size(); ++i) wide[i / 4 * 12 + i % 4] = x[i];
  View xv = image(x, 2, 4, 1, 6, 7, 4), gaps = xv, yv = image(y, 2, 5, 1, 6, 7, 4), yv2 = yv;
  gaps.data = wide.data();
  for (int axis : {0, 2, 3}) gaps.strides[axis] *= 3;
  yv2.data = y2.data();
  const ConvParams p = params(s, ConvAlgorithm::direct);
  cpu_conv.forward(xv, weight(w, s), p, {}, yv);
  cpu_conv.forward(gaps, weight(w, s), p, {}, yv2);
  CHECK(y == y2);
}

TEST_CASE("a convolution has the same bits for any number of threads") {
  const Case cases[] = {{3, 20, 40, {1, 17, 18}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
                        {2, 24, 40, {1, 16, 16}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}}};
  for (const Case& s : cases) {
    Run<float> first;
    for (int threads : {1, 2, 3}) {
      const Threads guard(threads);
      const Run<float> r = run<float>(s, ConvAlgorithm::direct);
      if (threads == 1) first = r;
      CHECK(r.y == first.y);
      CHECK(r.gx == first.gx);
      CHECK(r.gw == first.gw);
      CHECK(r.gb == first.gb);
    }
  }
}

TEST_CASE("a sample's convolution has the same bits whatever its batch") {
  const Case one{1, 20, 40, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}};
  for (int64_t batch : {2, 5, 16}) {
    Case many = one;
    many.batch = batch;
    // The numbers of a smaller batch are the first numbers of a larger one.
    auto w = numbers<float>(one.w_size(), 2);
    auto x = numbers<float>(many.x_size(), 1), g = numbers<float>(many.y_size(), 3);
    std::vector<float> y(g.size()), gx(x.size());
    std::vector<float> y1(static_cast<size_t>(one.y_size())),
        gx1(static_cast<size_t>(one.x_size()));
    const ConvParams p = params(one, ConvAlgorithm::direct);
    cpu_conv.forward(image(x, batch, 20, 1, 9, 10, 4), weight(w, one), p, {},
                     image(y, batch, 40, 1, 9, 10, 4));
    cpu_conv.forward(image(x, 1, 20, 1, 9, 10, 4), weight(w, one), p, {},
                     image(y1, 1, 40, 1, 9, 10, 4));
    cpu_conv.input_gradient(image(g, batch, 40, 1, 9, 10, 4), weight(w, one), p, {},
                            image(gx, batch, 20, 1, 9, 10, 4));
    cpu_conv.input_gradient(image(g, 1, 40, 1, 9, 10, 4), weight(w, one), p, {},
                            image(gx1, 1, 20, 1, 9, 10, 4));
    CHECK(std::equal(y1.begin(), y1.end(), y.begin()));
    CHECK(std::equal(gx1.begin(), gx1.end(), gx.begin()));
  }
}
