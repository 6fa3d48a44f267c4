#include <brume/diffusion/legacy/losses.h>

#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/data_scale.h>
#include <brume/diffusion/schedulers/time_grid.h>
#include <brume/diffusion/vp_levels.h>

namespace brume::diffusion {
namespace {

// Levels are drawn in f32, whatever the images are, and then take their type.
TensorOptions drawn(const Tensor& images) {
  return {.dtype = DType::f32, .device = images.device()};
}
TensorOptions like(const Tensor& x) { return {.dtype = x.dtype(), .device = x.device()}; }

// [B, 1, ...], as many axes as the images.
Shape one_each(const char* who, const Tensor& images) {
  check(images.rank() >= 2, who, ": wants images of shape [B, C, ...], got ", images.shape());
  return one_per_sample(images.shape());
}

Tensor log_normal(const EDMLossOptions& o, const Shape& shape, const Tensor& images,
                  Generator& rng) {
  return convert(exp(normal(shape, rng, drawn(images)) * o.P_std + o.P_mean), images.dtype());
}

Tensor log_uniform(double low, double high, const Shape& shape, const Tensor& images,
                   Generator& rng) {
  const Tensor u = uniform(shape, rng, drawn(images));
  return convert(exp(u * std::log(high / low) + std::log(low)), images.dtype());
}

void check_options(const char* who, const EDMLossOptions& o) {
  check(o.P_std > 0 && std::isfinite(o.P_std), who, ": P_std must be positive, got ", o.P_std);
  check(std::isfinite(o.P_mean), who, ": P_mean must be finite, got ", o.P_mean);
  check_data_scale(who, o.sigma_data);
}

Tensor edm_weight(const char* who, const nn::OneOrMany<double>& sigma_data, const Tensor& sigma,
                  const Tensor& images) {
  Shape shape = Shape::filled(images.rank(), 1);
  if (sigma_data.is_list()) shape[1] = images.size(1);
  const Tensor data =
      transfer(convert(from_vector(sigma_data.expand(static_cast<size_t>(shape[1]), who), shape),
                       images.dtype()),
               images.device());
  return edm_loss_weight(sigma, data);
}

// w (net(y + sigma n, sigma) - y)^2
Tensor denoising_error(const char* who, const AnyModel& net, const Tensor& y, const Tensor& sigma,
                       const Tensor& weight, const Condition& condition, Generator& rng) {
  const Tensor noisy = gated_residual(y, sigma, normal(y.shape(), rng, like(y)));
  const Tensor prediction =
      net(noisy, reshape(sigma, {y.size(0)}), condition.for_batch(y.size(0), who));
  check(prediction.shape() == y.shape(), who, ": the network returned ", prediction.shape(),
        " for images of ", y.shape());
  return weighted_square_error(weight, prediction, y);
}

}  // namespace

EDMLoss::EDMLoss(EDMLossOptions options) : options_(std::move(options)) {
  check_options("EDMLoss", options_);
}

Tensor EDMLoss::operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                           const LegacyLossInputs& inputs) const {
  const AugmentedImages p = augmented(images, inputs);
  const Tensor sigma = log_normal(options_, one_each("EDMLoss", images), images, rng);
  return denoising_error("EDMLoss", net, p.clean, sigma,
                         edm_weight("EDMLoss", options_.sigma_data, sigma, p.clean), p.condition,
                         rng);
}

EDMLossLogUniform::EDMLossLogUniform(EDMLossLogUniformOptions options)
    : options_(std::move(options)) {
  check_levels("EDMLossLogUniform", options_.sigma_min, options_.sigma_max);
  check_data_scale("EDMLossLogUniform", options_.sigma_data);
}

Tensor EDMLossLogUniform::operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                                     const LegacyLossInputs& inputs) const {
  const char* who = "EDMLossLogUniform";
  const AugmentedImages p = augmented(images, inputs);
  const Tensor sigma =
      log_uniform(options_.sigma_min, options_.sigma_max, one_each(who, images), images, rng);
  return denoising_error(who, net, p.clean, sigma,
                         edm_weight(who, options_.sigma_data, sigma, p.clean), p.condition, rng);
}

VPLoss::VPLoss(VPLossOptions options) : options_(options) {
  check_betas("VPLoss", options.beta_d, options.beta_min);
  check(0 < options.epsilon_t && options.epsilon_t < 1, "VPLoss: epsilon_t must be in (0, 1), got ",
        options.epsilon_t);
}

