#pragma once
// The layer of FullyConnected: a linear map, whose weight may be factored, and an activation.

#include <optional>
#include <string>

#include <brume/nn/layers/activation.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// How the matrix of a FactoredLinear is stored.
enum class WeightForm {
  plain,     // weight
  norm,      // weight_g * weight / |row of weight|
  factored,  // g * v
};

struct FactoredLinearConfig {
  int64_t in_features = 0, out_features = 0;
  WeightForm form = WeightForm::plain;
  bool bias = true;
};

/// x W^T + b with W [out, in] made of its factors at each call. Keys: weight, bias; weight,
/// weight_g, bias; or bias, g, v.
/// @source Salimans and Kingma 2016, arXiv:1602.07868; Wang et al. 2022, arXiv:2210.01274
class FactoredLinear : public Module {
 public:
  using Config = FactoredLinearConfig;
  explicit FactoredLinear(const Config& c);
  Tensor operator()(const Tensor& x) const;
  const Tensor& direction() const { return direction_; }

 private:
  Tensor matrix() const;
  WeightForm form_;
  Tensor direction_, length_, bias_;  // [out, in]; [out, 1] or undefined; [out] or undefined
};

/// y times the slope of an adaptive activation; itself if there is none.
Tensor with_slope(const Tensor& slope, Tensor y);

/// The slope of a layer's activation: one that is trained, of several layers together, or a number.
struct ActivationSlope {
  Tensor shared{};                // of one element; registered as activation_par
  std::optional<double> fixed{};  // in JSON
  /// Undefined: 1.
  Tensor value() const { return fixed && !shared.defined() ? scalar(*fixed) : shared; }
};

struct FCLayerConfig {
  int64_t in_features = 0, out_features = 0;
  std::string activation = "identity";
  WeightForm form = WeightForm::plain;
  Tensor slope{};  // of every layer of a network together; undefined: 1
};

/// activation(slope * linear(x)). Keys: activation_par, activation_fn.*, linear.*
/// @source adaptive slopes: Jagtap et al. 2020, arXiv:1906.01170
class FCLayer : public Module {
 public:
  using Config = FCLayerConfig;
  explicit FCLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor slope_;
  Ref<NamedActivation> activation_;
  Ref<FactoredLinear> linear_;
};

}  // namespace brume::nn
