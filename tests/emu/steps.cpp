// How the elements of a walk are shared out over threads and launches.

#include <doctest/doctest.h>

#include <vector>

#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <tests/emu/on_device.h>

using namespace brume;
using namespace brume::cuda;

namespace {

template <int kWidth>
__global__ void add_one(Steps<2> steps) {
  const uint32_t step = blockIdx.x * blockDim.x + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[2];
  const int n = steps.locate<kWidth>(step, offset);
  float* y = static_cast<float*>(steps.data[0]) + offset[0];
  const float* x = static_cast<const float*>(steps.data[1]) + offset[1];
  for (int j = 0; j < n; ++j) y[j] += x[j] + 1;
}

// y += x + 1 with at most `most` steps a launch; returns the number of launches.
template <int kWidth>
int launches(const View& x, const View& y, int64_t most) {
  const View* views[] = {&y, &x};
  int count = 0;
  for_each_launch(
      Walk(views, y), views, kWidth,
      [&](const Steps<2>& steps) {
        CHECK(static_cast<int64_t>(steps.count) <= most);
        launch(add_one<kWidth>, (steps.count + 31) / 32, 32, 0, stream("add one"), steps);
        ++count;
      },
      most);
  return count;
}

TEST_CASE("however a walk is cut into launches, each element is visited once") {
  const Shape shape = {3, 5, 14};
  const Strides dense = dense_strides(shape), wide = {160, 32, 1}, permuted = {1, 3, 15};
  for (const int64_t most : {1, 2, 7, 50, 1 << 20})
    for (const Strides& strides : {dense, wide, permuted}) {
      const OnDevice<float> x(std::vector<float>(512, 2)), y(std::vector<float>(512, 0));
      const View vx{x, DType::f32, shape, strides}, vy{y, DType::f32, shape, dense};
      const int count = strides == permuted ? launches<1>(vx, vy, most) : launches<4>(vx, vy, most);
      CHECK(count >= (strides == permuted ? 210 : 53) / most);
      const auto values = y.values();
      for (size_t i = 0; i < 512; ++i) CHECK(values[i] == (i < 210 ? 3.0F : 0.0F));
    }
}

}  // namespace
