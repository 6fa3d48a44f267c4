#pragma once
// The older preconditioners, which published checkpoints use. Each builds its network itself and is
// asked at noise levels, not times.
//
// Called as (x, sigma, condition): sigma [B], or one value for all; the condition holds what the
// network takes ("class_labels", "augment_labels", ...) beside what each class names, one row for
// each sample, or one for all. Missing class labels are zeros; a network without label_dim is given
// none, as in the reference. With use_fp16 the network runs in f16 on a GPU. Keys: model.*
//
// A Config's model holds the further arguments of the network, and so chooses its class; its sizes
// are set here. In JSON they stand among the others: {"img_resolution": 32, "model_type":
// "SongUNet", "model_channels": 64, ...}.

#include <limits>
#include <optional>

#include <brume/diffusion/preconditioners.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/models/regression_unet.h>

namespace brume::diffusion {

/// The levels that a network was made for, which the older samplers keep to.
class NoiseLevels {
 public:
  virtual ~NoiseLevels() = default;
  virtual double sigma_min() const { return 0; }
  virtual double sigma_max() const { return std::numeric_limits<double>::infinity(); }
  /// The levels that it takes sigma for.
  virtual Tensor round_sigma(const Tensor& sigma) const { return sigma; }
  /// The name under which the condition holds the image beside x.
  virtual const char* image_key() const { return "img_lr"; }
};

struct VPPrecondConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;
  bool use_fp16 = false;
  double beta_d = kVpBetaD, beta_min = kVpBetaMin;
  int64_t M = kLabels;
  double epsilon_t = kVpEpsilonT;  // the time of the smallest level
  nn::AnyUNetConfig model = nn::SongUNetConfig();
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("use_fp16", use_fp16);
    v("beta_d", beta_d);
    v("beta_min", beta_min);
    v("M", M);
    v("epsilon_t", epsilon_t);
    nn::detail::unet_fields(v, model);
  }
};

/// The coefficients of VPPreconditioner. A condition without a name is class labels.
class VPPrecond : public VPPreconditioner, public NoiseLevels {
 public:
  using Config = VPPrecondConfig;
  explicit VPPrecond(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  double sigma_min() const override { return sigma(scalar(epsilon_t_)).item(); }
  double sigma_max() const override { return sigma(scalar(1)).item(); }

 private:
  double epsilon_t_;
};

struct VEPrecondConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;
  bool use_fp16 = false;
  double sigma_min = kVeSigmaMin, sigma_max = kVeSigmaMax;
  nn::AnyUNetConfig model = nn::SongUNetConfig();
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("use_fp16", use_fp16);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    nn::detail::unet_fields(v, model);
  }
};

/// The coefficients of VEPreconditioner. A condition without a name is class labels.
class VEPrecond : public VEPreconditioner, public NoiseLevels {
 public:
  using Config = VEPrecondConfig;
  explicit VEPrecond(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  double sigma_min() const override { return sigma_min_; }
  double sigma_max() const override { return sigma_max_; }

 private:
  double sigma_min_, sigma_max_;
};

struct iDDPMPrecondConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;
  bool use_fp16 = false;
  double C_1 = kIddpmC1, C_2 = kIddpmC2;
  int64_t M = kLabels;
  nn::AnyUNetConfig model = nn::DhariwalUNetConfig();
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("use_fp16", use_fp16);
    v("C_1", C_1);
    v("C_2", C_2);
    v("M", M);
    nn::detail::unet_fields(v, model);
  }
};

/// The coefficients of IDDPMPreconditioner, around a network that predicts a variance too, which is
/// left aside. A condition without a name is class labels.
class iDDPMPrecond : public IDDPMPreconditioner, public NoiseLevels {
 public:
  using Config = iDDPMPrecondConfig;
  explicit iDDPMPrecond(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  double sigma_min() const override;
  double sigma_max() const override;
  Tensor round_sigma(const Tensor& sigma) const override;
  /// Where the rounded levels stand in the table, from the largest on; i64.
  using IDDPMPreconditioner::nearest_level;
  /// sin^2(pi/2 j / M / (C_2 + 1))
  Tensor alpha_bar(const Tensor& j) const;

 private:
  double C_2_;
};

struct EDMPrecondConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;
  bool use_fp16 = false;
  double sigma_min = 0, sigma_max = std::numeric_limits<double>::infinity();
  nn::OneOrMany<double> sigma_data = kSigmaData;
  nn::AnyUNetConfig model = nn::DhariwalUNetConfig();
  std::optional<int64_t> img_in_channels{}, img_out_channels{};  // img_channels by default
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("use_fp16", use_fp16);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("sigma_data", sigma_data);
    v("img_in_channels", img_in_channels);
    v("img_out_channels", img_out_channels);
    nn::detail::unet_fields(v, model);
  }
};

