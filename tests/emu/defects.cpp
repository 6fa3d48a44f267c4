// Each kernel here carries one defect of the kind that a GPU forgives on some days. The emulator
// must see it, in at least one thread order.

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <brume/core/error.h>
#include <brume/cuda/launch.h>
#include <tests/emu/on_device.h>
#include <brume/cuda/device/copy_async.cuh>
#include <brume/cuda/device/reduce.cuh>
#include <brume/cuda/device/shared.cuh>

using namespace brume;
using namespace brume::cuda;

namespace {

std::vector<float> counting(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i) * 0.37F + 1;
  return x;
}

template <class... P, class... A>
std::string error_of(void (*kernel)(P...), dim3 grid, dim3 block, size_t bytes, const A&... args) {
  try {
    launch(kernel, grid, block, bytes, stream("test"), args...);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

template <bool kWithBarrier>
__global__ void reverse_block(const float* x, float* y) {
  SHARED(float, tile, [128]);
  const unsigned i = threadIdx.x;
  tile[i] = x[i];
  if (kWithBarrier) __syncthreads();
  y[i] = tile[127 - i];
}

template <bool kWithBarrier>
int wrong_values() {
  const auto x = counting(128);
  const OnDevice<float> device_x(x);
  int most = 0;
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<float> y(128);
    launch(reverse_block<kWithBarrier>, 1, 128, 0, stream("reverse"), device_x, y);
    const auto result = y.values();
    int wrong = 0;
    for (size_t i = 0; i < 128; ++i) wrong += result[i] != x[127 - i];
    most = std::max(most, wrong);
  }
  return most;
}

TEST_CASE("a missing barrier shows in some thread order") {
  CHECK(wrong_values<true>() == 0);
  CHECK(wrong_values<false>() > 30);
}

enum class Copying { right, unwaited, refilled };

// Doubles each 16 bytes of two slabs of 32 chunks, brought one after the other into one place.
template <Copying kHow>
__global__ void double_slabs(const float* x, float* y) {
  SHARED(float4, slab, [32]);
  const unsigned i = threadIdx.x, other = 31 - i;
  const auto* from = reinterpret_cast<const float4*>(x);
  copy_async(&slab[i], from + i, true);
  copy_commit();
  for (unsigned k = 0; k < 2; ++k) {
    if (kHow != Copying::unwaited) copy_wait<0>();
    __syncthreads();
    const float4 v = slab[other];
    if (kHow != Copying::refilled) __syncthreads();
    if (k == 0) {
      copy_async(&slab[i], from + 32 + i, true);
      copy_commit();
    }
    float* to = y + 4 * (32 * k + other);
    to[0] = 2 * v.x, to[1] = 2 * v.y, to[2] = 2 * v.z, to[3] = 2 * v.w;
  }
}

template <Copying kHow>
bool doubles(emu::Copies copies) {
  const WithCopies with_copies(copies);
  const auto x = counting(256);
  const OnDevice<float> device_x(x);
  bool right = true;
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<float> y(256);
    launch(double_slabs<kHow>, 1, 32, 0, stream("double"), device_x, y);
    const auto result = y.values();
    for (size_t i = 0; i < 256; ++i) right &= result[i] == 2 * x[i];
  }
  return right;
}

TEST_CASE("an asynchronous copy that is read too early shows when copies land late") {
  CHECK(doubles<Copying::right>(emu::Copies::late));
  CHECK_FALSE(doubles<Copying::unwaited>(emu::Copies::late));
}

TEST_CASE("an asynchronous copy into what is still read shows when copies land early") {
  CHECK(doubles<Copying::right>(emu::Copies::early));
  CHECK_FALSE(doubles<Copying::refilled>(emu::Copies::early));
}

__global__ void write_at(float* y, int64_t i) { y[i] = 1; }
__global__ void read_at(const float* x, int64_t i, float* y) { y[0] = x[i]; }

TEST_CASE("a write beside an allocation is an error that names the byte") {
  const OnDevice<float> y(100);
  CHECK(error_of(write_at, 1, 1, 0, y, 99).empty());
  CHECK(contains(error_of(write_at, 1, 1, 0, y, 100),
                 "test: the GPU stopped: a write past an allocation of 400 bytes of device memory, "
                 "at byte 400"));
  CHECK(contains(error_of(write_at, 1, 1, 0, y, 1 << 17), "touches"));
  CHECK(contains(error_of(write_at, 1, 1, 0, y, -4096), "touches"));
  CHECK(error_of(write_at, 1, 1, 0, y, 0).empty());  // the device still works
}

TEST_CASE("a read past an allocation gives NaN, far past it an error") {
  const OnDevice<float> x(counting(96)), y(1);
  CHECK(error_of(read_at, 1, 1, 0, x, 1 << 17, y) != "");
  const OnDevice<float> fresh(1);
  CHECK(fresh.values()[0] != fresh.values()[0]);
}

__global__ void fill_dynamic(int count, float* y) {
  float* tile = dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) tile[i] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

TEST_CASE("a write past the block's dynamic shared memory is an error") {
  const OnDevice<float> y(32);
  CHECK(error_of(fill_dynamic, 1, 32, 1000, 250, y).empty());
  CHECK(contains(error_of(fill_dynamic, 1, 32, 1000, 251, y),
                 "a write past the block's 1000 bytes of dynamic shared memory, at byte 1000"));
  CHECK(contains(error_of(fill_dynamic, 1, 32, 1000, 1 << 16, y), "touches"));
}

