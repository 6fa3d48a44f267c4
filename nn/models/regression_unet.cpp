#include <brume/nn/models/regression_unet.h>

#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// The network whose arguments these are.
template <class Config, class List>
struct NetOf;
template <class Config, class First, class... Rest>
struct NetOf<Config, detail::UNetList<First, Rest...>>
    : std::conditional_t<std::is_same_v<Config, typename First::Config>, std::type_identity<First>,
                         NetOf<Config, detail::UNetList<Rest...>>> {};
template <class Config>
struct NetOf<Config, detail::UNetList<>> {};
template <class Config>
using NetFor = typename NetOf<std::remove_cvref_t<Config>, detail::UNets>::type;

void check_no_place(const GridPlace& place) {
  check(!place.global_index.defined() && !place.embedding_selector &&
            !place.lead_time_label.defined(),
        "RegressionUNet: the network inside has no grid to choose from");
}

}  // namespace

Names names_of(UNetType) {
  static constexpr const char* kNames[] = {"SongUNetPosEmbd", "SongUNetPosLtEmbd", "SongUNet",
                                           "DhariwalUNet"};
  return kNames;
}

Ref<Module> make_unet(AnyUNetConfig config, const OneOrMany<int64_t>& img_resolution,
                      int64_t in_channels, int64_t out_channels) {
  return std::visit(
      [&](auto& c) -> Ref<Module> {
        c.img_resolution = img_resolution;
        c.in_channels = in_channels;
        c.out_channels = out_channels;
        return make<NetFor<decltype(c)>>(std::move(c));
      },
      config);
}

RegressionUNet::RegressionUNet(const OneOrMany<int64_t>& img_resolution, int64_t in_channels,
                               int64_t out_channels, const AnyUNetConfig& model) {
  const Ref<Module> made =
      child("model", make_unet(model, img_resolution, in_channels, out_channels));
  std::visit(
      [&](const auto& config) {
        using Net = NetFor<decltype(config)>;
        const Ref<Net> net = made.as<Net>();
        call_ = [net](const Tensor& x, const Tensor& noise, const GridPlace& place) {
          if constexpr (std::is_base_of_v<SongUNetPosEmbd, Net>) {
            return Tensor(net(x, noise, Tensor(), place));
          } else {
            check_no_place(place);
            return Tensor(net(x, noise));
          }
        };
      },
      model);
}

Tensor RegressionUNet::run(const Tensor& x, const GridPlace& place) const {
  const Tensor y = call_(x, zeros({x.size(0)}, {.device = x.device()}), place);
  return y.dtype() == DType::f64 ? y : brume::to(y, DType::f32);
}

CorrDiffRegressionUNet::CorrDiffRegressionUNet(const Config& c)
    : RegressionUNet(c.img_resolution, c.img_in_channels + c.img_out_channels, c.img_out_channels,
                     c.model) {}

Tensor CorrDiffRegressionUNet::operator()(const Tensor& x, const Tensor& img_lr,
                                          const GridPlace& place) const {
  if (!img_lr.defined()) return run(x, place);
  Shape wanted = x.shape();
  if (img_lr.rank() == 4 && x.rank() == 4) wanted[1] = img_lr.size(1);
  check(img_lr.shape() == wanted, "CorrDiffRegressionUNet: img_lr is ", img_lr.shape(),
        ", which does not fit x of ", x.shape());
  return run(cat({x, img_lr}, 1), place);
}

}  // namespace brume::nn
