#include <brume/core/kernels/conv.h>

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/cpu/parallel.h>

#include "tests/core/conv_case.h"
#include "tests/thread_count.h"

using namespace brume;
using namespace brume::conv_test;

namespace {

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
    {2, 37, 37, {1, 9, 20}, {1, 3, 5}, {1, 2, 2}, {0, 1, 2}, {1, 1, 1}, 37},
    {1, 20, 20, {3, 7, 12}, {2, 3, 3}, {1, 1, 3}, {1, 4, 0}, {1, 2, 1}, 20},
    {1, 3, 3, {1, 3, 2}, {1, 3, 5}, {1, 1, 1}, {0, 1, 2}, {1, 1, 1}, 3},
    {2, 4, 12, {1, 5, 6}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, 4},
    {1, 3, 4, {4, 5, 6}, {3, 2, 3}, {1, 1, 1}, {1, 0, 1}},
    {1, 2, 3, {6, 5, 7}, {2, 3, 3}, {2, 1, 2}, {1, 1, 1}, {1, 2, 2}},
    {3, 33, 17, {1, 6, 5}, {1, 1, 1}},
    {2, 7, 9, {1, 6, 5}, {1, 1, 1}, {1, 2, 2}},
    {1, 5, 3, {1, 16, 16}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {2, 32, 3, {1, 9, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {2, 3, 32, {1, 9, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
    {1, 16, 5, {1, 9, 11}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
    {1, 16, 2, {1, 9, 11}, {1, 3, 2}, {1, 1, 1}, {0, 2, 2}, {1, 2, 2}},
    {2, 16, 4, {3, 5, 7}, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}},
    {1, 16, 64, {3, 4, 4}, {3, 2, 3}, {1, 1, 1}, {1, 0, 1}},
    {1, 32, 33, {1, 4, 5}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
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

// Each way of computing: bands, strides, products, few channels on either side, one per group.
const Case kWays[] = {{3, 20, 40, {1, 17, 18}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
                      {2, 24, 40, {1, 16, 16}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}},
                      {5, 40, 24, {1, 9, 8}, {1, 1, 1}},
                      {3, 32, 3, {1, 30, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
                      {3, 3, 32, {1, 30, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}},
                      {3, 40, 40, {1, 20, 12}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 40}};

TEST_CASE("a convolution has the same bits for any number of threads") {
  for (const Case& s : kWays) {
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
  for (Case s : kWays) {
    s.batch = 1;
    const Run<float> one = run<float>(s, ConvAlgorithm::direct);
    for (int64_t batch : {2, 16}) {
      s.batch = batch;
      // The numbers of a smaller batch are the first numbers of a larger one.
      const Run<float> many = run<float>(s, ConvAlgorithm::direct);
      CHECK(std::equal(one.y.begin(), one.y.end(), many.y.begin()));
      CHECK(std::equal(one.gx.begin(), one.gx.end(), many.gx.begin()));
    }
  }
}
