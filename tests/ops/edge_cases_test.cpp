// What operations do at the edges: NaN, ties, nothing at all, indices out of range.

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/replay.h>

#include "tests/error_of.h"

using namespace brume;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

using Floats = std::vector<float>;
using Integers = std::vector<int64_t>;

Tensor floats(const Floats& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
Tensor integers(const Integers& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
Tensor leaf(const Tensor& x) { return set_requires_grad(x); }
Tensor images() {
  Generator rng(1);
  return normal({2, 3, 4, 5}, rng, {.layout = Layout::channels_last});
}

bool is_view_of(const Tensor& y, const Tensor& x) { return y.impl().storage == x.impl().storage; }

}  // namespace

TEST_CASE("NaN wins an extremum, and the first NaN is its position") {
  const Tensor x = floats({1, kNan, 3, kNan});
  CHECK(std::isnan(max(x).item()));
  CHECK(std::isnan(min(x).item()));
  CHECK(argmax(x, 0).item() == 1);
  CHECK(argmin(x, 0).item() == 1);
}

TEST_CASE("among equals the first is the position of the extremum") {
  CHECK(argmax(floats({1, 5, 2, 5}), 0).item() == 1);
  CHECK(argmin(floats({1, 0, 2, 0}), 0).item() == 1);
}

TEST_CASE("equal maxima share the gradient evenly") {
  const Tensor x = leaf(floats({1, 5, 2, 5}));
  backward(max(x));
  CHECK(grad_of(x).to_vector<float>() == Floats{0, 0.5, 0, 0.5});
}

TEST_CASE("over nothing a sum is 0, a product 1, a mean NaN, any false, all true") {
  const Tensor x = zeros({0, 2});
  CHECK(sum(x, 0).to_vector<float>() == Floats{0, 0});
  CHECK(prod(x, 0).to_vector<float>() == Floats{1, 1});
  CHECK(std::isnan(mean(x).item()));
  CHECK(any(x).item() == 0);
  CHECK(all(x).item() == 1);
  CHECK_THROWS_AS(max(x, 0), ShapeError);
  CHECK(max(x, 1).shape() == Shape{0});
}

TEST_CASE("sums of integers and truth values are i64") {
  CHECK(sum(integers({1, -4, 9})).dtype() == DType::i64);
  CHECK(sum(integers({1, -4, 9})).item() == 6);
  CHECK(sum(gt(floats({1, -4, 9}), 0.0)).item() == 2);
  CHECK(sum(convert(floats({200, 100}), DType::u8)).item() == 300);
  CHECK_THROWS_AS(mean(integers({1, 2})), DTypeError);
}

TEST_CASE("ten million tenths add up to a million") {
  const Tensor x = full({10'000'000}, 0.1);
  CHECK(sum(x).item() == doctest::Approx(1e6).epsilon(2e-7));
}

TEST_CASE("naming an axis twice is an error") {
  CHECK(error_of([] { sum(zeros({2, 3}), {0, -2}); }) == "sum: axis -2 is named twice");
}

TEST_CASE("the gradient of a zero norm is zero") {
  const Tensor x = leaf(zeros({3}));
  backward(vector_norm(x));
  CHECK(grad_of(x).to_vector<float>() == Floats{0, 0, 0});
}

TEST_CASE("logsumexp of minus infinities is minus infinity, with a gradient of zero") {
  const Tensor x = leaf(floats({-kInf, -kInf}));
  const Tensor y = logsumexp(x, 0);
  CHECK(y.item() == -kInf);
  backward(y);
  CHECK(grad_of(x).to_vector<float>() == Floats{0, 0});
}

TEST_CASE("reshape, permute, slice, split, expand and windows are views") {
  const Tensor x = zeros({4, 6});
  for (const Tensor& y :
       {reshape(x, {2, 12}), transpose(x, 0, 1), slice(x, 1, 1, 5, 2), split(x, {2, 4}, 1)[1],
        unsqueeze(x, 0), expand(x, {3, 4, 6}), diagonal(x), windows(x, 0, 2, 1), select(x, 0, 2)})
    CHECK(is_view_of(y, x));
  CHECK_FALSE(is_view_of(reshape(transpose(x, 0, 1), {24}), x));
}

TEST_CASE("channels-last images stay channels-last") {
  const Tensor x = images();
  for (const Tensor& y : {cat({x, x}, 1), cat({x, x}, 0), flip(x, {2}), roll(x, 1, 3),
                          pad(x, {1, 1, 1, 1}), to(x, DType::f64), slice(x, 0, 1, 2)})
    CHECK(y.is_channels_last());
  const Tensor y = leaf(x);
  backward(sum(slice(y, 1, 0, 2)));
  CHECK(grad_of(y).is_channels_last());
}

TEST_CASE("an index out of range is named together with its limit") {
  const Tensor x = zeros({5, 3});
  CHECK(error_of([&] {
          index_select(x, 0, integers({0, 5}));
        }) == "index_select: index 5 is outside [0, 5)");
  CHECK(error_of([&] { index_select(x, 0, integers({-1})); }) ==
        "index_select: index -1 is outside [0, 5)");
  CHECK(error_of([&] { embedding(x, integers({7})); }) == "embedding: index 7 is outside [0, 5)");
  CHECK(error_of([&] {
          gather(x, 1, from_vector<int64_t>({3}, {1, 1}));
        }) == "gather: index 3 is outside [0, 3)");
  CHECK_THROWS_AS(index_select(x, 0, floats({0})), DTypeError);
}

TEST_CASE("where several elements replace one, the last stays") {
  const Tensor y = scatter(zeros({3}), 0, integers({1, 2, 1}), floats({7, 8, 9}));
  CHECK(y.to_vector<float>() == Floats{0, 9, 8});
}

TEST_CASE("places that nothing is scattered to keep their value, counted in or not") {
  const Tensor x = floats({10, 20, 30}), at = integers({0, 0}), source = floats({1, 3});
  const auto values = [&](ScatterReduce reduce, bool self) {
    return scatter(x, 0, at, source, reduce, self).to_vector<float>();
  };
  CHECK(values(ScatterReduce::mean, false) == Floats{2, 20, 30});
  CHECK(values(ScatterReduce::mean, true) == Floats{14.0F / 3, 20, 30});
  CHECK(values(ScatterReduce::min, false) == Floats{1, 20, 30});
  CHECK(values(ScatterReduce::max, true) == Floats{10, 20, 30});
}

TEST_CASE("the padding row of an embedding gets no gradient") {
  const Tensor weight = leaf(ones({3, 2}));
  backward(sum(embedding(weight, integers({0, 1, 1}), 1)));
  CHECK(grad_of(weight).to_vector<float>() == Floats{1, 1, 0, 0, 0, 0});
}

TEST_CASE("an index of rank 0 chooses one row of an embedding") {
  const Tensor one = from_vector<int64_t>({2}, {});
  CHECK(embedding(reshape(arange(0, 6), {3, 2}), one).to_vector<float>() == Floats{4, 5});
  CHECK_THROWS_AS(embedding(zeros({2, 2}), one), ShapeError);
}

TEST_CASE("sorting is stable and puts NaN last, or first when descending") {
  const Tensor x = floats({2, kNan, 1, 2, 1});
  CHECK(sort(x, 0).second.to_vector<int64_t>() == Integers{2, 4, 0, 3, 1});
  CHECK(sort(x, 0, true).second.to_vector<int64_t>() == Integers{1, 0, 3, 2, 4});
}

TEST_CASE("searchsorted stops before equals, or behind them") {
  const Tensor sorted = floats({1, 3, 3, 5}), values = floats({0, 3, 5, 9});
  CHECK(searchsorted(sorted, values).to_vector<int64_t>() == Integers{0, 1, 3, 4});
  CHECK(searchsorted(sorted, values, true).to_vector<int64_t>() == Integers{0, 3, 4, 4});
}

TEST_CASE("nonzero and masked_select go in logical order, whatever the strides") {
  const Tensor x = transpose(from_vector<float>({0, 1, 2, 0, 5, 6}, {3, 2}), 0, 1);  // [2, 3]
  CHECK(nonzero(x).to_vector<int64_t>() == Integers{0, 1, 0, 2, 1, 0, 1, 2});
  CHECK(masked_select(x, ne(x, 0.0)).to_vector<float>() == Floats{2, 5, 1, 6});
}

TEST_CASE("roll and flip of nothing are nothing") {
  CHECK(roll(zeros({0, 2}), 1, 0).shape() == Shape{0, 2});
  CHECK(flip(zeros({0, 2}), {0}).shape() == Shape{0, 2});
}

TEST_CASE("grid_sample finds the pixel in every dtype and in images of any size") {
  const auto at = [](DType dtype, int64_t h, int64_t w, int64_t row, int64_t column) {
    const Tensor x = zeros({1, 1, h, w}, {.dtype = dtype});
    fill_(slice(slice(x, 2, row, row + 1), 3, column, column + 1), 1);
    const auto centre = [](int64_t i, int64_t n) {
      return static_cast<double>(2 * i + 1) / static_cast<double>(n) - 1;
    };
    const Tensor grid =
        from_vector(std::vector<double>{centre(column, w), centre(row, h)}, {1, 1, 1, 2});
    return grid_sample(x, convert(grid, dtype)).item();
  };
  for (const DType half : {DType::f16, DType::bf16}) {
    CHECK(at(half, 64, 64, 63, 33) == 1);
    CHECK(at(half, 32, 32, 10, 5) == 1);
  }
  CHECK(at(DType::f32, 4096, 8192, 4095, 4097) == doctest::Approx(1).epsilon(1e-2));
}

TEST_CASE("grid_sample is zero, without gradients, at places that are not finite") {
  const Tensor x = leaf(ones({1, 1, 4, 4}));
  const Tensor grid =
      leaf(from_vector(Floats{kNan, 0, 0, kInf, -kInf, kNan, 1e30F, 0}, {1, 1, 4, 2}));
  const Tensor y = grid_sample(x, grid);
  CHECK(y.to_vector<float>() == Floats{0, 0, 0, 0});
  backward(sum(y));
  CHECK(grad_of(grid).to_vector<float>() == Floats(8, 0));
  CHECK(sum(grad_of(x)).item() == 0);
}

TEST_CASE("the border of max_pool is below every element of every dtype") {
  for (const DType dtype : {DType::f32, DType::f16, DType::i32, DType::i64}) {
    const Tensor x = full({1, 1, 3}, -7, {.dtype = dtype});
    CHECK(max_pool(x, {.kernel = {3}, .stride = {2}, .padding = {1}}).to_vector<float>() ==
          Floats{-7, -7});
  }
}

TEST_CASE("windows, borders and scales beyond all bounds are refused by name") {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  const Tensor x = ones({1, 2, 6});
  for (const PoolOptions& o :
       {PoolOptions{.kernel = {1}, .padding = {most}}, PoolOptions{.kernel = {most}},
        PoolOptions{.kernel = {most}, .padding = {most / 2}},
        PoolOptions{.kernel = {1}, .stride = {most}},
        PoolOptions{.kernel = {1}, .padding = {-1}}}) {
    CHECK(error_of([&] { avg_pool(x, o); }).starts_with("avg_pool: a window of "));
    CHECK(error_of([&] { max_pool(x, o); }).starts_with("max_pool: a window of "));
  }
  CHECK(windows(x, 2, 6, most).shape() == Shape{1, 2, 1, 6});
  for (const std::vector<int64_t>& amounts :
       {std::vector<int64_t>{most, 0}, {most, most}, {0, most / 2}})
    CHECK(error_of([&] { pad_with(x, amounts, PadMode::replicate); }) ==
          cat("pad_with: an axis of 6 cannot be padded by ", amounts[0], " and ", amounts[1]));
  for (const double scale : {0.0, -1.0, 1e-300, std::nan(""), static_cast<double>(kInf)})
    for (const InterpolateMode mode : {InterpolateMode::nearest, InterpolateMode::cubic})
      CHECK(error_of([&] {
              interpolate(x, {3}, {.mode = mode, .scale = {scale}});
            }).starts_with("interpolate: a scale must be finite"));
  CHECK_THROWS_AS(interpolate(x, {most}), ShapeError);
}

TEST_CASE("an axis of nothing has no frequencies") {
  const ModeFactors factors;
  const Tensor y = ones({1, 2, 1, 1});
  for (const int64_t n : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min()})
    CHECK(error_of([&] { from_low_modes(y, n, 1, factors); }) ==
          cat("from_low_modes: an axis of ", n, " has 0 frequencies, not 1"));
  CHECK(error_of([&] {
          low_modes(ones({1, 0, 1, 1}), 1, factors);
        }) == "low_modes: an axis of 0 has 0 frequencies, and 1 are wanted");
}

