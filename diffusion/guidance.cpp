#include <brume/diffusion/guidance.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {

Predictor guided(Predictor wanted, Predictor unwanted, GuidanceOptions options) {
  check(options.t_min <= options.t_max, "guided: wants t_min <= t_max, got ", options.t_min,
        " and ", options.t_max);
  check(std::isfinite(options.scale), "guided: scale must be a finite number, got ", options.scale);
  check<Error>(wanted && unwanted, "guided: wants two predictors, but ",
               wanted ? "the unwanted" : "the wanted", " one is empty");
  if (options.scale == 1) return wanted;
  return [wanted = std::move(wanted), unwanted = std::move(unwanted), o = options](
             const Tensor& x, const Tensor& t) {
    const Tensor toward = wanted(x, t);
    // The ends are rounded as the times are: what happens to a sample depends on no other.
    const TensorOptions as_t{.dtype = t.dtype(), .device = t.device()};
    const Tensor inside = logical_and(ge(t, scalar(o.t_min, as_t)), le(t, scalar(o.t_max, as_t)));
    const auto counts = inside.to_vector<float>();  // 1 where it acts, else 0
    if (std::none_of(counts.begin(), counts.end(), std::identity())) return toward;
    const Tensor away = unwanted(x, t);
    check(away.shape() == toward.shape(), "guided: the unwanted prediction is ", away.shape(),
          ", the wanted one ", toward.shape());
    const Tensor further = lerp(away, toward, o.scale);
    if (std::all_of(counts.begin(), counts.end(), std::identity())) return further;
    return where(per_sample(inside, x), further, toward);
  };
}

Predictor classifier_free_guidance(const AnyModel& model, Condition condition,
                                   GuidanceOptions options, Condition unconditional) {
  return guided(bind(model, std::move(condition)), bind(model, std::move(unconditional)), options);
}

Predictor autoguidance(const AnyModel& model, const AnyModel& worse, const Condition& condition,
                       GuidanceOptions options) {
  return guided(bind(model, condition), bind(worse, condition), options);
}

}  // namespace brume::diffusion
