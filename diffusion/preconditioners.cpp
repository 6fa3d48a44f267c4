#include <brume/diffusion/preconditioners.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {

BaseAffinePreconditioner::BaseAffinePreconditioner(AnyModel model) : model_(std::move(model)) {
  if (model_.module()) child("model", model_.module());
}

Tensor BaseAffinePreconditioner::operator()(const Tensor& x, const Tensor& t,
                                            const Condition& condition) const {
  check(x.rank() >= 1 && t.shape() == Shape{x.size(0)},
        "preconditioner: wants t of shape [B], got ", t.shape(), " for x of ", x.shape());
  condition.check_batch(x.size(0), "preconditioner");
  validate_input(x);
  const AffineCoefficients c = compute_coefficients(per_sample(sigma(t), x));
  const Tensor f = model_(x * c.c_in, reshape(c.c_noise, {x.size(0)}), condition);
  check(f.shape() == x.shape(), "preconditioner: the model returned ", f.shape(), " for x of ",
        x.shape());
  return combine(c.c_skip, x, c.c_out, f);
}

EDMPreconditioner::EDMPreconditioner(AnyModel model, const Config& config)
    : BaseAffinePreconditioner(std::move(model)) {
  const std::vector<double>& values = config.sigma_data.values();
  for (double value : values)
    check(value > 0, "EDMPreconditioner: sigma_data must be positive, got ", value);
  const auto count = static_cast<int64_t>(values.size());
  check(count >= 1, "EDMPreconditioner: sigma_data is an empty list");
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
  Tensor data = convert(sigma_data_, sigma.dtype());
  if (data.rank() == 1) {
    Shape shape = Shape::filled(sigma.rank(), 1);
    shape[1] = data.size(0);
    data = reshape(data, shape);
  }
  const Tensor total = square(sigma) + square(data);  // variance of the noisy data
  return {.c_in = rsqrt(total),
          .c_noise = log(sigma) / 4.0,
          .c_out = sigma * data * rsqrt(total),
          .c_skip = square(data) / total};
}

}  // namespace brume::diffusion
