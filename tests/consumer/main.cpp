// What a user's program does: builds a model, trains it for a step, saves it, loads it, and finds
// the same numbers. Compiled against the installed package, by pkg-config, and in one build.

#include <cmath>
#include <cstdio>
#include <vector>

#include <brume/brume.h>

using namespace brume;

namespace {

std::vector<float> values(const diffusion::AnyModel& model, const Tensor& x, const Tensor& t) {
  const NoGrad no_grad;
  return model(x, t).to_vector<float>();
}

int fail(const char* what) {
  std::fprintf(stderr, "consumer: %s\n", what);
  return 1;
}

}  // namespace

int main() {
  const char* path = "consumer.safetensors";
  const auto net = nn::make<diffusion::SongUNetAdapter>({.img_resolution = 8,
                                                         .in_channels = 1,
                                                         .out_channels = 1,
                                                         .model_channels = 8,
                                                         .channel_mult = {1, 2},
                                                         .num_blocks = 1,
                                                         .attn_resolutions = {4}});
  const auto model = nn::make<diffusion::EDMPreconditioner>(
      net, diffusion::EDMPreconditionerConfig{.sigma_data = 0.5});
  Generator rng(1);
  const Tensor x = normal({2, 1, 8, 8}, rng), t = exp(normal({2}, rng));

  const auto at_first = values(model, x, t);
  const diffusion::EDMNoiseScheduler scheduler;
  const diffusion::MSEDSMLoss loss_of(model, scheduler);
  nn::Adam optimizer(model->parameters(), {.lr = 1e-3});
  const Tensor loss = loss_of(x, rng);
  backward(loss);
  if (!std::isfinite(loss.item()) || !std::isfinite(optimizer.step())) return fail("the loss");

  model->eval();
  const auto trained = values(model, x, t);
  if (trained == at_first) return fail("the training step changed nothing");
  nn::save(*model, path);
  const auto loaded = diffusion::load(path);
  std::remove(path);
  loaded->eval();
  if (values(loaded, x, t) != trained) return fail("the loaded model gives other numbers");

  try {
    diffusion::load("absent.safetensors");
    return fail("a missing file was loaded");
  } catch (const IoError&) {
    std::puts("consumer: trained, saved and loaded");
  }
}