/// The coefficients of EDMPreconditioner. A condition without a name, or "condition", is images
/// that are joined to the scaled x, themselves not scaled.
class EDMPrecond : public EDMPreconditioner, public NoiseLevels {
 public:
  using Config = EDMPrecondConfig;
  explicit EDMPrecond(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  const char* image_key() const override { return "condition"; }
  double sigma_min() const override { return sigma_min_; }
  double sigma_max() const override { return sigma_max_; }

 private:
  double sigma_min_, sigma_max_;
  int64_t channels_;  // of x and the image together
};

struct EDMPrecondSuperResolutionConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_in_channels = 0, img_out_channels = 0;
  bool use_fp16 = false;
  nn::AnyUNetConfig model = nn::SongUNetPosEmbdConfig();
  double sigma_data = kSigmaData, sigma_min = 0,
         sigma_max = std::numeric_limits<double>::infinity();
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_in_channels", img_in_channels, nn::required);
    v("img_out_channels", img_out_channels, nn::required);
    v("use_fp16", use_fp16);
    v("sigma_data", sigma_data);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    nn::detail::unet_fields(v, model);
  }
};

/// EDM's coefficients around a network that sees a low-resolution image, "img_lr" or the condition
/// without a name, beside the scaled x. It may be left out if img_in_channels is 0. No buffers.
/// @source Mardani et al. 2023, arXiv:2309.15214
class EDMPrecondSuperResolution : public BaseAffinePreconditioner, public NoiseLevels {
 public:
  using Config = EDMPrecondSuperResolutionConfig;
  explicit EDMPrecondSuperResolution(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  AffineCoefficients compute_coefficients(const Tensor& sigma) const override;
  double sigma_min() const override { return sigma_min_; }
  double sigma_max() const override { return sigma_max_; }

 private:
  double sigma_data_, sigma_min_, sigma_max_;
  int64_t channels_;  // of x and the image together
};

struct EDMPrecondSRConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;  // not used, as in the reference
  int64_t img_in_channels = 0, img_out_channels = 0;
  bool use_fp16 = false;
  double sigma_min = 0, sigma_max = std::numeric_limits<double>::infinity(),
         sigma_data = kSigmaData;
  nn::AnyUNetConfig model = nn::SongUNetPosEmbdConfig();
  bool scale_cond_input = true;
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("img_in_channels", img_in_channels, nn::required);
    v("img_out_channels", img_out_channels, nn::required);
    v("use_fp16", use_fp16);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("sigma_data", sigma_data);
    v("scale_cond_input", scale_cond_input);
    nn::detail::unet_fields(v, model);
  }
};

/// EDMPrecondSuperResolution whose low-resolution image is scaled by c_in like x, if
/// scale_cond_input.
class EDMPrecondSR : public EDMPrecondSuperResolution {
 public:
  using Config = EDMPrecondSRConfig;
  explicit EDMPrecondSR(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;

 private:
  bool scale_cond_input_;
};

struct VEPrecond_dfsrConfig {
  nn::OneOrMany<int64_t> img_resolution = 0;
  int64_t img_channels = 0;
  bool use_fp16 = false;
  double sigma_min = kVeSigmaMin, sigma_max = kVeSigmaMax, dataset_mean = 5.85e-5,
         dataset_scale = 4.79;
  nn::AnyUNetConfig model = nn::SongUNetConfig();
  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, nn::required);
    v("img_channels", img_channels, nn::required);
    v("use_fp16", use_fp16);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("dataset_mean", dataset_mean);
    v("dataset_scale", dataset_scale);
    nn::detail::unet_fields(v, model);
  }
};

/// The network itself, for super-resolution of flow fields: nothing is scaled, and sigma is its
/// noise label. A condition without a name is class labels.
/// @source Shu et al. 2023, arXiv:2211.14680
class VEPrecond_dfsr : public nn::Module, public NoiseLevels {
 public:
  using Config = VEPrecond_dfsrConfig;
  explicit VEPrecond_dfsr(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  double sigma_min() const override { return sigma_min_; }
  double sigma_max() const override { return sigma_max_; }

 private:
  AnyModel model_;
  double sigma_min_, sigma_max_;
};

/// VEPrecond_dfsr whose network also sees how x misses the equation of the flow: a convolution of x
/// and one of the gradient of vorticity_residual_gradient, of x in the data's units, side by side.
/// Channels are frames of vorticity. As in the reference, the gradient is that of the residual's
/// mean over the whole batch, so a sample's output depends on how many are beside it. Keys:
/// model.*, conv_in.*, emb_conv.0.*, emb_conv.2.*
/// @shape  x [B, img_channels, N, N], img_channels >= 3, N even
class VEPrecond_dfsr_cond : public nn::Module, public NoiseLevels {
 public:
  using Config = VEPrecond_dfsrConfig;
  explicit VEPrecond_dfsr_cond(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition = {}) const;
  double sigma_min() const override { return sigma_min_; }
  double sigma_max() const override { return sigma_max_; }

 private:
  AnyModel model_;
  double sigma_min_, sigma_max_, mean_, scale_;
  nn::Ref<nn::ConvNd> conv_in_, emb_first_, emb_last_;
};

}  // namespace brume::diffusion
