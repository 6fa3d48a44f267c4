#include <brume/core/cpu/conv_winograd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/core/conv_case.h"
#include "tests/thread_count.h"

using namespace brume;
using namespace brume::conv_test;

namespace {

Case image_case(int64_t batch, int64_t ci, int64_t co, int64_t h, int64_t w, int64_t padding_h = 1,
                int64_t padding_w = 1) {
  return {batch, ci, co, {1, h, w}, {1, 3, 3}, {1, 1, 1}, {0, padding_h, padding_w}};
}

// Sizes that tiles of 2 and of 4 do and do not divide, channels that vectors do and do not divide,
// few tiles and many.
const Case kCases[] = {
    image_case(2, 32, 32, 8, 8),         image_case(1, 40, 33, 7, 11),
    image_case(3, 33, 64, 5, 6),         image_case(2, 47, 71, 9, 4, 0, 2),
    image_case(1, 64, 32, 13, 10, 2, 0), image_case(2, 32, 36, 3, 3, 0, 0),
    image_case(1, 32, 50, 4, 17, 2, 2),  image_case(1, 34, 32, 6, 5, 3, 4),
    image_case(1, 32, 100, 1, 1),        image_case(2, 39, 32, 2, 14),
    image_case(5, 35, 40, 16, 18),       image_case(1, 128, 128, 8, 8),
};
const ConvAlgorithm kWinograd[] = {ConvAlgorithm::winograd_f2, ConvAlgorithm::winograd_f4};

// Of each pass, the root of the mean square error over that of the result; added up over cases.
struct RmsErrors {
  double y = 0, gx = 0, gw = 0;

  void add(const Run<double>& wanted, const Run<float>& got) {
    y += relative(wanted.y, got.y);
    gx += relative(wanted.gx, got.gx);
    gw += relative(wanted.gw, got.gw);
  }

 private:
  static double relative(const std::vector<double>& wanted, const std::vector<float>& got) {
    double error = 0, size = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      error += std::pow(wanted[i] - static_cast<double>(got[i]), 2);
      size += std::pow(wanted[i], 2);
    }
    return std::sqrt(error / size);
  }
};

}  // namespace

TEST_CASE("Winograd's convolution and both gradients agree with a double loop") {
  for (const Case& s : kCases) {
    CAPTURE(s.batch);
    CAPTURE(s.ci);
    CAPTURE(s.co);
    CAPTURE(s.in[1]);
    CAPTURE(s.in[2]);
    const Run<double> wanted = loops<float>(s);
    for (ConvAlgorithm algorithm : kWinograd) {
      const double bound = algorithm == ConvAlgorithm::winograd_f2 ? 1e-6 : 4e-6;
      const Run<float> got = run<float>(s, algorithm);
      CHECK(largest_difference(wanted.y, got.y) <= bound);
      CHECK(largest_difference(wanted.gx, got.gx) <= bound);
      CHECK(largest_difference(wanted.gw, got.gw) <= bound);
    }
  }
}

TEST_CASE("F(2x2) errs less than the direct convolution, F(4x4) no more than three times as much") {
  RmsErrors direct, f2, f4;
  for (const Case& s : {image_case(2, 32, 32, 32, 32), image_case(1, 64, 64, 16, 20),
                        image_case(5, 96, 32, 8, 8), image_case(2, 40, 100, 11, 15)}) {
    const Run<double> wanted = loops<float>(s);
    direct.add(wanted, run<float>(s, ConvAlgorithm::direct));
    f2.add(wanted, run<float>(s, ConvAlgorithm::winograd_f2));
    f4.add(wanted, run<float>(s, ConvAlgorithm::winograd_f4));
  }
  CHECK(f2.y < 0.8 * direct.y);
  CHECK(f2.gx < 0.8 * direct.gx);
  CHECK(f2.gw < direct.gw);
  CHECK(f4.y < 3 * direct.y);
  CHECK(f4.gx < 3 * direct.gx);
  CHECK(f4.gw < 3 * direct.gw);
}

