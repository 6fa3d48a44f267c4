// A step that is captured and replayed gives, bit for bit, what the same step gives when it is run.

#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/core/captured_step.h>
#include <brume/cuda/emu/control.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/ema.h>
#include <brume/nn/optim/lr_schedule.h>
#include <brume/nn/optim/sgd.h>
#include <tests/emu/on_device.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr int kSteps = 5;  // two rehearsed, one recorded, two replayed

struct Protected {
  Protected() : before(cuda::emu::is_protecting()) { cuda::emu::set_protecting(true); }
  ~Protected() { cuda::emu::set_protecting(before); }
  bool before;
};

using Values = std::vector<std::vector<double>>;

/// What a run leaves behind: losses and norms of each step, then parameters, averages, state.
struct Run {
  std::vector<double> losses, norms;
  Values tensors;
  uint64_t offset = 0;

  void add(const nn::NamedTensors& list) {
    for (const nn::NamedTensor& t : list) tensors.push_back(t.tensor.to_vector<double>());
  }
  friend bool operator==(const Run&, const Run&) = default;
};

enum class Way { eager, captured };

/// Garbage where a block was freed and given out again: whatever a replay took from there shows.
void allocate_and_scribble() {
  for (const int64_t n : {1, 16, 100, 256, 1000, 5000}) (void)full({n}, 1e30, {.device = kCuda});
  trim_memory(DeviceType::cuda);
}

/// Trains with AdamW, an average and a changing learning rate. loss(x, rng) of a batch.
template <class Loss>
Run train(Way way, const nn::Module& model, const Shape& batch, const Loss& loss) {
  nn::AdamW optimizer(model.parameters(), {.lr = 0.01});
  nn::Ema ema(model, 0.9, true);
  Generator rng(5);
  const Tensor x = zeros(batch, {.device = kCuda});
  Tensor value, norm;
  Run run;
  const nn::StepOptions options{.clip_norm = 0.5, .ema = &ema};
  CapturedStep step(kCuda, [&] {
    optimizer.zero_grad();
    value = loss(x, rng);
    backward(value);
    norm = optimizer.step_on_device(options);
  });
  for (int i = 0; i < kSteps; ++i) {
    optimizer.set_lr(nn::warmup_linear(0.01, i, 4));
    copy_(x, noise(batch, 10 + static_cast<uint64_t>(i)));
    if (way == Way::captured) {
      step();
      run.norms.push_back(norm.item());
    } else {
      optimizer.zero_grad();
      value = loss(x, rng);
      backward(value);
      run.norms.push_back(optimizer.step(options));
    }
    run.losses.push_back(value.item());
    allocate_and_scribble();
  }
  CHECK(step.is_recorded() == (way == Way::captured));
  run.add(model.parameters());
  run.add(ema.averages());
  run.add(optimizer.state());
  run.offset = rng.offset();
  return run;
}

template <class Make, class Loss>
void check_training(const Make& make, const Shape& batch, const Loss& loss) {
  const auto run = [&](Way way) {
    Generator weights(3);
    const nn::Construction from(weights);
    const auto model = make();
    model->to(kCuda);
    return train(way, *model, batch,
                 [&](const Tensor& x, Generator& rng) { return loss(model, x, rng); });
  };
  const Run eager = run(Way::eager), captured = run(Way::captured);
  CHECK(captured.losses == eager.losses);
  CHECK(captured.norms == eager.norms);
  CHECK(captured.offset == eager.offset);
  REQUIRE(captured.tensors.size() == eager.tensors.size());
  for (size_t i = 0; i < eager.tensors.size(); ++i) CHECK(captured.tensors[i] == eager.tensors[i]);
}

TEST_CASE("a captured training step of an MLP equals the eager one, bit by bit") {
  for (const cuda::emu::Order order : cuda::kOrders) {
    const cuda::InOrder in(order);
    const Protected closed;
    check_training(
        [] {
          return nn::make<nn::FullyConnected>(
              {.in_features = 4, .layer_size = 16, .out_features = 4, .num_layers = 2});
        },
        {5, 4},
        [](const auto& net, const Tensor& x, Generator& rng) {
          return mse_loss((*net)(dropout(x, 0.2, rng)), normal(x.shape(), rng, {.device = kCuda}));
        });
  }
}

