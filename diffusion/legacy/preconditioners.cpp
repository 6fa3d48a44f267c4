#include <brume/diffusion/legacy/preconditioners.h>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/data_scale.h>
#include <brume/diffusion/iddpm_levels.h>
#include <brume/diffusion/legacy/vorticity_residual.h>

namespace brume::diffusion {
namespace {

// The network with its labels filled in, in half precision where that is asked for.
AnyModel network(const nn::AnyUNetConfig& config, const nn::OneOrMany<int64_t>& img_resolution,
                 int64_t in_channels, int64_t out_channels, bool use_fp16) {
  const AnyModel unet(nn::make_unet(config, img_resolution, in_channels, out_channels));
  const int64_t label_dim = std::visit([](const auto& c) { return c.label_dim; }, config);
  return {unet.module(), [=](const Tensor& x, const Tensor& sigma, const Condition& condition) {
            Condition c = condition;
            if (label_dim == 0) {
              c = c.without("class_labels");
            } else if (!c.find("class_labels").defined()) {
              c = c.with("class_labels", zeros({x.size(0), label_dim}, {.device = x.device()}));
            }
            if (!use_fp16 || x.device() == kCpu) return unet(x, sigma, c);
            return to(unet(to(x, DType::f16), sigma, c), x.dtype());
          }};
}

// The network's first channels only.
AnyModel first_channels(const AnyModel& model, int64_t channels) {
  return {model.module(), [model, channels](const Tensor& x, const Tensor& t, const Condition& c) {
            return slice(model(x, t, c), 1, 0, channels);
          }};
}

void check_levels_fit(const char* who, const Tensor& sigma, const Tensor& x) {
  check(x.rank() >= 1 && (sigma.numel() == 1 || sigma.numel() == x.size(0)), who,
        ": wants one sigma for all or one for each sample, got ", sigma.shape(), " for x of ",
        x.shape());
}

// sigma [B, 1, ...] or [1, 1, ...], as many axes as x.
Tensor level(const char* who, const Tensor& sigma, const Tensor& x) {
  check_levels_fit(who, sigma, x);
  Shape shape = one_per_sample(x.shape());
  shape[0] = sigma.numel();
  return reshape(to(sigma, x.dtype()), shape);
}

// A level that is a noise label, [B] or [1]: the number of a step.
Tensor step_label(const char* who, const Tensor& sigma, const Tensor& x) {
  check_levels_fit(who, sigma, x);
  return reshape(to(sigma, wide_dtype(x.dtype())), {sigma.numel()});
}

void check_range(const char* who, double sigma_min, double sigma_max) {
  check(0 <= sigma_min && sigma_min < sigma_max, who, ": wants 0 <= sigma_min < sigma_max, got ",
        sigma_min, " and ", sigma_max);
}

// The network's input channels that are not its own embeddings of places and lead times.
int64_t image_channels(const nn::AnyUNetConfig& config, int64_t in_channels) {
  return std::visit(
      [in_channels](const auto& c) {
        int64_t own = 0;
        if constexpr (requires { c.N_grid_channels; }) own += c.N_grid_channels;
        if constexpr (requires { c.lead_time_channels; }) own += c.lead_time_channels.value_or(0);
        return in_channels - own;
      },
      config);
}

// The condition for each sample; a tensor without a name is class labels.
Condition labelled(const char* who, const Condition& condition, const Tensor& x) {
  check(x.rank() >= 1, who, ": wants x of shape [B, ...], got ", x.shape());
  return condition.named("class_labels").for_batch(x.size(0), who);
}

// The image `name` of a condition, which stands beside x in a network of `channels`, in x's type.
Tensor image_beside(const char* who, const Condition& condition, const char* name, int64_t channels,
                    const Tensor& x) {
  const Tensor image = condition.find(name);
  check(x.rank() >= 2, who, ": wants x of shape [B, C, ...], got ", x.shape());
  if (!image.defined()) {
    check(x.size(1) >= channels, who, ": wants an image of ", channels - x.size(1),
          " channels as condition '", name, "' beside x of ", x.shape());
    return image;
  }
  Shape wanted = x.shape();
  if (image.rank() == x.rank()) wanted[1] = image.size(1);
  check(image.shape() == wanted, who, ": '", name, "' of ", image.shape(), " does not fit x of ",
        x.shape(), "; all axes but the channels must agree");
  return nn::as_dtype(image, x);
}

}  // namespace

VPPrecond::VPPrecond(const Config& c)
    : VPPreconditioner(
          network(c.model, c.img_resolution, c.img_channels, c.img_channels, c.use_fp16),
          {.beta_d = c.beta_d, .beta_min = c.beta_min, .M = c.M}),
      epsilon_t_(c.epsilon_t) {
  check(0 < c.epsilon_t && c.epsilon_t < 1, "VPPrecond: epsilon_t must be in (0, 1), got ",
        c.epsilon_t);
  made_from<VPPrecond>(c);
}

Tensor VPPrecond::operator()(const Tensor& x, const Tensor& sigma,
                             const Condition& condition) const {
  return denoise(x, level("VPPrecond", sigma, x), labelled("VPPrecond", condition, x));
}

VEPrecond::VEPrecond(const Config& c)
    : VEPreconditioner(
          network(c.model, c.img_resolution, c.img_channels, c.img_channels, c.use_fp16)),
      sigma_min_(c.sigma_min),
      sigma_max_(c.sigma_max) {
  check_range("VEPrecond", c.sigma_min, c.sigma_max);
  made_from<VEPrecond>(c);
}

Tensor VEPrecond::operator()(const Tensor& x, const Tensor& sigma,
                             const Condition& condition) const {
  return denoise(x, level("VEPrecond", sigma, x), labelled("VEPrecond", condition, x));
}

iDDPMPrecond::iDDPMPrecond(const Config& c)
    : IDDPMPreconditioner(first_channels(network(c.model, c.img_resolution, c.img_channels,
                                                 2 * c.img_channels, c.use_fp16),
                                         c.img_channels),
                          {.C_1 = c.C_1, .C_2 = c.C_2, .M = c.M}),
      C_2_(c.C_2) {
  made_from<iDDPMPrecond>(c);
}

Tensor iDDPMPrecond::operator()(const Tensor& x, const Tensor& sigma,
                                const Condition& condition) const {
  return denoise(x, level("iDDPMPrecond", sigma, x), labelled("iDDPMPrecond", condition, x));
}

double iDDPMPrecond::sigma_min() const { return select(levels(), 0, -2).item(); }
double iDDPMPrecond::sigma_max() const { return select(levels(), 0, 0).item(); }

Tensor iDDPMPrecond::round_sigma(const Tensor& sigma) const {
  const Tensor table = transfer(levels(), sigma.device());
  const Tensor nearest = index_select(table, 0, reshape(nearest_level(sigma), {sigma.numel()}));
  return convert(reshape(nearest, sigma.shape()), sigma.dtype());
}

Tensor iDDPMPrecond::alpha_bar(const Tensor& j) const {
  return square(sin(iddpm_angle(convert(j, DType::f32), levels().size(0) - 1, C_2_)));
}

EDMPrecond::EDMPrecond(const Config& c)
    : EDMPreconditioner(
          network(c.model, c.img_resolution, c.img_in_channels.value_or(c.img_channels),
                  c.img_out_channels.value_or(c.img_channels), c.use_fp16),
          {.sigma_data = c.sigma_data}),
      sigma_min_(c.sigma_min),
      sigma_max_(c.sigma_max),
      channels_(image_channels(c.model, c.img_in_channels.value_or(c.img_channels))) {
  check_range("EDMPrecond", c.sigma_min, c.sigma_max);
  made_from<EDMPrecond>(c);
}

Tensor EDMPrecond::operator()(const Tensor& x, const Tensor& sigma,
                              const Condition& condition) const {
  validate_input(x);
  const char* who = "EDMPrecond";
  const Condition c = condition.named("condition");
  const Tensor image = image_beside(who, c, "condition", channels_, x);
  return denoise(x, level(who, sigma, x), labelled(who, c.without("condition"), x), image);
}

EDMPrecondSuperResolution::EDMPrecondSuperResolution(const Config& c)
    : BaseAffinePreconditioner(network(c.model, c.img_resolution,
                                       c.img_in_channels + c.img_out_channels, c.img_out_channels,
                                       c.use_fp16)),
      sigma_data_(c.sigma_data),
      sigma_min_(c.sigma_min),
      sigma_max_(c.sigma_max),
      channels_(image_channels(c.model, c.img_in_channels + c.img_out_channels)) {
  check_range("EDMPrecondSuperResolution", c.sigma_min, c.sigma_max);
  check_data_scale("EDMPrecondSuperResolution", sigma_data_);
  made_from<EDMPrecondSuperResolution>(c);
}

AffineCoefficients EDMPrecondSuperResolution::compute_coefficients(const Tensor& sigma) const {
  return edm_coefficients(sigma, scalar(sigma_data_, {.device = sigma.device()}));
}

Tensor EDMPrecondSuperResolution::operator()(const Tensor& x, const Tensor& sigma,
                                             const Condition& condition) const {
  const char* who = "EDMPrecondSuperResolution";
  const Condition c = condition.named("img_lr");
  const Tensor image = image_beside(who, c, "img_lr", channels_, x);
  return denoise(x, level(who, sigma, x), labelled(who, c.without("img_lr"), x), image);
}

EDMPrecondSR::EDMPrecondSR(const Config& c)
    : EDMPrecondSuperResolution({.img_resolution = c.img_resolution,
                                 .img_in_channels = c.img_in_channels,
                                 .img_out_channels = c.img_out_channels,
                                 .use_fp16 = c.use_fp16,
                                 .model = c.model,
                                 .sigma_data = c.sigma_data,
                                 .sigma_min = c.sigma_min,
                                 .sigma_max = c.sigma_max}),
      scale_cond_input_(c.scale_cond_input) {
  made_from<EDMPrecondSR>(c);
}

Tensor EDMPrecondSR::operator()(const Tensor& x, const Tensor& sigma,
                                const Condition& condition) const {
  const Condition c = condition.named("img_lr");
  const Tensor image = c.find("img_lr");
  if (!scale_cond_input_ || !image.defined())
    return EDMPrecondSuperResolution::operator()(x, sigma, c);
  const Tensor scaled =
      nn::as_dtype(image, x) * compute_coefficients(level("EDMPrecondSR", sigma, x)).c_in;
  return EDMPrecondSuperResolution::operator()(x, sigma,
                                               c.without("img_lr").with("img_lr", scaled));
}

VEPrecond_dfsr::VEPrecond_dfsr(const Config& c)
    : model_(network(c.model, c.img_resolution, c.img_channels, c.img_channels, c.use_fp16)),
      sigma_min_(c.sigma_min),
      sigma_max_(c.sigma_max) {
  check_range("VEPrecond_dfsr", c.sigma_min, c.sigma_max);
  child("model", model_.module());
}

Tensor VEPrecond_dfsr::operator()(const Tensor& x, const Tensor& sigma,
                                  const Condition& condition) const {
  const Tensor label = step_label("VEPrecond_dfsr", sigma, x);
  return model_(x, label, labelled("VEPrecond_dfsr", condition, x));
}

namespace {

int64_t width_of(const nn::AnyUNetConfig& model) {
  return std::visit([](const auto& c) { return c.model_channels; }, model);
}

// A kernel of 3 on a torus.
Tensor around(const nn::ConvNd& conv, const Tensor& x) {
  return conv(pad_with(x, {1, 1, 1, 1}, PadMode::circular));
}

}  // namespace

VEPrecond_dfsr_cond::VEPrecond_dfsr_cond(const Config& c)
    : model_(network(c.model, c.img_resolution, 2 * width_of(c.model), c.img_channels, c.use_fp16)),
      sigma_min_(c.sigma_min),
      sigma_max_(c.sigma_max),
      mean_(c.dataset_mean),
      scale_(c.dataset_scale) {
  check_range("VEPrecond_dfsr_cond", c.sigma_min, c.sigma_max);
  const int64_t width = width_of(c.model);
  const auto conv = [this, width](const char* name, int64_t in_channels, int64_t kernel) {
    return child<nn::ConvNd>(name,
                             {.in_channels = in_channels, .out_channels = width, .kernel = kernel});
  };
  child("model", model_.module());
  conv_in_ = conv("conv_in", c.img_channels, 3);
  emb_first_ = conv("emb_conv.0", c.img_channels, 1);
  emb_last_ = conv("emb_conv.2", width, 3);
}

Tensor VEPrecond_dfsr_cond::operator()(const Tensor& x, const Tensor& sigma,
                                       const Condition& condition) const {
  const Tensor label = step_label("VEPrecond_dfsr_cond", sigma, x);
  const Tensor missed = vorticity_residual_gradient(x * scale_ + mean_) / scale_;
  const Tensor beside = around(*emb_last_, gelu(emb_first_(missed)));
  return model_(cat({around(*conv_in_, x), beside}, 1), label,
                labelled("VEPrecond_dfsr_cond", condition, x));
}

}  // namespace brume::diffusion
