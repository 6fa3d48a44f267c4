#include <brume/core/tensor.h>

#include <cmath>
#include <limits>
#include <sstream>

#include <doctest/doctest.h>

using namespace brume;

TEST_CASE("a handle is the same tensor, not a copy") {
  const Tensor x = from_vector<float>({1, 2, 3}, {3});
  const Tensor y = x;
  y.host<float>()[1] = 7;
  CHECK(x.host<float>()[1] == 7);
}

TEST_CASE("sizes count from the front and from the end") {
  const Tensor x = empty({2, 3, 5});
  CHECK(x.rank() == 3);
  CHECK(x.numel() == 30);
  CHECK(x.size(-1) == 5);
  CHECK_THROWS_WITH_AS(x.size(3), "size: axis 3 is outside a tensor of rank 3", ShapeError);
}

TEST_CASE("images are stored channels-last behind logical [B, C, H, W]") {
  const Tensor x = empty({2, 3, 4, 5}, {.layout = Layout::channels_last});
  CHECK(x.strides() == Strides{60, 1, 15, 3});
  CHECK(x.is_channels_last());
  CHECK_FALSE(x.is_row_major());
  CHECK(x.is_dense());
  CHECK(empty_like(x).strides() == x.strides());
}

TEST_CASE("axes of size 1 fit both layouts") {
  CHECK(empty({2, 1, 4, 5}).is_channels_last());
  CHECK(empty({2, 3, 1, 1}).is_channels_last());
  CHECK(empty({2, 3, 1, 1}, {.layout = Layout::channels_last}).is_row_major());
}

TEST_CASE("an alias cannot leave its storage") {
  const Tensor x = from_vector<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor column = alias(x, {2}, {3}, 1);
  CHECK(column.to_vector<float>() == std::vector<float>{1, 4});
  CHECK_THROWS_AS(alias(x, {3}, {3}, 0), ShapeError);
  CHECK_THROWS_AS(alias(x, {2}, {-1}, 0), ShapeError);
  CHECK(alias(x, {2}, {-1}, 1).to_vector<float>() == std::vector<float>{1, 0});
}

TEST_CASE("an alias whose extent wraps around the integers leaves its storage") {
  const Tensor x = from_vector<float>({0, 1, 2, 3}, {4});
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  const Tensor second = alias(x, {2}, {1}, 1);
  CHECK_THROWS_AS(alias(x, {4}, {1}, most), ShapeError);
  CHECK_THROWS_AS(alias(second, {2}, {1}, most), ShapeError);
  CHECK_THROWS_AS(alias(x, {3}, {most}), ShapeError);
  CHECK_THROWS_AS(alias(x, {5}, {int64_t{1} << 62}), ShapeError);  // 4 of them are 0
  CHECK_THROWS_AS(alias(x, {2, 3}, {most, -most}, 1), ShapeError);
}

TEST_CASE("host access wants the right type and a row-major tensor") {
  const Tensor x = empty({2, 3, 4, 4}, {.layout = Layout::channels_last});
  CHECK_THROWS_AS(x.host<double>(), DTypeError);
  CHECK_THROWS_AS(x.host<float>(), ShapeError);
}

TEST_CASE("an empty handle says so") {
  CHECK_THROWS_WITH_AS(Tensor().rank(), "tensor: this handle is empty", Error);
}

TEST_CASE("memory of others is released with the last handle") {
  bool released = false;
  float data[4] = {1, 2, 3, 4};
  {
    const Tensor x = from_memory(data, {4}, DType::f32, [&] { released = true; });
    const Tensor y = alias(x, {2}, {2});
    CHECK(y.to_vector<float>() == std::vector<float>{1, 3});
    CHECK_FALSE(released);
  }
  CHECK(released);
}

TEST_CASE("every write raises the version") {
  const Tensor x = zeros({3});
  const uint32_t before = x.version();
  fill_(x, 2);
  CHECK(x.version() == before + 1);
  copy_(x, from_vector<float>({5}, {1}));
  CHECK(x.version() == before + 2);
  CHECK(x.to_vector<float>() == std::vector<float>{5, 5, 5});
  CHECK_THROWS_AS(copy_(x, zeros({2})), ShapeError);
}