Tensor VPLoss::operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                          const LegacyLossInputs& inputs) const {
  const Tensor u = uniform(one_each("VPLoss", images), rng, drawn(images));
  const Tensor t = u * (options_.epsilon_t - 1) + 1.0;
  const Tensor sigma = convert(vp_level(t, options_.beta_d, options_.beta_min), images.dtype());
  const AugmentedImages p = augmented(images, inputs);
  return denoising_error("VPLoss", net, p.clean, sigma, 1.0 / square(sigma), p.condition, rng);
}

VELoss::VELoss(VELossOptions options) : options_(options) {
  check_levels("VELoss", options.sigma_min, options.sigma_max);
}

Tensor VELoss::operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                          const LegacyLossInputs& inputs) const {
  const Tensor sigma =
      log_uniform(options_.sigma_min, options_.sigma_max, one_each("VELoss", images), images, rng);
  const AugmentedImages p = augmented(images, inputs);
  return denoising_error("VELoss", net, p.clean, sigma, 1.0 / square(sigma), p.condition, rng);
}

EDMLossSR::EDMLossSR(EDMLossOptions options) : options_(std::move(options)) {
  check_options("EDMLossSR", options_);
}

Tensor EDMLossSR::operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                             Generator& rng, const LegacyLossInputs& inputs) const {
  const Tensor sigma = log_normal(options_, one_each("EDMLossSR", img_clean), img_clean, rng);
  const AugmentedImages p = augmented("EDMLossSR", img_clean, img_lr, inputs);
  return denoising_error("EDMLossSR", net, p.clean, sigma,
                         edm_weight("EDMLossSR", options_.sigma_data, sigma, p.clean),
                         p.condition.with("img_lr", p.low), rng);
}

std::vector<double> get_beta_schedule(BetaSchedule schedule, double beta_start, double beta_end,
                                      int64_t num_diffusion_timesteps) {
  check(num_diffusion_timesteps >= 1, "get_beta_schedule: wants at least 1 step, got ",
        num_diffusion_timesteps);
  const auto n = static_cast<size_t>(num_diffusion_timesteps);
  std::vector<double> beta(n);
  const auto grid = [&](size_t i, double first, double last) {
    return n == 1 ? first : first + (last - first) * static_cast<double>(i) / double(n - 1);
  };
  for (size_t i = 0; i < n; ++i) {
    switch (schedule) {
      case BetaSchedule::linear:
        beta[i] = grid(i, beta_start, beta_end);
        break;
      case BetaSchedule::quad:
        beta[i] = std::pow(grid(i, std::sqrt(beta_start), std::sqrt(beta_end)), 2);
        break;
      case BetaSchedule::constant:
        beta[i] = beta_end;
        break;
      case BetaSchedule::jsd:
        beta[i] = 1 / grid(i, static_cast<double>(n), 1);
        break;
      case BetaSchedule::sigmoid:
        beta[i] = (beta_end - beta_start) / (1 + std::exp(-grid(i, -6, 6))) + beta_start;
        break;
    }
  }
  return beta;
}

VELoss_dfsr::VELoss_dfsr(VELoss_dfsrOptions options) : count_(options.num_diffusion_timesteps) {
  check(0 < options.beta_start && options.beta_start <= options.beta_end && options.beta_end < 1,
        "VELoss_dfsr: wants 0 < beta_start <= beta_end < 1, got ", options.beta_start, " and ",
        options.beta_end);
  std::vector<float> product;
  float so_far = 1;
  for (double beta :
       get_beta_schedule(BetaSchedule::linear, options.beta_start, options.beta_end, count_))
    product.push_back(so_far *= 1 - static_cast<float>(beta));
  alpha_bar_ = from_vector(product, {count_});
}

Tensor VELoss_dfsr::operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                               const Condition& condition) const {
  const Shape shape = one_each("VELoss_dfsr", images);
  const int64_t batch = images.size(0);
  const Tensor drawn = random_integers({batch / 2 + 1}, 0, count_, rng);
  const Tensor t = slice(cat({drawn, static_cast<double>(count_ - 1) - drawn}, 0), 0, 0, batch);
  const Tensor noise = normal(images.shape(), rng, like(images));
  const Tensor kept = transfer(
      convert(reshape(index_select(alpha_bar_, 0, t), shape), images.dtype()), images.device());
  const Tensor noisy = combine(sqrt(kept), images, sqrt(1.0 - kept), noise);
  const Tensor label = transfer(convert(t, wide_dtype(images.dtype())), images.device());
  const Tensor prediction = net(noisy, label, condition.for_batch(batch, "VELoss_dfsr"));
  check(prediction.shape() == images.shape(), "VELoss_dfsr: the network returned ",
        prediction.shape(), " for images of ", images.shape());
  return square(noise - prediction);
}

}  // namespace brume::diffusion
