// What kernels are made of, checked lane by lane on the emulator.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <brume/core/dtype.h>
#include <brume/cuda/launch.h>
#include <tests/emu/on_device.h>
#include <brume/cuda/device/divider.cuh>
#include <brume/cuda/device/reduce.cuh>
#include <brume/cuda/device/vector.cuh>

using namespace brume;
using namespace brume::cuda;

namespace {

template <class Op>
__global__ void reduce_twice(const float* x, float* first, float* second) {
  const unsigned i = threadIdx.x;
  first[i] = block_reduce<Op>(x[i]);
  second[i] = block_reduce<Op>(-x[i]);
}

TEST_CASE("a block's reduction reaches every thread, in every order, and can be repeated at once") {
  for (const unsigned threads : {32U, 96U, 1024U}) {
    std::vector<float> x(threads);
    for (unsigned i = 0; i < threads; ++i) x[i] = static_cast<float>((i * 37) % 101);
    const float sum = std::accumulate(x.begin(), x.end(), 0.0F);  // whole numbers: exact
    const float most = *std::max_element(x.begin(), x.end());
    const OnDevice<float> device_x(x);
    for (const auto order : kOrders) {
      const InOrder in_order(order);
      const OnDevice<float> first(threads), second(threads);
      launch(reduce_twice<Sum>, 1, threads, 0, stream("sum"), device_x, first, second);
      CHECK(first.values() == std::vector<float>(threads, sum));
      CHECK(second.values() == std::vector<float>(threads, -sum));
      launch(reduce_twice<Max>, 1, threads, 0, stream("max"), device_x, first, second);
      CHECK(first.values() == std::vector<float>(threads, most));
      CHECK(second.values() == std::vector<float>(threads, 0.0F));
    }
  }
}

TEST_CASE("a maximum keeps NaN") {
  std::vector<float> x(64, 1);
  x[40] = NAN;
  const OnDevice<float> device_x(x), first(64), second(64);
  launch(reduce_twice<Max>, 1, 64, 0, stream("max"), device_x, first, second);
  CHECK(std::isnan(first.values()[0]));
}

__global__ void warp_talk(float* down, float* up, float* from, unsigned* votes) {
  const unsigned i = threadIdx.x;
  const auto v = static_cast<float>(i);
  down[i] = __shfl_down_sync(kAllLanes, v, 3);
  up[i] = __shfl_up_sync(kAllLanes, v, 3);
  from[i] = __shfl_sync(kAllLanes, v, 5);
  votes[i] = __ballot_sync(kAllLanes, i % 3 == 0);
  if (__any_sync(kAllLanes, i == 40)) votes[i] += 1;
  if (__all_sync(kAllLanes, i < 32)) votes[i] += 2;
}

TEST_CASE("shuffles and votes stay within the warp") {
  const OnDevice<float> down(64), up(64), from(64);
  const OnDevice<unsigned> votes(64);
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    launch(warp_talk, 1, 64, 0, stream("warp"), down, up, from, votes);
    for (size_t i = 0; i < 64; ++i) {
      const size_t lane = i % 32, first = i - lane;
      CHECK(down.values()[i] == static_cast<float>(lane < 29 ? i + 3 : i));
      CHECK(up.values()[i] == static_cast<float>(lane >= 3 ? i - 3 : i));
      CHECK(from.values()[i] == static_cast<float>(first + 5));
      CHECK(votes.values()[i] == (i < 32 ? 0x49249249U + 2 : 0x92492492U + 1));
    }
  }
}

__global__ void divide(const uint32_t* x, uint32_t n, Divider by, uint32_t* y) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = by.quotient(x[i]);
}

TEST_CASE("division by multiplication is exact below 2^31") {
  std::vector<uint32_t> x = {0, 1, 2, 3, 95, 96, 97, (1U << 31) - 1, (1U << 31) - 2, 1U << 30};
  for (uint32_t i = 1; i < 500; ++i) x.push_back((i * 2654435761U) >> 1);
  const auto n = static_cast<uint32_t>(x.size());
  const OnDevice<uint32_t> device_x(x), y(x.size());
  for (const uint32_t d : {1U, 2U, 3U, 5U, 7U, 96U, 1000003U, 1U << 30, (1U << 31) - 1}) {
    launch(divide, (n + 127) / 128, 128, 0, stream("divide"), device_x, n, Divider(d), y);
    std::vector<uint32_t> expected(x);
    for (uint32_t& e : expected) e /= d;
    CHECK(y.values() == expected);
  }
}

template <class T>
__global__ void swap_ends(const T* x, T* y) {
  Pack<T> pack = load_pack(x + threadIdx.x * Pack<T>::kCount);
  const T first = pack.at[0];
  pack.at[0] = pack.at[Pack<T>::kCount - 1];
  pack.at[Pack<T>::kCount - 1] = first;
  store_pack(y + threadIdx.x * Pack<T>::kCount, pack);
}

TEST_CASE("sixteen bytes move as one pack of elements") {
  std::vector<double> x(64);
  std::iota(x.begin(), x.end(), 0.0);
  const OnDevice<double> device_x(x), y(64);
  launch(swap_ends<double>, 1, 32, 0, stream("swap"), device_x, y);
  for (size_t i = 0; i < 64; ++i) CHECK(y.values()[i] == x[i ^ 1]);
  CHECK(Pack<bf16>::kCount == 8);
}

__global__ void count_arrivals(int* counter, int* last, int* largest) {
  const int before = atomicAdd(counter, 1);
  atomicMax(largest, static_cast<int>(threadIdx.x));
  if (before == static_cast<int>(gridDim.x * blockDim.x) - 1) *last = before;
}

TEST_CASE("atomic counters count every thread once") {
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<int> counter(std::vector<int>{0}), last(1), largest(std::vector<int>{-5});
    launch(count_arrivals, 5, 70, 0, stream("count"), counter, last, largest);
    CHECK(counter.values()[0] == 350);
    CHECK(last.values()[0] == 349);
    CHECK(largest.values()[0] == 69);
  }
}

}  // namespace