auto small_edm() {
  const auto net = nn::make<diffusion::SongUNetAdapter>({.img_resolution = 8,
                                                         .in_channels = 2,
                                                         .out_channels = 2,
                                                         .model_channels = 8,
                                                         .channel_mult = {1, 2},
                                                         .channel_mult_emb = 2,
                                                         .num_blocks = 1,
                                                         .attn_resolutions = {4},
                                                         .dropout = 0.1});
  return nn::make<diffusion::EDMPreconditioner>(net, diffusion::EDMPreconditionerConfig{});
}

TEST_CASE("a captured training step of SongUNet with EDM's loss equals the eager one, bit by bit") {
  const diffusion::EDMNoiseScheduler scheduler;
  check_training(small_edm, {2, 2, 8, 8}, [&](const auto& edm, const Tensor& x, Generator& rng) {
    edm->set_generator(std::shared_ptr<Generator>(&rng, [](Generator*) {}));
    return diffusion::MSEDSMLoss(edm, scheduler)(x, rng);
  });
}

TEST_CASE("a captured training step of FNO equals the eager one, bit by bit") {
  check_training(
      [] {
        return nn::make<nn::FNO>({.in_channels = 1,
                                  .out_channels = 1,
                                  .decoder_layer_size = 4,
                                  .latent_channels = 4,
                                  .num_fno_layers = 2,
                                  .num_fno_modes = 3,
                                  .padding = 2});
      },
      {2, 1, 6, 5},
      [](const auto& net, const Tensor& x, Generator&) { return mse_loss((*net)(x), x); });
}

TEST_CASE("numbers that follow from shapes may be made in a captured step") {
  const Tensor x = transfer(noise({2, 3, 4}), kCuda);
  set_requires_grad(x, true);
  Tensor y, g;
  const auto body = [&] {
    y = sum(square(windows(x, 2, 3, 1)) * arange(1, 3, 0.5, {.device = kCuda}));
    g = grad({y}, {x})[0];
  };
  body();
  const double want = y.item();
  const std::vector<float> gradient = g.to_vector<float>();
  CapturedStep step(kCuda, body);
  for (int i = 0; i < kSteps; ++i) {
    step();
    CHECK(y.item() == want);
    CHECK(g.to_vector<float>() == gradient);
    allocate_and_scribble();
  }
}

/// DiT with a learnt vector for each label.
class LabelledDiT : public nn::Module {
 public:
  LabelledDiT()
      : labels_(param("labels", {3, 4}, nn::Init::normal(1))),
        net_(child<nn::DiT>("net", {.input_size = 4,
                                    .in_channels = 2,
                                    .patch_size = {2, 2},
                                    .hidden_size = 8,
                                    .depth = 1,
                                    .num_heads = 2,
                                    .condition_dim = 4,
                                    .dit_initialization = false})) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& label) const {
    return (*net_)(x, t, embedding(labels_, label));
  }

 private:
  Tensor labels_;
  nn::Ref<nn::DiT> net_;
};

/// Labels 0, 1 or 2 that follow from each sample.
Tensor labels_of(const Tensor& x) {
  return argmax(slice(reshape(detach(x), {x.size(0), -1}), 1, 0, 3), 1);
}

TEST_CASE("a captured training step of DiT with labels equals the eager one, bit by bit") {
  check_training([] { return std::make_shared<LabelledDiT>(); }, {3, 2, 4, 4},
                 [](const auto& net, const Tensor& x, Generator& rng) {
                   const Tensor t = uniform({3}, rng, {.device = kCuda});
                   return mse_loss((*net)(x, t, labels_of(x)), x);
                 });
}

