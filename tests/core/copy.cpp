// Moving elements: any strides, any pair of dtypes.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/tensor.h>

using namespace brume;

namespace {

// 0, 1, 2, ... in row-major order.
Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  return alias(arange(0, numel(shape), 1, {.dtype = dtype}), shape, dense_strides(shape));
}

// A tensor of that shape whose memory follows `order` (outermost axis first), with gaps if `gap`.
Tensor in_order(const Shape& shape, const Dims& order, DType dtype, int64_t gap) {
  Strides strides = shape;
  int64_t next = 1 + gap;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    strides[axis] = next;
    next *= shape[axis] + gap;
  }
  return alias(zeros({next}, {.dtype = dtype}), shape, strides);
}

void check_counting(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) REQUIRE(values[i] == static_cast<double>(i));
}

}  // namespace

TEST_CASE("a copy keeps every element whatever the strides on both sides") {
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::u8}) {
    for (const Shape& shape : {Shape{2, 3, 5}, Shape{3, 4, 8}, Shape{5, 1, 9}}) {  // up to 135: u8
      Dims from{0, 1, 2};
      do {
        Dims to{0, 1, 2};
        do {
          const int64_t gap = from == to ? 1 : 0;
          const Tensor x = in_order(shape, from, dtype, gap),
                       y = in_order(shape, to, dtype, 1 - gap);
          copy_(x, counting(shape, dtype));
          check_counting(x);
          copy_(y, x);
          check_counting(y);
        } while (std::next_permutation(to.begin(), to.end()));
      } while (std::next_permutation(from.begin(), from.end()));
    }
  }
}

TEST_CASE("large transposes and layouts keep every element") {
  for (const Shape& shape : {Shape{3, 70, 130}, Shape{2, 3, 65}, Shape{2, 67, 2}}) {
    const Tensor x = counting(shape);
    const Tensor y = relayout(x, Layout::channels_last);
    CHECK(y.is_channels_last());
    check_counting(y);
    check_counting(relayout(y, Layout::row_major));
  }
  check_counting(relayout(counting({5, 33, 12, 12}, DType::i64), Layout::channels_last));
}

TEST_CASE("a broadcast value is copied into every place") {
  const Tensor x = zeros({3, 4, 300});
  copy_(x, counting({4, 1}));
  const std::vector<float> values = x.to_vector<float>();
  for (size_t i = 0; i < values.size(); ++i) REQUIRE(values[i] == static_cast<float>(i / 300 % 4));
}

TEST_CASE("integers beyond 2^53 survive a copy between layouts") {
  const std::vector<int64_t> big{(int64_t{1} << 53) + 1, -(int64_t{1} << 62) - 1,
                                 std::numeric_limits<int64_t>::max(), 7};
  const Tensor x = zeros({4}, {.dtype = DType::i64});
  copy_(x, from_vector(big, {4}));
  CHECK(x.to_vector<int64_t>() == big);
}

TEST_CASE("every bf16 and f16 converts to f32 and back to itself") {
  std::vector<bf16> brains(65536);
  std::vector<f16> halves(65536);
  for (size_t i = 0; i < 65536; ++i) {
    brains[i].bits = static_cast<uint16_t>(i);
    halves[i].bits = static_cast<uint16_t>(i);
  }
  const auto check_all = [](const auto& values) {
    const Tensor x = from_vector(values, {65536});
    const Tensor wide = convert(x, DType::f32), back = convert(wide, x.dtype());
    const auto wide_values = wide.host<const float>();
    const auto back_values = back.host<const std::decay_t<decltype(values[0])>>();
    for (size_t i = 0; i < values.size(); ++i) {
      const auto scalar = static_cast<float>(values[i]);
      REQUIRE(std::bit_cast<uint32_t>(wide_values[i]) == std::bit_cast<uint32_t>(scalar));
      if (!std::isnan(scalar)) REQUIRE(back_values[i].bits == values[i].bits);
    }
  };
  check_all(brains);
  check_all(halves);
}

TEST_CASE("f32 rounds to bf16 and f16 as the scalar types do") {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 9973)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  const Tensor x = from_vector(values, {static_cast<int64_t>(values.size())});
  const Tensor brains = convert(x, DType::bf16), halves = convert(x, DType::f16);
  const auto b = brains.host<const bf16>();
  const auto h = halves.host<const f16>();
  for (size_t i = 0; i < values.size(); ++i) {
    REQUIRE(b[i].bits == bf16(values[i]).bits);
    REQUIRE(h[i].bits == f16(values[i]).bits);
  }
}

TEST_CASE("booleans come from what is not zero, and read as 0 and 1") {
  std::vector<float> values(21);
  std::iota(values.begin(), values.end(), -10.0F);
  const Tensor mask = convert(from_vector(values, {21}), DType::boolean);
  std::vector<float> expected(21, 1.0F);
  expected[10] = 0;
  CHECK(convert(mask, DType::f32).to_vector<float>() == expected);
}

TEST_CASE("fill reaches every element of a view and no other") {
  for (DType dtype : kAllDTypes) {
    const Tensor all = zeros({4, 6}, {.dtype = dtype});
    fill_(alias(all, {4, 3}, {6, 2}, 1), 1);
    const std::vector<double> values = all.to_vector<double>();
    for (size_t i = 0; i < values.size(); ++i) CHECK(values[i] == (i % 2 == 1 ? 1 : 0));
  }
}

TEST_CASE("a number that an integer cannot hold becomes the same in every kernel") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr int64_t lowest = std::numeric_limits<int64_t>::min();
  struct Number {
    double from;
    int64_t to_i64;
  };
  const Number numbers[] = {{-1.75, -1},
                            {300.5, 300},
                            {-0x1p31, -(int64_t{1} << 31)},
                            {0x1p31, int64_t{1} << 31},
                            {0x1.8p40, 3 * (int64_t{1} << 39)},
                            {-0x1p63, lowest},
                            {0x1p63, lowest},
                            {1e30, lowest},
                            {-1e30, lowest},
                            {inf, lowest},
                            {-inf, lowest},
                            {std::nan(""), lowest}};
  for (const auto& [from, to_i64] : numbers)
    for (const DType dtype : {DType::f32, DType::f64})
      for (const DType integer : {DType::i64, DType::i32, DType::u8})
        for (const int64_t gap : {0, 1}) {  // whole vectors, and one element after the other
          CAPTURE(from);
          CAPTURE(dtype);
          CAPTURE(integer);
          const Tensor x = full({3, 40}, from, {.dtype = dtype});
          const Tensor y = in_order({3, 40}, {0, 1}, integer, gap);
          copy_(y, x);
          const int64_t expected = integer == DType::i64   ? to_i64
                                   : integer == DType::i32 ? static_cast<int32_t>(to_i64)
                                                           : static_cast<uint8_t>(to_i64);
          for (const int64_t value : y.to_vector<int64_t>()) REQUIRE(value == expected);
        }
}
