// From the host's memory to the device's beside its work.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <brume/autograd/ops/pointwise.h>
#include <brume/core/captured_step.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/staging.h>
#include <brume/nn/data/loader.h>
#include <tests/emu/on_device.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;
using namespace brume::cuda;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr size_t kFloats = 64;

__global__ void twice(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }

void send(Staging& staging, float value) {
  const std::vector<float> values(kFloats, value);
  std::memcpy(staging.fill(kFloats * sizeof(float)), values.data(), kFloats * sizeof(float));
  staging.send();
}

/// Doubles what the staging has received.
std::vector<float> doubled(const std::byte* x) {
  const OnDevice<float> y(kFloats);
  launch(twice, 1, kFloats, 0, stream("twice"), reinterpret_cast<const float*>(x), y);
  return y.values();
}

TEST_CASE("a batch arrives while the one before is in use") {
  for (const emu::Copies copies : {emu::Copies::late, emu::Copies::early}) {
    const WithCopies when(copies);
    const std::unique_ptr<Staging> staging = make_staging();
    send(*staging, 1);
    for (int i = 1; i < 6; ++i) {
      const std::byte* x = staging->receive();
      send(*staging, static_cast<float>(i + 1));  // under way from here on
      CHECK(doubled(x) == std::vector<float>(kFloats, static_cast<float>(2 * i)));
      staging->release();
    }
  }
}

TEST_CASE("a batch that is used before its copy has landed is reported") {
  const WithCopies late(emu::Copies::late);
  const std::unique_ptr<Staging> staging = make_staging();
  std::byte* places[2];
  for (std::byte*& place : places) {  // where the two buffers lie
    send(*staging, 1);
    place = staging->receive();
    staging->release();
  }
  send(*staging, 2);
  CHECK(error_of([&] { (void)doubled(places[0]); }).find("into which a copy is under way") !=
        std::string::npos);
  CHECK(doubled(staging->receive()) == std::vector<float>(kFloats, 4));
}

TEST_CASE("two buffers are all that there are") {
  const std::unique_ptr<Staging> staging = make_staging();
  CHECK(error_of([&] { (void)staging->receive(); }) == "staging: nothing was sent");
  send(*staging, 1);
  send(*staging, 2);
  CHECK(error_of([&] { send(*staging, 3); }) ==
        "staging: both buffers are in use; release one first");
  CHECK(doubled(staging->receive()) == std::vector<float>(kFloats, 2));
  staging->release();
  const std::byte* const second = staging->receive();
  (void)staging->fill(1 << 20);  // a larger batch takes new memory, the other buffer stays
  CHECK(doubled(second) == std::vector<float>(kFloats, 4));
}

/// A dataset of bytes or of floats, with labels.
std::shared_ptr<const nn::Dataset> samples(DType dtype) {
  const Tensor x = convert(noise({10, 3, 5}, 1) * 40 + 128, dtype);
  std::vector<int64_t> labels(10);
  for (size_t i = 0; i < 10; ++i) labels[i] = static_cast<int64_t>(i % 4);
  return std::make_shared<nn::ArrayDataset>(x, from_vector(labels, {10}), 1 / 127.5, -1);
}

TEST_CASE("batches on the device are those of the CPU, bit by bit, from any position") {
  for (const DType dtype : {DType::u8, DType::f32})
    for (const int64_t prefetch : {0, 2})
      for (const emu::Copies copies : {emu::Copies::late, emu::Copies::early}) {
        const WithCopies when(copies);
        const nn::LoaderOptions options{.batch_size = 4, .seed = 3, .prefetch = prefetch};
        nn::LoaderOptions there = options;
        there.device = kCuda;
        nn::Loader want(samples(dtype), options), got(samples(dtype), there);
        for (int i = 0; i < 9; ++i) {
          if (i == 5) want.seek(2), got.seek(2);
          const nn::Batch a = want.next(), b = got.next();
          CHECK(b.x.device() == kCuda);
          CHECK(b.x.to_vector<float>() == a.x.to_vector<float>());
          CHECK(b.label.to_vector<int64_t>() == a.label.to_vector<int64_t>());
          CHECK(got.cursor() == want.cursor());
        }
      }
}

TEST_CASE("bytes cross as bytes") {
  const nn::StoredBatch batch = samples(DType::u8)->gather_stored(std::vector<int64_t>{1, 2});
  CHECK(batch.x.dtype() == DType::u8);
  const nn::Split part(samples(DType::u8), 3, nn::Split::Part::every);
  const std::vector<int64_t> first{0};
  CHECK(part.gather_stored(first).x.dtype() == DType::u8);
  CHECK(nn::final_batch(part.gather_stored(first)).x.to_vector<float>() ==
        part.gather(first).x.to_vector<float>());
}

TEST_CASE("a loader does not deliver into a captured step") {
  nn::Loader loader(samples(DType::f32), {.device = kCuda});
  CapturedStep step(kCuda, [&] { (void)loader.next(); });
  step();
  step();
  CHECK(error_of([&] { step(); }).starts_with("Loader: not inside a captured step"));
}

}  // namespace