TEST_CASE("a captured training step of MeshGraphNet equals the eager one, bit by bit") {
  const Tensor edges = transfer(
      from_vector(std::vector<int64_t>{0, 1, 2, 3, 0, 2, 1, 2, 3, 0, 2, 0}, {2, 6}), kCuda);
  const nn::Graph graph(edges, 4);
  const Tensor edge_features = transfer(noise({6, 2}), kCuda);
  for (const auto how : {nn::Aggregation::sum, nn::Aggregation::mean})
    check_training(
        [how] {
          return nn::make<nn::MeshGraphNet>({.input_dim_nodes = 3,
                                             .input_dim_edges = 2,
                                             .output_dim = 3,
                                             .processor_size = 2,
                                             .hidden_dim_processor = 8,
                                             .hidden_dim_node_encoder = 8,
                                             .hidden_dim_edge_encoder = 8,
                                             .hidden_dim_node_decoder = 8,
                                             .aggregation = how});
        },
        {4, 3},
        [&](const auto& net, const Tensor& x, Generator&) {
          return mse_loss((*net)(x, edge_features, graph), x);
        });
}

auto small_classifier() {
  return nn::make<nn::FullyConnected>(
      {.in_features = 4, .layer_size = 8, .out_features = 3, .num_layers = 1});
}

TEST_CASE("a captured training step of a classifier equals the eager one, bit by bit") {
  check_training(small_classifier, {5, 4}, [](const auto& net, const Tensor& x, Generator&) {
    return cross_entropy((*net)(x), labels_of(x));
  });
}

/// A step that picks rows 0 to 2 by an index, replayed from its fourth call on.
struct Picking {
  Tensor rows, loss;
  Tensor index = zeros({4}, {.dtype = DType::i64, .device = kCuda});
  CapturedStep step{kCuda, [this] { loss = cross_entropy(index_select(rows, 0, index), index); }};

  explicit Picking(int64_t classes = 3) : rows(transfer(noise({3, classes}), kCuda)) {
    for (int i = 0; i < 3; ++i) step();
  }
  void set(int64_t place, int64_t value) const {
    fill_(slice(index, 0, place, place + 1), static_cast<double>(value));
  }
};

TEST_CASE("an index that is out of range in a replay is told where the host next waits") {
  for (const cuda::emu::Order order : cuda::kOrders) {
    const cuda::InOrder in(order);
    const Protected closed;
    Picking p;
    const double before = p.loss.item();
    for (const int64_t bad : {3, -1}) {
      p.set(2, bad);
      cuda::emu::fail_calls("cudaStreamSynchronize", cudaErrorInvalidValue);
      p.step();  // waits for nothing
      p.step();
      CHECK(error_of([&] { (void)p.loss.item(); }).find("invalid argument") != std::string::npos);
      CHECK(error_of([&] { (void)p.loss.item(); }) ==
            cat("index_select: index ", bad, " is outside [0, 3)"));
      p.set(2, 0);
      p.step();
      CHECK(p.step.is_recorded());
      CHECK(p.loss.item() == before);  // it is told once
    }
    p.set(0, 3);
    p.step();
    CHECK(error_of([] {
            backend(DeviceType::cuda).memory.synchronize();
          }).starts_with("index_select: index 3"));
  }
}

TEST_CASE("a label that is out of range in a replay is told though its step has ended") {
  {
    Picking p(2);
    p.set(3, 2);  // a row, but no class
    p.step();
  }
  const Tensor x = zeros({1}, {.device = kCuda});
  CHECK(error_of([&] { (void)x.item(); }) == "cross_entropy: index 2 is outside [0, 2)");
  CHECK(x.item() == 0);
}

TEST_CASE("an index that is out of range before a step is recorded is told at once") {
  const Tensor x = zeros({3}, {.device = kCuda});
  const Tensor index = full({2}, 3, {.dtype = DType::i64, .device = kCuda});
  CapturedStep step(kCuda, [&] { (void)index_select(x, 0, index); });
  CHECK(error_of([&] { step(); }) == "index_select: index 3 is outside [0, 3)");
}

