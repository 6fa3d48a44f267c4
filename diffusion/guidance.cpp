#include <brume/diffusion/guidance.h>

#include <algorithm>
#include <cmath>

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
    const std::vector<double> times = t.to_vector<double>();
    const auto acts = [&](double time) { return o.t_min <= time && time <= o.t_max; };
    if (std::none_of(times.begin(), times.end(), acts)) return toward;
    const Tensor away = unwanted(x, t);
    check(away.shape() == toward.shape(), "guided: the unwanted prediction is ", away.shape(),
          ", the wanted one ", toward.shape());
    const Tensor further = lerp(away, toward, o.scale);
    if (std::all_of(times.begin(), times.end(), acts)) return further;
    return where(per_sample(logical_and(ge(t, o.t_min), le(t, o.t_max)), x), further, toward);
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
