// The runtime beside the kernels: launches that are refused, memory that runs out, events.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <brume/autograd/ops/pointwise.h>
#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/core/tensor.h>
#include <brume/cuda/launch.h>
#include <tests/emu/on_device.h>

#include "tests/error_of.h"

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

TEST_CASE("an allocation that fails once is tried again, with an empty cache") {
  memory.trim();
  { const OnDevice<float> cached(1000); }
  CHECK(memory.stats().cached > 0);
  emu::fail_calls("cudaMallocAsync", cudaErrorMemoryAllocation);
  const OnDevice<float> y(5000);
  CHECK(memory.stats().cached == 0);
  launch(set_to, 1, 32, 0, stream("set"), y, 3.0F);
  CHECK(y.values()[31] == 3);
}

TEST_CASE("an allocation that fails twice says what was wanted, in use, cached and the most") {
  memory.trim();
  memory.reset_peak();
  const MemoryStats before = memory.stats();
  { const OnDevice<float> cached(1024); }
  emu::fail_calls("cudaMallocAsync", cudaErrorMemoryAllocation, 2);
  CHECK_THROWS_WITH_AS(
      OnDevice<float>(2048),
      cat("memory: no 8192 bytes left; ", before.live, " are in use, ", before.live + 4096,
          " were at most, 4096 that were cached have been given back. Use a smaller batch or model")
          .c_str(),
      Error);
  CHECK(memory.stats().live == before.live);
  const OnDevice<float> y(2048);  // the device goes on
  launch(set_to, 1, 32, 0, stream("set"), y, 3.0F);
  CHECK(y.values()[0] == 3);
}

TEST_CASE("an error that is none of memory names the op, and the next call is not blamed") {
  const OnDevice<float> y(32);
  emu::fail_calls("cudaLaunchKernel", cudaErrorInvalidValue);
  CHECK_THROWS_WITH_AS(launch(set_to, 1, 32, 0, stream("softmax"), y, 1.0F),
                       "softmax: invalid argument (cudaErrorInvalidValue)", CudaError);
  launch(set_to, 1, 32, 0, stream("softmax"), y, 1.0F);
  emu::fail_calls("cudaMemcpyAsync", cudaErrorInvalidValue);
  CHECK_THROWS_WITH_AS(y.values(), "copy to the host: invalid argument (cudaErrorInvalidValue)",
                       CudaError);
  CHECK(y.values() == std::vector<float>(32, 1));
}

TEST_CASE("a device that has stopped says so, with the last launches, and the CPU goes on") {
  {
    const OnDevice<float> y(32);
    launch(set_to, 1, 32, 0, stream("softmax"), y, 1.0F);
    emu::stop_device(cudaErrorIllegalAddress);
    for (int again = 0; again < 2; ++again) {
      const std::string error = error_of([&] { y.values(); });
      CHECK(
          error.starts_with("copy to the host: the GPU stopped: an illegal memory access was "
                            "encountered (cudaErrorIllegalAddress). The last launches"));
      CHECK(error.find("softmax (1 x 32)") != std::string::npos);
      CHECK(error.ends_with("BRUME_SYNC=1 finds the one; the CPU can still be used"));
    }
    CHECK_THROWS_AS(launch(set_to, 1, 32, 0, stream("softmax"), y, 1.0F), CudaError);
    CHECK_THROWS_AS(OnDevice<float>(1 << 20), CudaError);
    CHECK((ones({3}) + 1).to_vector<float>() == std::vector<float>(3, 2));
  }  // freed without a word
  memory.trim();
  emu::stop_device(0);
}

TEST_CASE("why there is no device: one sentence each") {
  CHECK(why_no_device().empty());
  emu::fail_calls("cudaDriverGetVersion", cudaErrorInsufficientDriver);
  CHECK(why_no_device() == "this machine has no NVIDIA driver; install one, or use the CPU");
  emu::fail_calls("cudaGetDeviceCount", cudaErrorInsufficientDriver);
  CHECK(why_no_device() ==
        "the NVIDIA driver is too old: it serves CUDA 12.2, this build needs 12.2");
  emu::fail_calls("cudaGetDeviceCount", cudaErrorNoDevice);
  CHECK(why_no_device() == "the NVIDIA driver shows no GPU (is CUDA_VISIBLE_DEVICES set?)");
  emu::fail_calls("cudaGetDeviceCount", cudaErrorInvalidValue);
  CHECK(why_no_device() ==
        "the CUDA runtime does not start: invalid argument (cudaErrorInvalidValue)");
  emu::fail_calls("cudaStreamCreateWithFlags", cudaErrorDevicesUnavailable);
  CHECK(why_no_device() ==
        "the GPU is taken by another process, which has it for itself; wait, or use the CPU");
  emu::fail_calls("cudaStreamCreateWithFlags", cudaErrorMemoryAllocation);
  CHECK(why_no_device() == "other processes leave no memory on the GPU; wait, or use the CPU");
  CHECK(why_no_device().empty());
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