TEST_CASE("a captured sampling step equals the eager one, down to the last step") {
  const NoGrad guard;
  Generator weights(3);
  const nn::Construction from(weights);
  const auto edm = small_edm();
  edm->to(kCuda);
  edm->eval();
  const diffusion::EDMNoiseScheduler scheduler;
  const auto denoiser = diffusion::denoiser(scheduler, {.x0 = edm});
  Generator rng(4);
  const Tensor start = normal({2, 2, 8, 8}, rng, {.device = kCuda}) * 80;
  const Tensor times = scheduler.timesteps(kSteps, {.device = kCuda});

  const Tensor x = empty_like(start), t = zeros({2}, {.device = kCuda}), next = zeros_like(t);
  copy_(x, start);
  diffusion::HeunSolver solver;
  CapturedStep step(kCuda, [&] { copy_(x, solver(denoiser, x, t, next)); });
  for (int64_t i = 0; i < kSteps; ++i) {
    copy_(t, slice(times, 0, i, i + 1));
    copy_(next, slice(times, 0, i + 1, i + 2));
    step();
    allocate_and_scribble();
  }
  CHECK(step.is_recorded());
  const Tensor want = diffusion::sample(denoiser, start, scheduler, {.num_steps = kSteps});
  CHECK(x.to_vector<float>() == want.to_vector<float>());
}

TEST_CASE("a step of Sgd with momentum and a transform replays, too") {
  const auto run = [](Way way) {
    const Tensor w = transfer(noise({6}, 1), kCuda);
    set_requires_grad(w, true);
    nn::Sgd optimizer({{"w", w}}, {.lr = 0.1, .momentum = 0.9});
    Tensor value;
    const auto body = [&] {
      optimizer.zero_grad();
      value = sum(square(irfft(rfft(w * w))));
      backward(value);
      (void)optimizer.step_on_device({.clip_norm = 1});
    };
    CapturedStep step(way == Way::captured ? kCuda : kCpu, body);
    Run out;
    for (int i = 0; i < kSteps; ++i) {
      optimizer.set_lr(0.1 / (1 + i));
      step();
      out.losses.push_back(value.item());
    }
    out.add({{"w", w}});
    return out;
  };
  CHECK(run(Way::captured) == run(Way::eager));
}

TEST_CASE("a generator that moves between replays is followed, and one that ends starts anew") {
  Generator rng(9);
  const Tensor y = empty({10}, {.device = kCuda}), z = empty_like(y);
  CapturedStep step(kCuda, [&] {
    skip_normal({3}, rng);  // draws that no kernel makes count as well
    copy_(y, normal({10}, rng, {.device = kCuda}));
    Generator own(4);
    copy_(z, uniform({10}, own, {.device = kCuda}));
  });
  Generator twin(9);
  const auto want = [&] {
    skip_normal({3}, twin);
    return normal({10}, twin, {.device = kCuda}).to_vector<float>();
  };
  for (int i = 0; i < kSteps; ++i) {
    step();
    CHECK(y.to_vector<float>() == want());
    Generator own(4);
    CHECK(z.to_vector<float>() == uniform({10}, own).to_vector<float>());
    if (i == 2) (void)normal({5}, rng), (void)normal({5}, twin);  // someone else draws
    if (i == 3) rng.set_offset(2), twin.set_offset(2);            // a checkpoint is loaded
    CHECK(rng.offset() == twin.offset());
  }
}

TEST_CASE("a gradient that is not finite leaves the weights alone, replayed or not") {
  const Tensor w = ones({4}, {.device = kCuda}), x = ones({4}, {.device = kCuda});
  set_requires_grad(w, true);
  nn::AdamW optimizer({{"w", w}}, {.lr = 0.1});
  Tensor norm;
  CapturedStep step(kCuda, [&] {
    optimizer.zero_grad();
    backward(sum(w * x));
    norm = optimizer.step_on_device({.clip_norm = 1});
  });
  for (int i = 0; i < kSteps; ++i) {
    const bool bad = i % 2 == 1;
    fill_(x, bad ? std::numeric_limits<double>::infinity() : 1);
    const std::vector<float> before = w.to_vector<float>();
    step();
    CHECK(std::isfinite(norm.item()) == !bad);
    CHECK((w.to_vector<float>() == before) == bad);
    CHECK(std::isfinite(w.to_vector<float>()[0]));
  }
}

