#include <brume/diffusion/preconditioners.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/data_scale.h>
#include <brume/diffusion/iddpm_levels.h>
#include <brume/diffusion/vp_levels.h>

namespace brume::diffusion {

namespace {

// A buffer for arithmetic with x: of its type, and on its device.
Tensor alike(const Tensor& buffer, const Tensor& x) {
  return transfer(convert(buffer, x.dtype()), x.device());
}

// An index has no gradient, so it may be converted without one; half precision would round it.
Tensor as_label(const Tensor& c_noise, const Tensor& x) {
  if (is_floating(c_noise.dtype())) return c_noise;
  return convert(c_noise, wide_dtype(x.dtype()));
}

}  // namespace

BaseAffinePreconditioner::BaseAffinePreconditioner(AnyModel model) : model_(std::move(model)) {
  if (model_.module())
    child("model", model_.module());
  else
    made_from_no_config("holds a lambda, not a module, and so cannot be saved or cloned");
}

Tensor BaseAffinePreconditioner::operator()(const Tensor& x, const Tensor& t,
                                            const Condition& condition) const {
  const std::string who = class_name();
  check_times(who.c_str(), t, x.shape());
  condition.check_batch(x.size(0), who.c_str());
  validate_input(x);
  return denoise(x, per_sample(sigma(nn::as_dtype(t, x)), x), condition);
}

Tensor BaseAffinePreconditioner::denoise(const Tensor& x, const Tensor& sigma,
                                         const Condition& condition, const Tensor& beside) const {
  const AffineCoefficients c = compute_coefficients(sigma);
  const Tensor scaled = x * c.c_in;
  const Tensor f = model_(beside.defined() ? cat({scaled, beside}, 1) : scaled,
                          reshape(as_label(c.c_noise, x), {-1}), condition);
  check(f.shape() == x.shape(), class_name(), ": the model returned ", f.shape(), " for x of ",
        x.shape());
  return combine(c.c_skip, x, c.c_out, f);
}

AffineCoefficients edm_coefficients(const Tensor& sigma, const Tensor& sigma_data) {
  const Tensor data = convert(sigma_data, sigma.dtype());
  const Tensor total = square(sigma) + square(data);  // variance of the noisy data
  return {.c_in = rsqrt(total),
          .c_noise = log(sigma) / 4.0,
          .c_out = sigma * data * rsqrt(total),
          .c_skip = square(data) / total};
}

EDMPreconditioner::EDMPreconditioner(AnyModel model, const Config& config)
    : BaseAffinePreconditioner(std::move(model)) {
  const std::vector<double>& values = config.sigma_data.values();
  check_data_scale("EDMPreconditioner", config.sigma_data);
  const auto count = static_cast<int64_t>(values.size());
  sigma_data_ = buffer(
      "sigma_data", convert(from_vector(values, count == 1 ? Shape{} : Shape{count}), DType::f32));
  if (model_.module())
    made_from<EDMPreconditioner>({.model = model_.module(), .sigma_data = config.sigma_data});
}

void EDMPreconditioner::validate_input(const Tensor& x) const {
  if (sigma_data_.rank() == 0) return;
  check(x.rank() >= 2 && x.size(1) == sigma_data_.size(0), "EDMPreconditioner: sigma_data is for ",
        sigma_data_.size(0), " channels, but x is ", x.shape());
}

AffineCoefficients EDMPreconditioner::compute_coefficients(const Tensor& sigma) const {
  if (sigma_data_.rank() == 0) return edm_coefficients(sigma, sigma_data_);
  Shape shape = Shape::filled(sigma.rank(), 1);
  shape[1] = sigma_data_.size(0);
  return edm_coefficients(sigma, reshape(sigma_data_, shape));
}

VPPreconditioner::VPPreconditioner(AnyModel model, const Config& config)
    : BaseAffinePreconditioner(std::move(model)) {
  check(config.beta_d > 0 && config.beta_min > 0 && config.M >= 1,
        "VPPreconditioner: wants beta_d > 0, beta_min > 0 and M >= 1, got ", config.beta_d, ", ",
        config.beta_min, " and ", config.M);
  beta_d_ = buffer("beta_d", scalar(config.beta_d));
  beta_min_ = buffer("beta_min", scalar(config.beta_min));
  M_ = buffer("M", scalar(static_cast<double>(config.M), {.dtype = DType::i64}));
  if (model_.module()) {
    Config own = config;
    own.model = model_.module();
    made_from<VPPreconditioner>(std::move(own));
  }
}

Tensor VPPreconditioner::sigma(const Tensor& t) const {
  const Tensor d = alike(beta_d_, t), b = alike(beta_min_, t);
  return vp_level(t, d, b);
}

Tensor VPPreconditioner::sigma_inv(const Tensor& sigma) const {
  const Tensor d = alike(beta_d_, sigma), b = alike(beta_min_, sigma);
  return vp_level_inv(sigma, d, b);
}

AffineCoefficients VPPreconditioner::compute_coefficients(const Tensor& sigma) const {
  return {.c_in = rsqrt(square(sigma) + 1.0),
          .c_noise = sigma_inv(sigma) * (alike(M_, sigma) - 1.0),
          .c_out = -sigma,
          .c_skip = ones_like(sigma)};
}

VEPreconditioner::VEPreconditioner(AnyModel model, const Config& /*nothing beside the model*/)
    : BaseAffinePreconditioner(std::move(model)) {
  if (model_.module()) made_from<VEPreconditioner>({.model = model_.module()});
}

AffineCoefficients VEPreconditioner::compute_coefficients(const Tensor& sigma) const {
  return {.c_in = ones_like(sigma),
          .c_noise = log(sigma * 0.5),
          .c_out = sigma,
          .c_skip = ones_like(sigma)};
}

IDDPMPreconditioner::IDDPMPreconditioner(AnyModel model, const Config& config)
    : BaseAffinePreconditioner(std::move(model)) {
  const std::vector<float> u =
      iddpm_levels("IDDPMPreconditioner", config.M, config.C_1, config.C_2);
  buffer("C_1", scalar(config.C_1));
  buffer("C_2", scalar(config.C_2));
  buffer("M", scalar(static_cast<double>(config.M), {.dtype = DType::i64}));
  u_ = buffer("u", from_vector(u, {config.M + 1}));
  if (model_.module()) {
    Config own = config;
    own.model = model_.module();
    made_from<IDDPMPreconditioner>(std::move(own));
  }
}

Tensor IDDPMPreconditioner::nearest_level(const Tensor& sigma) const {
  const Tensor level = convert(sigma, wide_dtype(sigma.dtype()));
  const Tensor distance = abs(reshape(level, {-1, 1}) - alike(u_, level));
  return reshape(argmin(distance, 1), sigma.shape());
}

AffineCoefficients IDDPMPreconditioner::compute_coefficients(const Tensor& sigma) const {
  const auto last = static_cast<double>(u_.size(0) - 2);  // M - 1
  return {.c_in = rsqrt(square(sigma) + 1.0),
          .c_noise = last - nearest_level(sigma),
          .c_out = -sigma,
          .c_skip = ones_like(sigma)};
}

}  // namespace brume::diffusion