__global__ void overrun_static(float* y) {
  SHARED(float, tile, [8]);
  SHARED(float, other, [8]);
  float* beyond = tile;
  beyond[threadIdx.x] = 1;
  other[threadIdx.x % 8] = 2;
  y[threadIdx.x] = other[threadIdx.x % 8];
}

TEST_CASE("a write past a shared variable is an error") {
  const OnDevice<float> y(32);
  CHECK(error_of(overrun_static, 1, 8, 0, y).empty());
  CHECK(contains(error_of(overrun_static, 1, 9, 0, y), "past a shared variable of 32 bytes"));
}

TEST_CASE("a launch gets no more shared memory than the device has") {
  const OnDevice<float> y(32);
  CHECK(error_of(fill_dynamic, 1, 32, 227 << 10, 8, y).empty());
  CHECK(contains(error_of(fill_dynamic, 1, 32, (227 << 10) + 1, 8, y), "cudaErrorInvalidValue"));
}

__global__ void large_static(float* y) {
  SHARED(float, tile, [13 << 10]);
  tile[threadIdx.x] = 0;
  y[0] = tile[0];
}

TEST_CASE("static shared memory counts against the limit") {
  const OnDevice<float> y(1);
  CHECK(contains(error_of(large_static, 1, 1, 0, y), "the limit is 49152"));
}

__global__ void half_barrier(float* y) {
  if (threadIdx.x < 64) __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void early_return(int n, float* y) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  y[threadIdx.x] = 1;
  __syncthreads();
}

__global__ void two_barriers(float* y) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 1;
}

TEST_CASE("a barrier that a part of the block reaches is an error that names the threads") {
  const OnDevice<float> y(96);
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const std::string half = error_of(half_barrier, 1, 96, 0, y);
    CHECK(contains(half, "divergent barrier in block (0, 0, 0)"));
    CHECK(contains(half, "threads 0-63 wait in __syncthreads at defects.cpp:"));
    CHECK(contains(half, "threads 64-95 have ended"));
    CHECK(contains(error_of(early_return, 1, 96, 0, 70, y), "threads 70-95 have ended"));
    CHECK(error_of(early_return, 1, 96, 0, 96, y).empty());
    CHECK(contains(error_of(two_barriers, 1, 96, 0, y), "threads 0-31 wait in __syncthreads"));
  }
}

__global__ void divergent_shuffle(float* y) {
  float v = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) v = __shfl_xor_sync(kAllLanes, v, 1);
  y[threadIdx.x] = v;
}

__global__ void partial_mask(float* y) {
  y[threadIdx.x] = __shfl_xor_sync(0xffffU, static_cast<float>(threadIdx.x), 1);
}

TEST_CASE("a shuffle that a part of the warp reaches is an error") {
  const OnDevice<float> y(32);
  CHECK(contains(error_of(divergent_shuffle, 1, 32, 0, y), "threads 0-15 wait in __shfl_xor_sync"));
  CHECK(contains(error_of(partial_mask, 1, 32, 0, y), "the mask must name all 32 lanes"));
}

__global__ void sum_by_atomics(const float* x, float* total) { atomicAdd(total, x[threadIdx.x]); }
__global__ void sum_by_tree(const float* x, float* total) {
  const float sum = block_reduce<Sum>(x[threadIdx.x]);
  if (threadIdx.x == 0) *total = sum;
}

int different_sums(void (*kernel)(const float*, float*)) {
  std::vector<float> x = counting(256);
  for (size_t i = 0; i < x.size(); i += 3) x[i] *= 1e5F;
  const OnDevice<float> device_x(x);
  std::vector<float> sums;
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<float> total(std::vector<float>{0});
    launch(kernel, 1, 256, 0, stream("sum"), device_x, total);
    const float sum = total.values()[0];
    if (std::find(sums.begin(), sums.end(), sum) == sums.end()) sums.push_back(sum);
  }
  return static_cast<int>(sums.size());
}

TEST_CASE("a sum whose bits depend on the order of threads shows") {
  CHECK(different_sums(sum_by_tree) == 1);
  CHECK(different_sums(sum_by_atomics) > 1);
}

__global__ void neighbours_in_place(float* x, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + 1 < n) x[i] += x[i + 1];
}

TEST_CASE("blocks that read what other blocks write show in some order") {
  std::vector<std::vector<float>> results;
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<float> x(counting(64));
    launch(neighbours_in_place, 8, 8, 0, stream("neighbours"), x, 64U);
    results.push_back(x.values());
  }
  CHECK(results[0] != results[1]);
}

// Runs f in a child process and tells the signal that ended it, or 0.
template <class F>
int signal_of(F f) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("while protecting, a host access to device memory ends the process") {
  const OnDevice<float> x(counting(64));
  const auto touch = [&] { static_cast<volatile float*>(static_cast<float*>(x))[3] = 1; };
  const bool before = emu::is_protecting();
  emu::set_protecting(false);
  CHECK(signal_of(touch) == 0);
  emu::set_protecting(true);
  CHECK(signal_of(touch) == SIGSEGV);
  CHECK(x.values() == counting(64));  // copies are the way
  CHECK(error_of(write_at, 1, 1, 0, x, 5).empty());
  emu::set_protecting(before);
}

TEST_CASE("a copy with a host pointer in place of a device pointer is refused") {
  std::vector<float> host(8), other(8);
  CHECK_THROWS_WITH_AS(memory.from_host(host.data(), other.data(), 32),
                       "copy from the host: invalid argument (cudaErrorInvalidValue)", CudaError);
}

}  // namespace
