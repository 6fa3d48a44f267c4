#pragma once

#include <memory>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/random.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/training/checkpoint.h>

#include "tests/temporary_folder.h"

namespace brume::test {

inline const WorkingFolder working_folder;

/// A small run whose every draw is part of its state.
struct Run {
  Run()
      : model(small_model()),
        optimizer(model->parameters(), nn::AdamOptions{.lr = 0.01}),
        ema(*model, 0.9),
        loader(data(), {.batch_size = 5, .seed = 3}),
        rng(11),
        state{.model = *model, .optimizer = optimizer, .ema = ema, .loader = loader, .rng = rng} {}
  static nn::Ref<nn::FullyConnected> small_model() {
    Generator weights(2);
    const nn::Construction construction(weights);
    return nn::make<nn::FullyConnected>(
        {.in_features = 4, .layer_size = 8, .out_features = 2, .num_layers = 2});
  }
  static std::shared_ptr<const nn::Dataset> data() {
    Generator draw(5);
    return std::make_shared<nn::ArrayDataset>(normal({23, 4}, draw));
  }
  void step() {
    optimizer.zero_grad();
    const Tensor x = loader.next().x;
    backward(mse_loss((*model)(x), normal({5, 2}, rng)));
    optimizer.step({.ema = &ema});
    ++state.step;
  }
  std::vector<float> numbers() const {
    std::vector<float> out;
    for (const auto& [name, tensor] : model->state())
      for (float value : tensor.to_vector<float>()) out.push_back(value);
    for (const auto& [name, tensor] : ema.averages())
      for (float value : tensor.to_vector<float>()) out.push_back(value);
    return out;
  }
  nn::Ref<nn::FullyConnected> model;
  nn::Adam optimizer;
  nn::Ema ema;
  nn::Loader loader;
  Generator rng;
  nn::TrainState state;
};

}  // namespace brume::test
