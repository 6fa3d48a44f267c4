// The runtime beside the kernels: launches that are refused, memory that runs out, events.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/cuda/launch.h>
#include <tests/emu/on_device.h>

using namespace brume;
using namespace brume::cuda;

namespace {

__global__ void set_to(float* y, float value) { y[threadIdx.x] = value; }

TEST_CASE("the linker finds the CUDA backend") {
  std::string reason;
  REQUIRE(cuda_backend(&reason) != nullptr);
  CHECK(std::string(cuda_backend(&reason)->name) == "cuda");
  CHECK(capability(&reason)->major == 9);
  CHECK(reason.empty());
}

TEST_CASE("a launch that the device cannot run names the op") {
  const OnDevice<float> y(32);
  CHECK_THROWS_WITH_AS(launch(set_to, 1, 2048, 0, stream("softmax"), y, 1.0F),
                       "softmax: invalid configuration argument (cudaErrorInvalidConfiguration)",
                       CudaError);
  CHECK_THROWS_AS(launch(set_to, dim3(1, 70000), 32, 0, stream("softmax"), y, 1.0F), CudaError);
  launch(set_to, 1, 32, 0, stream("softmax"), y, 2.0F);  // the next one is not blamed
  CHECK(y.values() == std::vector<float>(32, 2));
}

TEST_CASE("an empty grid is no work") {
  launch(set_to, 0, 32, 0, stream("nothing"), nullptr, 1.0F);
}

TEST_CASE("device memory that runs out is an error, and the device can be used after it") {
  memory.trim();
  emu::set_memory_limit(1 << 20);
  {
    const OnDevice<float> most(200 << 10);  // 800 KiB
    CHECK_THROWS_AS(OnDevice<float>(100 << 10), Error);
    CHECK(memory.stats().live >= 819200);
  }
  const OnDevice<float> other(150 << 10);  // fits once the cached block is given back
  emu::set_memory_limit(size_t{8} << 30);
  CHECK(memory.stats().live > 0);
}

TEST_CASE("a freed block is given out again, full of NaN") {
  memory.trim();
  const float* first = nullptr;
  {
    const OnDevice<float> x(std::vector<float>(1000, 1));
    first = x;
  }
  const OnDevice<float> y(1000);
  CHECK(static_cast<const float*>(y) == first);
  CHECK(y.values()[7] != y.values()[7]);
}

TEST_CASE("an event orders a stream after a point of another") {
  const OnDevice<float> y(32);
  launch(set_to, 1, 32, 0, stream("set"), y, 3.0F);
  Event event;
  event.record(stream("record"));
  event.hold(stream("hold"));
  event.synchronize();
  CHECK(y.values() == std::vector<float>(32, 3));
}

}  // namespace
