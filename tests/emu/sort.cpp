// Sorting on the device against the CPU: every dtype, ties, values that compare oddly.

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include <brume/core/backend.h>
#include <brume/core/tensor.h>

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

/// Positions along `axis` of x, which lies on the CPU.
std::vector<int64_t> positions(const Tensor& x, int axis, bool descending, Device device) {
  const Tensor there = transfer(x, device);
  const Tensor found = empty(x.shape(), {.dtype = DType::i64, .device = device});
  backend(device.type).index.argsort(axis, descending, there.view(), found.view());
  return found.to_vector<int64_t>();
}

void check_sorted(const Tensor& x, DType dtype) {
  CAPTURE(name(dtype));
  const Tensor values = convert(x, dtype);
  for (int axis = 0; axis < x.rank(); ++axis)
    for (const bool descending : {false, true}) {
      CAPTURE(axis);
      CAPTURE(descending);
      CHECK(positions(values, axis, descending, kCuda) ==
            positions(values, axis, descending, kCpu));
    }
}

TEST_CASE("positions are those of the CPU for every dtype, axis and direction") {
  std::vector<double> values;
  for (int i = 0; i < 5 * 30 * 7; ++i) values.push_back(i * 37 % 91 - 40);
  const Tensor x = from_vector(values, {5, 30, 7});
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64}) check_sorted(x, dtype);
  for (double& v : values) v += 100;
  check_sorted(from_vector(values, {5, 30, 7}), DType::u8);
  check_sorted(from_vector(values, {1050}), DType::i64);
  check_sorted(from_vector(values, {1, 1050, 1}), DType::f32);
}

TEST_CASE("NaN is largest, zeros of both signs are equal, infinities stand at the ends") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = from_vector(
      std::vector<double>{0.0, nan, -0.0, inf, 1e-40, -nan, -inf, 0.0, -1e-40, -0.0}, {10});
  for (const DType dtype : {DType::f32, DType::f64}) {
    check_sorted(x, dtype);
    CHECK(positions(convert(x, dtype), 0, false, kCuda) ==
          std::vector<int64_t>{6, 8, 0, 2, 7, 9, 4, 3, 1, 5});
  }
}

TEST_CASE("whole numbers beyond the doubles are told apart") {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> values = {most, most - 1, -most - 1, most, -most, 0};
  check_sorted(from_vector(values, {2, 3}), DType::i64);
}

}  // namespace