TEST_CASE("ranges and counts beyond the integers are refused by name") {
  constexpr int64_t least = std::numeric_limits<int64_t>::min();
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  Generator torch = Generator::torch_cpu(1), own(1);
  CHECK(error_of([&] {
          random_integers({2}, least, most, torch);
        }).starts_with("random_integers: [-9223372036854775808, 9223372036854775807) has more"));
  CHECK(random_integers({2}, least, most, own).shape() == Shape{2});
  CHECK(error_of([&] {
          bincount(integers({1, most}));
        }) == "bincount: wants numbers below 2^40, got 9223372036854775807");
  CHECK(bincount(integers({1, 3, 1})).to_vector<int64_t>() == Integers{0, 2, 0, 1});
}

TEST_CASE("a number beside integers must be one of theirs") {
  const Tensor x = convert(integers({1, 2}), DType::i32), mask = gt(x, 1.0);
  CHECK(error_of([&] { (void)(x + 1e300); }) ==
        "add: a tensor of i32 and the number 1e+300; convert the tensor first");
  for (const double c : {HUGE_VAL, -HUGE_VAL, std::nan(""), 0x1p31}) {
    CHECK_THROWS_AS(x * c, DTypeError);
    CHECK_THROWS_AS(where(mask, x, c), DTypeError);
    CHECK_THROWS_AS(where(mask, c, x), DTypeError);
    CHECK_THROWS_AS(full({2}, c, {.dtype = DType::i32}), DTypeError);
    CHECK_THROWS_AS(fill_(x, c), DTypeError);
    CHECK_THROWS_AS(pad(x, {1, 1}, c), DTypeError);
  }
  CHECK_THROWS_AS(integers({1}) + HUGE_VAL, DTypeError);
  CHECK_THROWS_AS(convert(x, DType::u8) + 256, DTypeError);
  CHECK((convert(x, DType::u8) - 1).to_vector<float>() == Floats{0, 1});
  CHECK(where(mask, x, -0x1p31).to_vector<int64_t>() == Integers{-(int64_t{1} << 31), 2});
}