TEST_CASE("a tensor may be copied onto itself in another order") {
  const Tensor m = from_vector<float>({1, 2, 3, 4}, {2, 2});
  copy_(m, alias(m, {2, 2}, {1, 2}));
  CHECK(m.to_vector<float>() == std::vector<float>{1, 3, 2, 4});
  const Tensor v = arange(0, 6);
  copy_(alias(v, {5}, {1}, 1), alias(v, {5}, {1}));
  CHECK(v.to_vector<float>() == std::vector<float>{0, 0, 1, 2, 3, 4});
  copy_(v, alias(v, {6}, {-1}, 5));
  CHECK(v.to_vector<float>() == std::vector<float>{4, 3, 2, 1, 0, 0});
  copy_(v, alias(v, {1}, {1}, 2));
  CHECK(v.to_vector<float>() == std::vector<float>(6, 2));
}

TEST_CASE("copying into elements that repeat is refused") {
  const Tensor x = zeros({1, 3});
  const Tensor twice = alias(x, {2, 3}, {0, 1});
  CHECK_THROWS_AS(copy_(twice, from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3})), ShapeError);
  CHECK(x.to_vector<float>() == std::vector<float>{0, 0, 0});
  copy_(alias(x, {1, 3}, {0, 1}), ones({3}));
  CHECK(x.to_vector<float>() == std::vector<float>{1, 1, 1});
}

TEST_CASE("values survive a change of layout and of dtype") {
  std::vector<float> values(2 * 3 * 4 * 5);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 40;
  const Tensor x = from_vector(values, {2, 3, 4, 5});
  const Tensor y = relayout(x, Layout::channels_last);
  CHECK(y.is_channels_last());
  CHECK(y.to_vector<float>() == values);
  for (DType t : {DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64})
    CHECK(convert(convert(y, t), DType::f32).to_vector<float>() == values);
}

TEST_CASE("half types round to nearest even and keep special values") {
  CHECK(static_cast<float>(bf16(1.00390625F)) == 1.0F);       // tie to even
  CHECK(static_cast<float>(bf16(1.01171875F)) == 1.015625F);  // tie to even, upwards
  CHECK(static_cast<float>(f16(65504.0F)) == 65504.0F);
  CHECK(static_cast<float>(f16(65519.0F)) == 65504.0F);
  CHECK(std::isinf(static_cast<float>(f16(65520.0F))));
  CHECK(static_cast<float>(f16(0x1p-24F)) == 0x1p-24F);
  CHECK(static_cast<float>(f16(0x1p-25F)) == 0.0F);
  CHECK(std::isnan(static_cast<float>(f16(std::nanf("")))));
  CHECK(std::isnan(static_cast<float>(bf16(std::nanf("")))));
  for (uint32_t bits = 0; bits < 0x7c00;
       ++bits) {  // every finite positive f16 survives a round trip
    f16 h;
    h.bits = static_cast<uint16_t>(bits);
    REQUIRE(f16(static_cast<float>(h)).bits == bits);
  }
}

TEST_CASE("shapes beyond 2^59 elements or rank 8 are refused") {
  CHECK_THROWS_AS(numel({int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
  CHECK_THROWS_AS(numel({(int64_t{1} << 59) + 1}), ShapeError);
  CHECK(numel({int64_t{1} << 59}) == int64_t{1} << 59);
  CHECK_THROWS_AS(numel({-1}), ShapeError);
  CHECK(numel({int64_t{1} << 40, 0, int64_t{1} << 20}) == 0);
  CHECK_THROWS_AS(empty({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
}

TEST_CASE("broadcasting aligns axes at the end") {
  CHECK(broadcast_shapes({8, 1, 6, 1}, {7, 1, 5}, "add") == Shape{8, 7, 6, 5});
  CHECK_THROWS_WITH_AS(broadcast_shapes({2, 3}, {4}, "add"),
                       "add: shapes [2, 3] and [4] do not broadcast", ShapeError);
}

TEST_CASE("tensors and shapes go into a stream as their texts") {
  const Tensor x = arange(0, 100);
  std::ostringstream out;
  out << x << " of " << x.shape() << ", " << Tensor();
  CHECK(out.str() == to_string(x) + " of [100], undefined");
}

TEST_CASE("a long tensor prints abridged") {
  CHECK(to_string(from_vector<float>({1, 2.5, -3}, {3})) == "[1, 2.5, -3] f32 [3]");
  CHECK(to_string(arange(0, 100)) == "[0, 1, 2, ..., 97, 98, 99] f32 [100]");
  CHECK(to_string(Tensor()) == "undefined");
  CHECK(to_string(full({1}, 0.1)) == "[0.1] f32 [1]");  // not 0.10000000149011612
}
