#pragma once
// Preconditioners: D(x, t) = c_skip x + c_out F(c_in x, c_noise), around any model F.

#include <brume/diffusion/model.h>

namespace brume::diffusion {

/// The four factors for noise levels sigma, shaped to multiply x.
struct AffineCoefficients {
  Tensor c_in, c_noise, c_out, c_skip;
};

/// Base class: a subclass gives the coefficients, and sigma(t) where it is not t itself. Keys of
/// the wrapped model: model.*
class BaseAffinePreconditioner : public nn::Module {
 public:
  /// @shape  x and the result [B, ...], t [B]
  /// @throws ShapeError if t or the condition has another batch size
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;

  virtual Tensor sigma(const Tensor& t) const { return t; }
  /// @shape  sigma [B, 1, ...] with as many axes as x
  virtual AffineCoefficients compute_coefficients(const Tensor& sigma) const = 0;

 protected:
  /// A module, or a lambda (such a preconditioner cannot be saved).
  explicit BaseAffinePreconditioner(AnyModel model);
  /// A subclass's own demands on x.
  virtual void validate_input(const Tensor& /*x*/) const {}
  AnyModel model_;
};

struct EDMPreconditionerConfig {
  nn::Ref<nn::Module> model{};
  nn::OneOrMany<double> sigma_data = 0.5;
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
    v("sigma_data", sigma_data);
  }
};

/// The preconditioner of EDM; sigma_data is the data's standard deviation, one or one per channel.
/// Buffer: sigma_data [] or [C].
/// @source Karras et al. 2022, arXiv:2206.00364, table 1
class EDMPreconditioner : public BaseAffinePreconditioner {
 public:
  using Config = EDMPreconditionerConfig;
  explicit EDMPreconditioner(const Config& config) : EDMPreconditioner(config.model, config) {}
  EDMPreconditioner(AnyModel model, const Config& config = {});
  AffineCoefficients compute_coefficients(const Tensor& sigma) const override;

 protected:
  void validate_input(const Tensor& x) const override;

 private:
  Tensor sigma_data_;
};

}  // namespace brume::diffusion