TEST_CASE("integers are not divided by the number 0, and by a tensor's give the lowest") {
  const Tensor x = integers({7, -7, 0}), zero = integers({0, 0, 0});
  CHECK(error_of([&] { fmod(x, 0); }) == "fmod: integers cannot be divided by 0");
  CHECK_THROWS_AS(remainder(x, 0), Error);
  CHECK_THROWS_AS(floor_divide(x, 0), Error);
  const Integers lowest(3, std::numeric_limits<int64_t>::min());
  CHECK(fmod(x, zero).to_vector<int64_t>() == lowest);
  CHECK(remainder(x, zero).to_vector<int64_t>() == lowest);
  CHECK(floor_divide(x, zero).to_vector<int64_t>() == lowest);
}

TEST_CASE("positions, steps and amounts as large as integers go are understood or refused") {
  const Tensor x = floats({1, 2, 3, 4});
  constexpr int64_t most = std::numeric_limits<int64_t>::max(), least = -most - 1;
  CHECK(slice(x, 0, 1, most, most).to_vector<float>() == Floats{2});
  CHECK(slice(x, 0, least, most, 3).to_vector<float>() == Floats{1, 4});
  CHECK(slice(x, 0, 4, most, most).numel() == 0);
  CHECK(roll(x, least + 1, 0).to_vector<float>() == Floats{4, 1, 2, 3});
  CHECK(roll(x, least, 0).to_vector<float>() == Floats{1, 2, 3, 4});
  CHECK_THROWS_AS(split(x, {1, most}, 0), ShapeError);
  CHECK_THROWS_AS(pad(x, {most, most}), ShapeError);
  CHECK_THROWS_AS(pad(x, {least, least}), ShapeError);
  CHECK_THROWS_AS(pad(x, {least, 0}), ShapeError);
  CHECK_THROWS_AS(pad(x, {int64_t{1} << 62, 0}), ShapeError);
  CHECK_THROWS_AS(pad(empty({0, most}), {1, 0}), ShapeError);
}

