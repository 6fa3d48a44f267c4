#pragma once

#include <optional>
#include <string>

#include <brume/autograd/ops/norm.h>
#include <brume/nn/layers/activation.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct GroupNormConfig {
  int64_t num_channels = 0;
  int64_t num_groups = 32;
  int64_t min_channels_per_group = 4;
  double eps = 1e-5;
  bool use_apex_gn = false;  // such models were trained and run with the biased variance
  std::optional<std::string> act{};
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("num_channels", num_channels, required);
    v("num_groups", num_groups);
    v("min_channels_per_group", min_channels_per_group);
    v("eps", eps);
    v("use_apex_gn", use_apex_gn);
    v("act", act);
    v.ignored(ignored, {"fused_act", "amp_mode"});
  }
};

/// Group norm over min(num_groups, ceil(C / min_channels_per_group)) groups, then an activation.
/// In training mode the variance is divided by n, in evaluation mode by n - 1 (n values per sample
/// and group). That is a slip of the reference that published results rest on: outputs of a small
/// SongUNet differ by 2e-3 between the two.
/// @shape x [B, C, ...] -> same
class GroupNorm : public Module {
 public:
  using Config = GroupNormConfig;
  explicit GroupNorm(const Config& c);
  Tensor operator()(const Tensor& x) const { return (*this)(x, {}); }

  /// What a UNet block does behind the norm: result * (1 + scale) + shift, each [B or 1, C]; then
  /// `act` instead of the config's.
  struct Behind {
    Tensor scale{}, shift{};
    std::optional<Activation> act{};
  };
  Tensor operator()(const Tensor& x, const Behind& behind) const;

  Tensor weight, bias;  // [C]

 protected:
  GroupNorm(const Config& c, int64_t groups);

 private:
  int64_t groups_;
  double eps_;
  bool always_biased_;
  Activation act_ = nullptr;
};

struct GroupNorm3DConfig {
  int64_t num_channels = 0;
  int64_t num_groups = 32;
  int64_t min_channels_per_group = 4;
  double eps = 1e-5;
  std::optional<std::string> act{};  // of the block around it

  template <class V>
  void fields(V& v) {
    v("num_channels", num_channels, required);
    v("num_groups", num_groups);
    v("min_channels_per_group", min_channels_per_group);
    v("eps", eps);
  }
};

/// GroupNorm over min(num_groups, floor(C / min_channels_per_group)) groups, of volumes.
/// @shape x [B, C, D, H, W] -> same
class GroupNorm3D : public GroupNorm {
 public:
  using Config = GroupNorm3DConfig;
  explicit GroupNorm3D(const Config& c);
};

}  // namespace brume::nn
