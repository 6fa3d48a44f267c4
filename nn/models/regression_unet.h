#pragma once
// Diffusion U-Nets as plain regression networks, called without noise.

#include <array>
#include <functional>
#include <limits>
#include <variant>

#include <brume/nn/models/dhariwal_unet.h>
#include <brume/nn/models/song_unet_pos_embd.h>

namespace brume::nn {

namespace detail {
template <class... Nets>
struct UNetList {
  using Config = std::variant<typename Nets::Config...>;
  static Config defaults(size_t index) {
    static const Config all[] = {typename Nets::Config()...};
    return all[index];
  }
};
/// In the order of UNetType.
using UNets = UNetList<SongUNetPosEmbd, SongUNetPosLtEmbd, SongUNet, DhariwalUNet>;
}  // namespace detail

enum class UNetType { SongUNetPosEmbd, SongUNetPosLtEmbd, SongUNet, DhariwalUNet };
Names names_of(UNetType);
/// The arguments of the network inside; its sizes are set by the one around it.
using AnyUNetConfig = detail::UNets::Config;

/// The network of that config with these sizes.
Ref<Module> make_unet(AnyUNetConfig config, const OneOrMany<int64_t>& img_resolution,
                      int64_t in_channels, int64_t out_channels);

namespace detail {
/// The fields model_type and, beside it, the options of that model.
template <class V>
void unet_fields(V& v, AnyUNetConfig& model) {
  auto type = static_cast<UNetType>(model.index());
  v("model_type", type);
  if (static_cast<size_t>(type) != model.index())
    model = UNets::defaults(static_cast<size_t>(type));
  std::visit([&v](auto& m) { m.options(v); }, model);
}
}  // namespace detail

struct CorrDiffRegressionUNetConfig {
  OneOrMany<int64_t> img_resolution = 0;
  int64_t img_in_channels = 0, img_out_channels = 0;
  AnyUNetConfig model{};
  Ignored ignored{};
  static constexpr std::array kOverridable{"use_apex_gn", "act"};

  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, required);
    v("img_in_channels", img_in_channels, required);
    v("img_out_channels", img_out_channels, required);
    v.ignored(ignored, {"use_fp16"});
    detail::unet_fields(v, model);
  }
};

/// The network inside with noise labels of 0. Keys: model.*
class RegressionUNet : public Module {
 protected:
  RegressionUNet(const OneOrMany<int64_t>& img_resolution, int64_t in_channels,
                 int64_t out_channels, const AnyUNetConfig& model);
  /// @shape x [B, C, H, W] -> [B, img_out_channels, H, W] in f32 or wider
  Tensor run(const Tensor& x, const GridPlace& place) const;

 private:
  std::function<Tensor(const Tensor& x, const Tensor& noise, const GridPlace& place)> call_;
};

/// Regression from x and, beside it, a low-resolution image: in_channels of the network inside are
/// img_in_channels + img_out_channels. The reference's older name for it is UNet.
/// @shape  x [B, Cx, H, W], img_lr [B, Cl, H, W] or undefined -> [B, img_out_channels, H, W]
/// @source Mardani et al. 2023, arXiv:2309.15214
class CorrDiffRegressionUNet : public RegressionUNet {
 public:
  using Config = CorrDiffRegressionUNetConfig;
  explicit CorrDiffRegressionUNet(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& img_lr = {}, const GridPlace& place = {}) const;
};

struct StormCastUNetConfig {
  OneOrMany<int64_t> img_resolution = 0;
  int64_t img_in_channels = 0, img_out_channels = 0;
  // Kept for files of the reference, which reads them nowhere.
  double sigma_min = 0, sigma_max = std::numeric_limits<double>::infinity(), sigma_data = 0.5;
  AnyUNetConfig model = SongUNetConfig();
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, required);
    v("img_in_channels", img_in_channels, required);
    v("img_out_channels", img_out_channels, required);
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("sigma_data", sigma_data);
    v.ignored(ignored, {"use_fp16"});
    detail::unet_fields(v, model);
  }
};

/// Regression of the next state of the atmosphere. @shape x [B, img_in_channels, H, W] ->
/// [B, img_out_channels, H, W]
/// @source Pathak et al. 2024, arXiv:2408.10958
class StormCastUNet : public RegressionUNet {
 public:
  using Config = StormCastUNetConfig;
  explicit StormCastUNet(const Config& c)
      : RegressionUNet(c.img_resolution, c.img_in_channels, c.img_out_channels, c.model) {}
  Tensor operator()(const Tensor& x, const GridPlace& place = {}) const { return run(x, place); }
};

}  // namespace brume::nn
