#include <cstdio>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/npy.h>
#include <brume/diffusion/ensemble.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

const test::TemporaryFile kFile("ensemble.npy");
const std::string& kPath = kFile.path;
std::vector<uint64_t> seeds(uint64_t count) {
  std::vector<uint64_t> out;
  for (uint64_t i = 0; i < count; ++i) out.push_back(100 + i);
  return out;
}

// Samples of N(0, 1), three steps each.
Tensor members(int64_t, std::span<const uint64_t> of) {
  const EDMNoiseScheduler scheduler;
  const auto count = static_cast<int64_t>(of.size());
  NoiseSource noise(of);
  const Predictor ideal = [](const Tensor& x, const Tensor& t) {
    return x / (square(per_sample(t, x)) + 1.0);
  };
  return sample(denoiser(scheduler, {.x0 = ideal}),
                scheduler.init_latents({count, 1, 4, 4}, full({count}, 80), noise), scheduler,
                {.num_steps = 3});
}

}  // namespace

TEST_CASE("an ensemble in a file does not depend on how it was split into batches") {
  CHECK(write_ensemble(kPath, seeds(7), members, {.batch = 3}));
  const Tensor parts = io::read_npy(kPath);
  CHECK(parts.shape() == Shape{7, 1, 4, 4});
  CHECK(write_ensemble(kPath, seeds(7), members, {.batch = 7}));
  CHECK(io::read_npy(kPath).to_vector<float>() == parts.to_vector<float>());
  CHECK(members(0, seeds(7)).to_vector<float>() == parts.to_vector<float>());
  std::remove(kPath.c_str());
}

TEST_CASE("an ensemble that is called off or fails leaves no file") {
  std::vector<int64_t> seen;
  const auto stop = [&](int64_t done, int64_t all) {
    CHECK(all == 6);
    seen.push_back(done);
    return done < 4;
  };
  CHECK_FALSE(write_ensemble(kPath, seeds(6), members, {.batch = 2, .on_batch = stop}));
  CHECK(seen == std::vector<int64_t>{2, 4});
  CHECK(io::file_status(kPath).kind == io::FileKind::missing);
  const auto short_of_one = [](int64_t first, std::span<const uint64_t> of) {
    return members(first, first == 0 ? of : of.first(1));
  };
  CHECK(error_of([&] { (void)write_ensemble(kPath, seeds(4), short_of_one, {.batch = 2}); }) ==
        "write_ensemble: asked for 2 members, got [1, 1, 4, 4]");
  CHECK(error_of([&] { (void)write_ensemble(kPath, {}, members); }) ==
        "write_ensemble: wants at least one seed");
  CHECK(io::file_status(kPath).kind == io::FileKind::missing);
}
