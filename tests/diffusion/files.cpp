#include <doctest/doctest.h>

#include <string>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace brume;

TEST_CASE("a preconditioner made around a network is rebuilt, with the network, from its file") {
  const test::TemporaryFile file("preconditioner.safetensors");
  const auto net = nn::make<diffusion::SongUNetAdapter>({.img_resolution = 8,
                                                         .in_channels = 1,
                                                         .out_channels = 1,
                                                         .model_channels = 4,
                                                         .channel_mult = {1},
                                                         .num_blocks = 1});
  const auto edm = nn::make<diffusion::EDMPreconditioner>(
      net, diffusion::EDMPreconditionerConfig{.sigma_data = 0.25});
  nn::save(*edm, file.path);
  const nn::Ref<nn::Module> loaded = diffusion::load(file.path);
  CHECK(loaded->class_name() == "EDMPreconditioner");
  edm->eval();
  loaded->eval();
  Generator rng(1);
  const Tensor x = normal({2, 1, 8, 8}, rng), t = exp(normal({2}, rng));
  const diffusion::AnyModel again(loaded);
  CHECK(again(x, t).to_vector<float>() == edm(x, t).to_vector<float>());
}

TEST_CASE("a preconditioner around a lambda says why it is not saved") {
  const auto same = [](const Tensor& x, const Tensor&, const diffusion::Condition&) { return x; };
  const auto edm = nn::make<diffusion::EDMPreconditioner>(diffusion::AnyModel(same),
                                                          diffusion::EDMPreconditionerConfig{});
  const test::TemporaryFile file("lambda.safetensors");
  CHECK(error_of([&] { nn::save(*edm, file.path); }) ==
        "EDMPreconditioner: holds a lambda, not a module, and so cannot be saved or cloned");
}
