// Optimizer steps over as many parameters as the UNets have, in layers of a typical size.

#include <memory>

#include <brume/autograd/node.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/ema.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

constexpr int64_t kWeights = 64 * 64 * 9, kBiases = 64;

Row adam(const std::string& name, int layers, bool clips, bool averages) {
  return {"adam_" + name, [=] {
            nn::NamedTensors parameters;
            for (int i = 0; i < layers; ++i)
              for (int64_t n : {kWeights, kBiases}) {
                const Tensor x = set_requires_grad(values({n}));
                set_grad(x, values({n}));
                parameters.push_back({cat(i, ".", n), x});
              }
            const auto optimizer = std::make_shared<nn::Adam>(parameters);
            const auto ema = averages ? std::make_shared<nn::Ema>(parameters) : nullptr;
            const double count = static_cast<double>(layers * (kWeights + kBiases));
            const auto step = [=] {
              optimizer->step({.clip_norm = clips ? 1.0 : 0.0, .ema = ema.get()});
            };
            return Work{.step = step,
                        .step_bytes = count * (averages ? 36 : 28),
                        .params = static_cast<int64_t>(count)};
          }};
}

}  // namespace

void add_optim_rows(Rows& rows) {
  for (const auto& [size, layers] : {std::pair{"1.75M", 47}, std::pair{"7M", 190}}) {
    rows.push_back(adam(size, layers, false, false));
    rows.push_back(adam(cat(size, "_ema"), layers, false, true));
    rows.push_back(adam(cat(size, "_ema_clip"), layers, true, true));
  }
}

}  // namespace brume::bench