TEST_CASE("each term of a convolution may stand alone, whatever the algorithm") {
  const Case s = image_case(3, 32, 40, 5, 7);
  auto x = numbers<float>(s.x_size(), 1), w = numbers<float>(s.w_size(), 2);
  auto bias = numbers<float>(s.co, 4), add = numbers<float>(s.batch * s.co, 5);
  auto residual = numbers<float>(s.y_size(), 6);
  const View x_view = image(x, s.batch, s.ci, 1, 5, 7, 4);
  const View bias_view{bias.data(), DType::f32, {s.co}, {1}};
  const View add_view{add.data(), DType::f32, {s.batch, s.co}, {s.co, 1}};
  const View residual_view = image(residual, s.batch, s.co, 1, 5, 7, 4);
  const ConvEpilogue terms[] = {{},
                                {.bias = bias_view},
                                {.per_sample = add_view},
                                {.residual = residual_view},
                                {.scale = 0.25},
                                {.bias = bias_view, .residual = residual_view, .scale = -2}};
  for (const ConvEpilogue& e : terms) {
    std::vector<float> wanted(residual.size()), got(residual.size());
    cpu_conv.forward(x_view, weight(w, s), params(s, ConvAlgorithm::direct), e,
                     image(wanted, s.batch, s.co, 1, 5, 7, 4));
    const std::vector<double> exact(wanted.begin(), wanted.end());
    for (ConvAlgorithm algorithm : kWinograd) {
      cpu_conv.forward(x_view, weight(w, s), params(s, algorithm), e,
                       image(got, s.batch, s.co, 1, 5, 7, 4));
      CHECK(largest_difference(exact, got) <= 4e-6);
    }
  }
}

TEST_CASE("Winograd's convolution reads and writes images whose pixels have gaps, any weights") {
  const Case s = image_case(2, 35, 40, 6, 7);
  auto x = numbers<float>(s.x_size(), 1), w = numbers<float>(s.w_size(), 2);
  std::vector<float> wide_x(x.size() * 3), y(static_cast<size_t>(s.y_size())), wide_y(y.size() * 2);
  for (size_t i = 0; i < x.size(); ++i) wide_x[i / 35 * 105 + i % 35] = x[i];
  std::vector<float> taps_first(w.size());  // [3, 3, Ci, Co]
  for (size_t o = 0; o < 40; ++o)
    for (size_t i = 0; i < 35; ++i)
      for (size_t k = 0; k < 9; ++k) taps_first[(k * 35 + i) * 40 + o] = w[(o * 35 + i) * 9 + k];
  const View x_view = image(x, 2, 35, 1, 6, 7, 4), y_view = image(y, 2, 40, 1, 6, 7, 4);
  View x_gaps = x_view, y_gaps = y_view, w_view = weight(w, s);
  x_gaps.data = wide_x.data();
  y_gaps.data = wide_y.data();
  for (int axis : {0, 2, 3}) {
    x_gaps.strides[axis] *= 3;
    y_gaps.strides[axis] *= 2;
  }
  w_view.data = taps_first.data();
  w_view.strides = {1, 40, 3 * 35 * 40, 35 * 40};
  for (ConvAlgorithm algorithm : kWinograd) {
    const ConvParams p = params(s, algorithm);
    cpu_conv.forward(x_view, weight(w, s), p, {}, y_view);
    cpu_conv.forward(x_gaps, w_view, p, {}, y_gaps);
    bool same = true;
    for (size_t i = 0; i < y.size(); ++i) same &= wide_y[i / 40 * 80 + i % 40] == y[i];
    CHECK(same);
    std::vector<float> gx(x.size()), gx2(x.size());
    cpu_conv.input_gradient(y_view, weight(w, s), p, {}, image(gx, 2, 35, 1, 6, 7, 4));
    cpu_conv.input_gradient(y_gaps, w_view, p, {}, image(gx2, 2, 35, 1, 6, 7, 4));
    CHECK(gx == gx2);
    std::vector<float> gw(w.size()), gw2(w.size());
    cpu_conv.weight_gradient(x_view, y_view, p, weight(gw, s), {});
    cpu_conv.weight_gradient(x_gaps, y_gaps, p, weight(gw2, s), {});
    CHECK(gw == gw2);
  }
}

