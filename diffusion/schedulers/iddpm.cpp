#include <brume/diffusion/schedulers/iddpm.h>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/diffusion/iddpm_levels.h>
#include <brume/diffusion/schedulers/time_grid.h>

namespace brume::diffusion {

IDDPMNoiseScheduler::IDDPMNoiseScheduler(const Config& config)
    : levels_(iddpm_levels("IDDPMNoiseScheduler", config.M, config.C_1, config.C_2)) {
  check_levels("IDDPMNoiseScheduler", config.sigma_min, config.sigma_max);
  std::erase_if(levels_, [&](float u) { return u < config.sigma_min || u > config.sigma_max; });
  check(!levels_.empty(), "IDDPMNoiseScheduler: none of the ", config.M, " levels is between ",
        config.sigma_min, " and ", config.sigma_max);
}

Tensor IDDPMNoiseScheduler::levels_at(const Tensor& index, TensorOptions options) const {
  const Tensor table = from_vector(levels_, {static_cast<int64_t>(levels_.size())});
  return transfer(convert(index_select(table, 0, index), options.dtype), options.device);
}

Tensor IDDPMNoiseScheduler::sample_time(int64_t n, Generator& rng, TensorOptions options) const {
  return levels_at(random_integers({n}, 0, static_cast<int64_t>(levels_.size()), rng), options);
}

Tensor IDDPMNoiseScheduler::loss_weight(const Tensor& t) const { return 1.0 / square(t); }

Tensor IDDPMNoiseScheduler::timesteps(int64_t num_steps, TensorOptions options) const {
  check_steps("IDDPMNoiseScheduler", num_steps);
  check(num_steps <= static_cast<int64_t>(levels_.size()), "IDDPMNoiseScheduler: ", num_steps,
        " steps want as many levels, but there are ", levels_.size(), "; raise M or take fewer");
  const double stride =
      static_cast<double>(levels_.size() - 1) / static_cast<double>(num_steps - 1);
  // In f64 for f64 times, as in the reference: between two levels the types round apart.
  const Tensor place = arange(0, num_steps, 1, {.dtype = wide_dtype(options.dtype)}) * stride;
  const Tensor index = round(place);  // halves to even
  return then_zero(levels_at(convert(index, DType::i64), options));
}

}  // namespace brume::diffusion
