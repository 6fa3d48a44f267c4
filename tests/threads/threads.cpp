// What several threads do at once; the thread sanitizer runs these.

#include <cmath>
#include <thread>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/core/cpu/parallel.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/nn/data/loader.h>

#include "tests/noise.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

template <class F>
void on_threads(int count, F f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&f, i] { f(i); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("one model serves four threads at once with the same bytes as alone") {
  const Threads pool(2);
  nn::SongUNetConfig c;
  c.img_resolution = 8;
  c.in_channels = 2;
  c.out_channels = 2;
  c.model_channels = 8;
  c.channel_mult = {1, 2};
  c.num_blocks = 1;
  c.attn_resolutions = {4};
  const auto net = nn::make<diffusion::EDMPreconditioner>(
      {.model = nn::make<diffusion::SongUNetAdapter>(c), .sigma_data = 0.5});
  net->eval();
  const auto evaluate = [&](uint64_t seed) {
    const NoGrad no_grad;
    return net(noise({2, 2, 8, 8}, seed), full({2}, 0.5)).to_vector<float>();
  };
  std::vector<std::vector<float>> alone, together(4);
  for (uint64_t seed = 0; seed < 4; ++seed) alone.push_back(evaluate(seed));
  on_threads(4,
             [&](int i) { together[static_cast<size_t>(i)] = evaluate(static_cast<uint64_t>(i)); });
  CHECK(together == alone);
}

TEST_CASE("each thread records and walks its own graph, over shared inputs") {
  const Threads pool(2);
  const Tensor shared = noise({100}, 1);
  std::vector<double> sums(4);
  on_threads(4, [&](int i) {
    const Tensor w = set_requires_grad(full({100}, i));
    backward(sum(tanh(shared * w)));
    sums[static_cast<size_t>(i)] = sum(grad_of(w)).item();
  });
  const auto x = shared.to_vector<double>();
  for (size_t i = 0; i < sums.size(); ++i) {
    double want = 0;  // of x (1 - tanh(x w)^2)
    for (const double v : x) want += v / std::pow(std::cosh(v * static_cast<double>(i)), 2);
    CHECK(sums[i] == doctest::Approx(want).epsilon(1e-5));
  }
}

TEST_CASE("a loader prepares batches beside the training thread") {
  const auto data = std::make_shared<nn::ArrayDataset>(noise({40, 3}, 2));
  nn::Loader ahead(data, {.batch_size = 8, .seed = 1, .prefetch = 2});
  nn::Loader plain(data, {.batch_size = 8, .seed = 1, .prefetch = 0});
  for (int i = 0; i < 20; ++i)
    CHECK(ahead.next().x.to_vector<float>() == plain.next().x.to_vector<float>());
  ahead.seek(3);
  plain.seek(3);
  CHECK(ahead.next().x.to_vector<float>() == plain.next().x.to_vector<float>());
}
