// Tensors whose bytes lie on the device, through the public interface.

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <brume/core/backend.h>
#include <brume/core/tensor.h>

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

TEST_CASE("tensors are made, moved, converted and printed on the device") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const Tensor x = from_vector(values, {2, 3}, kCuda);
  CHECK(x.device() == kCuda);
  CHECK(x.to_vector<float>() == values);
  CHECK(transfer(x, kCpu).to_vector<float>() == values);
  CHECK(transfer(transfer(x, kCpu), kCuda).to_vector<double>() ==
        std::vector<double>(values.begin(), values.end()));
  CHECK(convert(x, DType::bf16).to_vector<float>() == values);
  CHECK(full({2, 2}, 2.5, {.dtype = DType::f16, .device = kCuda}).to_vector<float>() ==
        std::vector<float>(4, 2.5F));
  CHECK(zeros_like(x).to_vector<float>() == std::vector<float>(6, 0));
  CHECK(to_string(x) == to_string(transfer(x, kCpu)));
  CHECK(x.to_vector<int64_t>()[5] == 6);
}

TEST_CASE("a number that an integer cannot hold becomes what it becomes on the CPU") {
  const std::vector<double> numbers = {-1.75,  300.5, -0x1p31, 0x1p31,   0x1.8p40,  -0x1p63,
                                       0x1p63, 1e30,  -1e30,   HUGE_VAL, -HUGE_VAL, std::nan("")};
  const Tensor x = from_vector(numbers, {static_cast<int64_t>(numbers.size())});
  for (const DType dtype : {DType::f32, DType::f64})
    for (const DType integer : {DType::i64, DType::i32, DType::u8}) {
      const Tensor from = convert(x, dtype);
      CHECK(convert(transfer(from, kCuda), integer).to_vector<int64_t>() ==
            convert(from, integer).to_vector<int64_t>());
    }
}

TEST_CASE("views on the device are copied in logical order") {
  const Tensor x = arange(0, 24, 1, {.device = kCuda});
  const Tensor transposed = alias(x, {4, 6}, {1, 4});
  const std::vector<float> expected = {0, 4, 8,  12, 16, 20, 1, 5, 9,  13, 17, 21,
                                       2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23};
  CHECK(transposed.to_vector<float>() == expected);
  const Tensor y = zeros({2, 4, 6}, {.device = kCuda});
  copy_(y, transposed);  // broadcast over the first axis
  CHECK(alias(y, {4, 6}, {6, 1}, 24).to_vector<float>() == expected);
  const Tensor image =
      relayout(from_vector(std::vector<float>(48, 1), {2, 3, 4, 2}, kCuda), Layout::channels_last);
  CHECK(image.is_channels_last());
  CHECK(image.to_vector<float>() == std::vector<float>(48, 1));
}

TEST_CASE("the host cannot look into a tensor on the device") {
  const Tensor x = ones({3}, {.device = kCuda});
  CHECK_THROWS_WITH_AS(x.host<float>(),
                       "host: the tensor is on cuda:0; transfer it to the CPU first", DeviceError);
  CHECK(full({}, 7, {.device = kCuda}).item() == 7);
}

TEST_CASE("memory statistics of the device count its tensors") {
  const int64_t before = memory_stats(DeviceType::cuda).live;
  {
    const Tensor x = empty({1024}, {.device = kCuda});
    CHECK(memory_stats(DeviceType::cuda).live == before + 4096);
  }
  CHECK(memory_stats(DeviceType::cuda).live == before);
}

}  // namespace
