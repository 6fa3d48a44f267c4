#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include <brume/core/io/dlpack.h>
#include <brume/core/io/dlpack_layout.h>

using namespace brume;

namespace {

// Two rows of three of six columns of somebody else's memory.
struct Theirs {
  std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  int64_t shape[2] = {2, 3}, strides[2] = {6, 2};
  int deleted = 0;
  DLManagedTensor managed{
      {values.data(), {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, strides, sizeof(float)},
      this,
      [](DLManagedTensor* self) { ++static_cast<Theirs*>(self->manager_ctx)->deleted; }};
};

}  // namespace

TEST_CASE("a DLPack tensor is read where it lies, and given back with its last handle") {
  Theirs theirs;
  {
    const Tensor x = io::from_dlpack(&theirs.managed);
    CHECK(x.shape() == Shape{2, 3});
    CHECK(x.to_vector<float>() == std::vector<float>{1, 3, 5, 7, 9, 11});
    theirs.values[1] = 100;
    const Tensor row = alias(x, {3}, {2});
    CHECK(row.to_vector<float>() == std::vector<float>{100, 3, 5});
    CHECK(theirs.deleted == 0);
  }
  CHECK(theirs.deleted == 1);
}

TEST_CASE("a tensor goes out by DLPack and comes back as the same memory") {
  for (const DType dtype : kAllDTypes) {
    const Tensor x = alias(zeros({4, 3}, {.dtype = dtype}), {3, 2}, {1, 6});
    DLManagedTensor* out = io::to_dlpack(x);
    CHECK(out->dl_tensor.data == x.data());
    CHECK(out->dl_tensor.strides[1] == 6);
    const Tensor back = io::from_dlpack(out);
    CHECK(back.data() == x.data());
    CHECK(back.dtype() == dtype);
    CHECK(back.shape() == x.shape());
    CHECK(back.strides() == x.strides());
  }
  const Tensor nothing = io::from_dlpack(io::to_dlpack(zeros({0, 3})));
  CHECK(nothing.shape() == Shape{0, 3});
}

TEST_CASE("a DLPack tensor of another kind is refused, and given back") {
  Theirs complex, far, backwards, endless;
  complex.managed.dl_tensor.dtype = {5, 64, 1};
  CHECK_THROWS_AS(io::from_dlpack(&complex.managed), DTypeError);
  far.managed.dl_tensor.device.device_type = static_cast<DLDeviceType>(8);
  CHECK_THROWS_AS(io::from_dlpack(&far.managed), DeviceError);
  backwards.strides[1] = -2;
  CHECK_THROWS_AS(io::from_dlpack(&backwards.managed), ShapeError);
  endless.strides[0] = std::numeric_limits<int64_t>::max();
  CHECK_THROWS_AS(io::from_dlpack(&endless.managed), ShapeError);
  CHECK(complex.deleted + far.deleted + backwards.deleted + endless.deleted == 4);
  CHECK_THROWS_AS(io::from_dlpack(nullptr), Error);
}
