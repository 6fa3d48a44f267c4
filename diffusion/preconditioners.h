#pragma once
// Preconditioners: D(x, t) = c_skip x + c_out F(c_in x, c_noise), around any model F.

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/model.h>

namespace brume::diffusion {

/// The four factors for noise levels sigma, shaped to multiply x.
struct AffineCoefficients {
  Tensor c_in, c_noise, c_out, c_skip;
};

/// Base class: a subclass gives the coefficients, and sigma(t) where it is not t itself. Keys of
/// the wrapped model: model.*
/// c_noise reaches the model as floating numbers, also where it is an index; that is never in half
/// precision, which lacks the digits.
class BaseAffinePreconditioner : public nn::Module {
 public:
  /// @shape  x and the result [B, ...], t [B], taken in x's type
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
  /// D at levels sigma [B, 1, ...] or [1, 1, ...]; `beside` is joined to c_in x along the channels.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Condition& condition,
                 const Tensor& beside = {}) const;
  AnyModel model_;
};

/// The coefficients of EDM for data of this standard deviation, which broadcasts to sigma's shape.
AffineCoefficients edm_coefficients(const Tensor& sigma, const Tensor& sigma_data);

struct EDMPreconditionerConfig {
  nn::Ref<nn::Module> model{};
  nn::OneOrMany<double> sigma_data = kSigmaData;
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
  const Tensor& sigma_data() const { return sigma_data_; }

 protected:
  void validate_input(const Tensor& x) const override;

 private:
  Tensor sigma_data_;
};

struct VPPreconditionerConfig {
  nn::Ref<nn::Module> model{};
  double beta_d = kVpBetaD, beta_min = kVpBetaMin;
  int64_t M = kLabels;  // noise labels run from 0 to M - 1
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
    v("beta_d", beta_d);
    v("beta_min", beta_min);
    v("M", M);
  }
};

/// The preconditioner of variance-preserving models, with t on (0, 1]. Buffers: beta_d, beta_min,
/// M. Its sigma is that of x_t / alpha, sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1), as the
/// reference's.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VPPreconditioner : public BaseAffinePreconditioner {
 public:
  using Config = VPPreconditionerConfig;
  explicit VPPreconditioner(const Config& config) : VPPreconditioner(config.model, config) {}
  VPPreconditioner(AnyModel model, const Config& config = {});
  Tensor sigma(const Tensor& t) const override;
  /// The time of a noise level.
  Tensor sigma_inv(const Tensor& sigma) const;
  AffineCoefficients compute_coefficients(const Tensor& sigma) const override;

 private:
  Tensor beta_d_, beta_min_, M_;
};

struct VEPreconditionerConfig {
  nn::Ref<nn::Module> model{};
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
  }
};

/// The preconditioner of variance-exploding models; sigma is t itself.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VEPreconditioner : public BaseAffinePreconditioner {
 public:
  using Config = VEPreconditionerConfig;
  explicit VEPreconditioner(const Config& config) : VEPreconditioner(config.model, config) {}
  VEPreconditioner(AnyModel model, const Config& config = {});
  AffineCoefficients compute_coefficients(const Tensor& sigma) const override;
};

struct IDDPMPreconditionerConfig {
  nn::Ref<nn::Module> model{};
  double C_1 = kIddpmC1, C_2 = kIddpmC2;
  int64_t M = kLabels;
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
    v("C_1", C_1);
    v("C_2", C_2);
    v("M", M);
  }
};

/// The preconditioner of improved DDPM: the noise label is the index of the nearest level of a
/// table, counted from the smallest; it has no gradient. Buffers: C_1, C_2, M, u [M + 1].
/// @source Nichol and Dhariwal 2021, arXiv:2102.09672; as in Karras et al. 2022, arXiv:2206.00364
class IDDPMPreconditioner : public BaseAffinePreconditioner {
 public:
  using Config = IDDPMPreconditionerConfig;
  explicit IDDPMPreconditioner(const Config& config) : IDDPMPreconditioner(config.model, config) {}
  IDDPMPreconditioner(AnyModel model, const Config& config = {});
  AffineCoefficients compute_coefficients(const Tensor& sigma) const override;

 protected:
  /// Positions in u of the levels nearest to sigma, the first of equals; i64, as sigma.
  Tensor nearest_level(const Tensor& sigma) const;
  const Tensor& levels() const { return u_; }

 private:
  Tensor u_;
};

}  // namespace brume::diffusion