TEST_CASE("what a captured step cannot do names itself, and the device goes on") {
  const Tensor x = ones({4}, {.device = kCuda}), y = zeros_like(x);
  const auto recorded = [&](const std::function<void()>& illegal) {
    CapturedStep step(kCuda, [&] {
      copy_(y, x + 1);
      illegal();
    });
    step();
    step();
    const std::string error = error_of([&] { step(); });
    CHECK(!step.is_recorded());
    CHECK(y.to_vector<float>() == std::vector<float>(4, 2));
    return error.substr(0, error.find(';'));
  };
  CHECK(recorded([&] { (void)sum(x).item(); }) ==
        "item: not inside a captured step: the host would read the device");
  CHECK(recorded([&] { (void)x.to_vector<float>(); }) ==
        "to_vector: not inside a captured step: the host would read the device");
  CHECK(recorded([&] { (void)transfer(ones({4}), kCuda); }).starts_with("transfer: not inside"));
  CHECK(recorded([&] { copy_(x, ones({4})); }).starts_with("transfer: not inside"));
  CHECK(recorded([&] {
          (void)from_vector(std::vector<float>{1, 1}, {2}, kCuda);
        }).starts_with("from_span: not inside"));
  CHECK(recorded([&] {
          backend(DeviceType::cuda).memory.synchronize();
        }).starts_with("synchronize: not inside"));
  CHECK(recorded([&] { (void)nonzero(x); }).starts_with("item: not inside"));
  CHECK(recorded([&] {
          const Tensor w = ones({4}, {.device = kCuda});
          set_requires_grad(w, true);
          backward(sum(w));
          (void)nn::Sgd({{"w", w}}).step();
        }).starts_with("step: not inside a captured step: the norm is returned to the host"));
  CapturedStep inner(kCuda, [] {}), outer(kCuda, [&] { inner(); });
  CHECK(error_of([&] { outer(); }).starts_with("captured step: runs inside another one"));
}

TEST_CASE("a capture that fails leaves the device usable, and the step can be tried again") {
  const Tensor x = zeros({4}, {.device = kCuda});
  for (const char* call : {"cudaStreamBeginCapture", "cudaGraphInstantiate", "cudaGraphLaunch"}) {
    fill_(x, 0);
    CapturedStep step(kCuda, [&] { copy_(x, x + 1); });
    step();
    step();
    cuda::emu::fail_calls(call, cudaErrorInvalidValue);
    CHECK(error_of([&] { step(); }) == "captured step: invalid argument (cudaErrorInvalidValue)");
    CHECK(x.to_vector<float>() == std::vector<float>(4, 2));
    for (int i = 0; i < 4; ++i) step();
    CHECK(step.is_recorded());
    CHECK(x.to_vector<float>() == std::vector<float>(4, 6));
  }
}

TEST_CASE("a step that wants more memory than before says so") {
  Tensor y;
  int64_t n = 100;
  CapturedStep step(kCuda, [&] {
    y = ones({n}, {.device = kCuda});
    n *= 10;
  });
  step();
  step();
  CHECK(error_of([&] { step(); }).starts_with("captured step: after '"));
}

TEST_CASE("another thread does not slip work into a step that is recorded") {
  const Tensor x = ones({4}, {.device = kCuda}), y = zeros_like(x);
  std::string error;
  CapturedStep step(kCuda, [&] {
    copy_(y, x + 1);
    std::thread([&] { error = error_of([&] { fill_(x, 3); }); }).join();
  });
  step();
  step();
  fill_(x, 1);
  step();
  CHECK(error.find("another thread is recording a captured step") != std::string::npos);
  CHECK(y.to_vector<float>() == std::vector<float>(4, 2));
}

TEST_CASE("a captured step's memory is its own, is reported, and goes back at its end") {
  trim_memory(DeviceType::cuda);
  const int64_t before = memory_stats(DeviceType::cuda).live;
  Tensor kept;
  {
    CapturedStep step(kCuda, [&] { kept = ones({1000}, {.device = kCuda}) + 1; });
    for (int i = 0; i < 4; ++i) step();
    CHECK(memory_stats(DeviceType::cuda).live >= before + 8000);
    trim_memory(DeviceType::cuda);  // does not reach it
    step();
  }
  CHECK(kept.to_vector<float>()[999] == 2);
  kept = {};
  CHECK(memory_stats(DeviceType::cuda).live == before);
}

TEST_CASE("on the CPU a captured step is run each time") {
  int calls = 0;
  CapturedStep step(kCpu, [&] { ++calls; });
  for (int i = 0; i < 5; ++i) step();
  CHECK(calls == 5);
  CHECK(!step.is_recorded());
}

}  // namespace