TEST_CASE("Winograd's convolution has the same bits for any number of threads") {
  for (const Case& s :
       {image_case(3, 40, 72, 17, 18), image_case(1, 33, 100, 8, 7), image_case(1, 32, 64, 66, 65)})
    for (ConvAlgorithm algorithm : kWinograd) {
      Run<float> first;
      for (int threads : {1, 2, 3}) {
        const Threads guard(threads);
        const Run<float> r = run<float>(s, algorithm);
        if (threads == 1) first = r;
        CHECK(r.y == first.y);
        CHECK(r.gx == first.gx);
        CHECK(r.gw == first.gw);
        CHECK(r.gb == first.gb);
      }
    }
}

TEST_CASE("a sample of Winograd's convolution has the same bits whatever its batch") {
  const Case one = image_case(1, 36, 70, 9, 10);
  auto w = numbers<float>(one.w_size(), 2);
  for (ConvAlgorithm algorithm : kWinograd) {
    const ConvParams p = params(one, algorithm);
    std::vector<float> y1(static_cast<size_t>(one.y_size())),
        gx1(static_cast<size_t>(one.x_size()));
    for (int64_t batch : {1, 2, 5, 16}) {
      // The numbers of a smaller batch are the first numbers of a larger one.
      auto x = numbers<float>(one.x_size() * batch, 1), g = numbers<float>(one.y_size() * batch, 3);
      std::vector<float> y(g.size()), gx(x.size());
      cpu_conv.forward(image(x, batch, 36, 1, 9, 10, 4), weight(w, one), p, {},
                       image(y, batch, 70, 1, 9, 10, 4));
      cpu_conv.input_gradient(image(g, batch, 70, 1, 9, 10, 4), weight(w, one), p, {},
                              image(gx, batch, 36, 1, 9, 10, 4));
      if (batch == 1) {
        y1 = y;
        gx1 = gx;
      }
      CHECK(std::equal(y1.begin(), y1.end(), y.begin()));
      CHECK(std::equal(gx1.begin(), gx1.end(), gx.begin()));
    }
  }
}

TEST_CASE("Winograd's convolution over no samples writes nothing, its weight gradient is zero") {
  for (ConvAlgorithm algorithm : kWinograd) {
    const Run<float> r = run<float>(image_case(0, 32, 33, 5, 5), algorithm);
    CHECK(std::all_of(r.gw.begin(), r.gw.end(), [](float g) { return g == 0; }));
    CHECK(std::all_of(r.gb.begin(), r.gb.end(), [](float g) { return g == 0; }));
  }
}

TEST_CASE("what Winograd's convolution cannot do is computed directly") {
  Case strided = image_case(2, 32, 32, 6, 6), dilated = strided, grouped = strided;
  strided.stride[1] = 2;
  dilated.dilation[2] = 2;
  grouped.groups = 2;
  Case wide = image_case(1, 32, 32, 6, 6);
  wide.kernel[2] = 5;
  for (const Case& s : {strided, dilated, grouped, wide, image_case(1, 31, 32, 6, 6),
                        image_case(1, 32, 31, 6, 6)}) {
    const Run<float> direct = run<float>(s, ConvAlgorithm::direct);
    for (ConvAlgorithm algorithm : kWinograd) {
      const Run<float> r = run<float>(s, algorithm);
      CHECK(r.y == direct.y);
      CHECK(r.gx == direct.gx);
      CHECK(r.gw == direct.gw);
    }
  }
  const Case s = image_case(1, 32, 32, 6, 6);
  const Run<double> direct = run<double>(s, ConvAlgorithm::direct);
  CHECK(run<double>(s, ConvAlgorithm::winograd_f2).y == direct.y);
  CHECK(run<float>(s, ConvAlgorithm::winograd_f2).y != run<float>(s, ConvAlgorithm::direct).y);
}
