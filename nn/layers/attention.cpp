#include <brume/nn/layers/attention.h>

#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

UNetAttention::UNetAttention(const Config& c) : UNetAttention(c, 2) {}

UNetAttention::UNetAttention(const Config& c, int axes) : heads_(c.num_heads) {
  check(c.out_channels > 0 && c.num_heads > 0 && c.out_channels % c.num_heads == 0,
        "UNetAttention: wants out_channels that are a multiple of num_heads, got ", c.out_channels,
        " and ", c.num_heads);
  const auto conv1x1 = [&](const char* name, int64_t out,
                           const InitConfig& init) -> Ref<ResamplingConv> {
    const Conv2dConfig conv{.in_channels = c.out_channels,
                            .out_channels = out,
                            .kernel = 1,
                            .init_mode = init.init_mode,
                            .init_weight = init.init_weight,
                            .init_bias = init.init_bias};
    if (axes == 3) return child<Conv3D>(name, conv);
    return child<Conv2d>(name, conv);
  };
  if (axes == 3)
    norm_ = child<GroupNorm3D>("norm", {.num_channels = c.out_channels, .eps = c.eps});
  else
    norm_ = child<GroupNorm>(
        "norm", {.num_channels = c.out_channels, .eps = c.eps, .use_apex_gn = c.use_apex_gn});
  qkv_ = conv1x1("qkv", 3 * c.out_channels, c.init_attn.value_or(c.init));
  proj_ = conv1x1("proj", c.out_channels, c.init_zero);
}

Tensor UNetAttention::operator()(const Tensor& x, double scale) const {
  const int64_t b = x.size(0), c = x.size(1), width = c / heads_;
  int64_t length = 1;  // in numbers, not -1: a batch may be empty
  for (int a = 2; a < x.rank(); ++a) length *= x.size(a);
  // Channels of the projection are ordered (head, channel, q k v); all of this is views.
  Tensor qkv = transpose(reshape(qkv_(norm_(x)), {b, 3 * c, length}), 1, 2);
  qkv = reshape(qkv, {b, length, heads_, width, 3});
  Tensor y = self_attention(permute(qkv, {4, 0, 2, 1, 3}));  // [B, heads, L, width]
  y = reshape(permute(y, {0, 2, 1, 3}), {b, length, c});
  return (*proj_)(reshape(transpose(y, 1, 2), x.shape()), {.residual = x, .scale = scale});
}

}  // namespace brume::nn
