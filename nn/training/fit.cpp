#include <brume/nn/training/fit.h>

#include <cmath>

#include <brume/autograd/backward.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/lr_schedule.h>
#include <brume/nn/training/checkpoint.h>

namespace brume::nn {

void fit(Module& model, const FitOptions& o, const std::function<Tensor()>& loss) {
  check(o.steps >= 0 && o.report_steps > 0, "fit: wants steps >= 0 and report_steps > 0, got ",
        o.steps, " and ", o.report_steps);
  AdamW optimizer(model.parameters(), {.lr = o.lr, .weight_decay = o.weight_decay});
  model.train();
  RunningMean mean;
  for (int64_t step = 0; step < o.steps; ++step) {
    optimizer.set_lr(warmup_cosine(o.lr, step, o.steps / 20, o.steps));
    optimizer.zero_grad();
    const Tensor value = loss();
    mean.add(value.item());
    check<GradError>(std::isfinite(mean.sum), "fit: the loss of step ", step + 1, " is ",
                     value.item(), "; no weight was changed. Try a lower lr");
    backward(value);
    optimizer.step({.clip_norm = o.clip_norm});
    if ((step + 1) % o.report_steps != 0 && step + 1 != o.steps) continue;
    if (o.on_report) o.on_report(step + 1, mean.value());
    mean = {};
  }
  model.eval();
}

}  // namespace brume::nn