TEST_CASE("numbers are drawn in logical order in either layout and every dtype") {
  const auto drawn = [](TensorOptions options) {
    Generator rng(3);
    return normal({2, 3, 4, 5}, rng, options).to_vector<float>();
  };
  const Floats plain = drawn({});
  CHECK(drawn({.layout = Layout::channels_last}) == plain);
  const Floats wide = drawn({.dtype = DType::f64}), half = drawn({.dtype = DType::bf16});
  for (size_t i = 0; i < plain.size(); ++i) {
    CHECK(wide[i] == doctest::Approx(plain[i]).epsilon(1e-5));
    CHECK(half[i] == static_cast<float>(bf16(plain[i])));
  }
}

TEST_CASE("a replaying generator serves every kind of draw") {
  const Tensor values = from_vector<float>({1, 2}, {2});
  Generator rng = replay({{Distribution::normal, values},
                          {Distribution::uniform, values},
                          {Distribution::gamma, values},
                          {Distribution::integers, values}});
  CHECK(normal({2}, rng).to_vector<float>() == Floats{1, 2});
  CHECK(uniform({2}, rng).to_vector<float>() == Floats{1, 2});
  CHECK(gamma({2}, 3, rng).to_vector<float>() == Floats{1, 2});
  CHECK(random_integers({2}, 0, 9, rng).to_vector<int64_t>() == Integers{1, 2});
  CHECK_THROWS_AS(dropout(values, 0.5, rng), Error);
}

