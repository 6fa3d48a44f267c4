#include "tests/conformance/toy_modules.h"

#include <algorithm>

#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/builtin.h>

namespace brume::conformance {
namespace {

using diffusion::Condition;
using diffusion::per_sample;
const nn::Init kZero = nn::Init::constant(0);

// A layer whose parameters stand under <name>.weight and <name>.bias.
struct Layer : nn::Module {
  explicit Layer(const Shape& shape)
      : weight(param("weight", shape, kZero)), bias(param("bias", {shape[0]}, kZero)) {}
  Tensor weight, bias;
};
nn::Ref<Layer> layer(const Shape& shape) { return nn::Ref<Layer>(std::make_shared<Layer>(shape)); }
Tensor conv3(const Layer& l, const Tensor& x) { return conv(x, l.weight, l.bias, {.padding = 1}); }

struct ConvNetConfig {
  int64_t in_channels = 0, out_channels = 0, hidden = 6;
  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, nn::required);
    v("out_channels", out_channels, nn::required);
    v("hidden", hidden);
  }
};
struct ConvNet : nn::Module {
  using Config = ConvNetConfig;
  explicit ConvNet(const Config& c)
      : conv1(child("conv1", layer({c.hidden, c.in_channels, 3, 3}))),
        conv2(child("conv2", layer({c.out_channels, c.hidden, 3, 3}))),
        e(param("e", {c.hidden}, kZero)) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition) const {
    auto entries = condition.entries();
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Tensor> joined = {x};
    for (const auto& [name, tensor] : entries) joined.push_back(tensor);
    const Tensor hidden = conv3(*conv1, cat(joined, 1));
    const Tensor level = reshape(e, {1, -1, 1, 1}) * per_sample(asinh(t), hidden);
    return conv3(*conv2, tanh(hidden + level));
  }
  nn::Ref<Layer> conv1, conv2;
  Tensor e;
};

struct Mlp2Config {
  int64_t features = 0, hidden = 16;
  template <class V>
  void fields(V& v) {
    v("features", features, nn::required);
    v("hidden", hidden);
  }
};
struct Mlp2 : nn::Module {
  using Config = Mlp2Config;
  explicit Mlp2(const Config& c)
      : l1(child("l1", layer({c.hidden, c.features + 1}))),
        l2(child("l2", layer({c.features, c.hidden}))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition&) const {
    const Tensor joined = cat({x, unsqueeze(asinh(t), 1)}, 1);
    return linear(tanh(linear(joined, l1->weight, l1->bias)), l2->weight, l2->bias);
  }
  nn::Ref<Layer> l1, l2;
};

struct LegacyNetConfig {
  int64_t channels = 0, label_dim = 0;
  template <class V>
  void fields(V& v) {
    v("channels", channels, nn::required);
    v("label_dim", label_dim);
  }
};
struct LegacyNet : nn::Module {
  using Config = LegacyNetConfig;
  explicit LegacyNet(const Config& c)
      : w(param("w", {c.channels}, kZero)), b(param("b", {c.channels}, kZero)) {
    if (c.label_dim > 0) l = param("l", {c.label_dim}, kZero);
  }
  Tensor operator()(const Tensor& x, const Tensor& sigma, const Condition& condition) const {
    const Tensor level = reshape(sigma, {-1, 1, 1, 1}), labels = condition.find("class_labels");
    const Tensor y = reshape(w, {1, -1, 1, 1}) * x / sqrt(1.0 + square(level)) +
                     reshape(b, {1, -1, 1, 1}) * cos(level);
    return labels.defined() ? y + reshape(sum(labels * l, 1), {-1, 1, 1, 1}) : y;
  }
  Tensor w, b, l;
};

struct AnalyticX0Config {
  double a = 1, m = 0;
  template <class V>
  void fields(V& v) {
    v("a", a);
    v("m", m);
  }
};
struct AnalyticX0 : nn::Module {
  using Config = AnalyticX0Config;
  explicit AnalyticX0(const Config& c) : config(c) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition&) const {
    return config.a * x / (1.0 + square(per_sample(t, x))) + config.m;
  }
  Config config;
};

struct ChannelsConfig {
  int64_t channels = 0;
  template <class V>
  void fields(V& v) {
    v("channels", channels, nn::required);
  }
};
struct PnConvModel : nn::Module {
  using Config = ChannelsConfig;
  explicit PnConvModel(const Config& c)
      : net(child("net", layer({c.channels, 2 * c.channels, 3, 3}))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition) const {
    const Tensor y = condition.empty() ? zeros_like(x) : condition.at("y");
    return conv3(*net, cat({x, y}, 1)) + convert(per_sample(t, x), x.dtype());
  }
  nn::Ref<Layer> net;
};

// net(x) / (1 + t)
template <int spatial>
struct PnConvX0 : nn::Module {
  using Config = ChannelsConfig;
  static Shape shape(int64_t channels) {
    Shape s = Shape::filled(spatial + 2, 3);
    s[0] = s[1] = channels;
    return s;
  }
  explicit PnConvX0(const Config& c) : net(child("net", layer(shape(c.channels)))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition&) const {
    return conv3(*net, x) / (1.0 + per_sample(t, x));
  }
  nn::Ref<Layer> net;
};

struct FeaturesConfig {
  int64_t features = 0;
  template <class V>
  void fields(V& v) {
    v("features", features, nn::required);
  }
};
struct PnFlatLinearX0 : nn::Module {
  using Config = FeaturesConfig;
  explicit PnFlatLinearX0(const Config& c) : net(child("net", layer({c.features, c.features}))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition&) const {
    const Tensor y = linear(reshape(x, {x.size(0), -1}), net->weight, net->bias);
    return reshape(y, x.shape()) / (1.0 + per_sample(t, x));
  }
  nn::Ref<Layer> net;
};

struct PnLinearConfig {
  int64_t in_features = 0;
  template <class V>
  void fields(V& v) {
    v("in_features", in_features, nn::required);
  }
};
struct PnLinearModel : nn::Module {
  using Config = PnLinearConfig;
  explicit PnLinearModel(const Config& c)
      : net(child("net", layer({c.in_features, c.in_features}))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition&) const {
    return linear(x, net->weight, net->bias) + convert(per_sample(t, x), x.dtype());
  }
  nn::Ref<Layer> net;
};

}  // namespace

void register_modules() {
  static const bool once = [] {
    diffusion::register_builtin();
    diffusion::register_model<diffusion::SongUNetAdapter>("toy.SongUNetAdapter");
    diffusion::register_model<ConvNet>("toy.ConvNet");
    diffusion::register_model<Mlp2>("toy.Mlp2");
    diffusion::register_model<LegacyNet>("toy.LegacyNet");
    diffusion::register_model<AnalyticX0>("toy.AnalyticX0");
    diffusion::register_model<PnConvModel>("toy.PnConvModel");
    diffusion::register_model<PnLinearModel>("toy.PnLinearModel");
    diffusion::register_model<PnFlatLinearX0>("toy.PnFlatLinearX0");
    diffusion::register_model<PnConvX0<2>>("toy.PnConv2dX0");
    diffusion::register_model<PnConvX0<3>>("toy.PnConv3dX0");
    return true;
  }();
  (void)once;
}

}  // namespace brume::conformance