TEST_CASE("a permutation holds every number once") {
  Generator rng(8);
  const Tensor order = random_permutation(50, rng);
  const Tensor sorted = sort(order, 0).first;
  CHECK(sorted.to_vector<int64_t>() == arange(0, 50).to_vector<int64_t>());
  CHECK(order.to_vector<int64_t>() != sorted.to_vector<int64_t>());
}

TEST_CASE("dropout drops a fraction p, scales the rest, and backward drops the same") {
  Generator rng(5);
  const Tensor x = leaf(ones({200, 100}));
  const Tensor y = dropout(x, 0.2, rng);
  const double kept = sum(ne(y, 0.0)).item() / 20000;
  CHECK(kept == doctest::Approx(0.8).epsilon(0.02));
  CHECK(max(y).item() == 1.25);
  backward(sum(y));
  CHECK(grad_of(x).to_vector<float>() == y.to_vector<float>());
}

TEST_CASE("dropout with p = 0 changes nothing and draws nothing; with p = 1 nothing stays") {
  Generator rng(5);
  const Tensor x = ones({4});
  CHECK(dropout(x, 0, rng).handle() == x.handle());
  CHECK(rng.offset() == 0);
  CHECK(dropout(x, 1, rng).to_vector<float>() == Floats{0, 0, 0, 0});
  CHECK_THROWS_AS(dropout(x, 1.5, rng), ShapeError);
}

TEST_CASE("numbers that no operation can mean are refused before anything is computed") {
  const Tensor x = ones({1, 1, 4, 4}), w = ones({1, 1, 3, 3});
  CHECK_THROWS_AS(conv(x, w, {}, {.dilation = int64_t{1} << 62}), ShapeError);
  CHECK_THROWS_AS(conv(x, w, {}, {.padding = int64_t{1} << 62}), ShapeError);
  CHECK_THROWS_AS(arange(0, -1), ShapeError);
  Generator rng(0);
  CHECK_THROWS_AS(random_permutation(-1, rng), ShapeError);
  const Tensor columns = ones({1, 4, 9});
  CHECK(fold(columns, {4, 4}, {2, 2}, {1, 1}).shape() == Shape{1, 1, 4, 4});
  for (const int64_t none : {int64_t{0}, int64_t{-2}, int64_t{1} << 32}) {
    CHECK_THROWS_AS(fold(columns, {4, 4}, {none, 2}, {1, 1}), ShapeError);
    CHECK_THROWS_AS(fold(columns, {none, none}, {2, 2}, {1, 1}), ShapeError);
  }
  CHECK_THROWS_AS(fold(columns, {4, 4}, {2, 2}, {0, 1}), ShapeError);
  CHECK_THROWS_AS(fold(columns, {4, 4}, {2, 2}, {1}), ShapeError);
  CHECK_THROWS_AS(fold(ones({1, 4, 8}), {4, 4}, {2, 2}, {1, 1}), ShapeError);
  for (const int64_t factor : {int64_t{0}, int64_t{-1}, int64_t{1} << 32, int64_t{1} << 62}) {
    CHECK_THROWS_AS(pixel_shuffle(x, factor), ShapeError);
    CHECK_THROWS_AS(pixel_unshuffle(x, factor), ShapeError);
  }
}
