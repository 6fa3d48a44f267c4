#include <brume/nn/layers/attention.h>

#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

UNetAttention::UNetAttention(const Config& c) : heads_(c.num_heads) {
  check(c.out_channels > 0 && c.num_heads > 0 && c.out_channels % c.num_heads == 0,
        "UNetAttention: wants out_channels that are a multiple of num_heads, got ", c.out_channels,
        " and ", c.num_heads);
  const auto conv1x1 = [&](const char* name, int64_t out, const InitConfig& init) {
    return child<Conv2d>(name, {.in_channels = c.out_channels,
                                .out_channels = out,
                                .kernel = 1,
                                .init_mode = init.init_mode,
                                .init_weight = init.init_weight,
                                .init_bias = init.init_bias});
  };
  norm_ = child<GroupNorm>(
      "norm", {.num_channels = c.out_channels, .eps = c.eps, .use_apex_gn = c.use_apex_gn});
  qkv_ = conv1x1("qkv", 3 * c.out_channels, c.init_attn.value_or(c.init));
  proj_ = conv1x1("proj", c.out_channels, c.init_zero);
}

Tensor UNetAttention::operator()(const Tensor& x, double scale) const {
  const int64_t b = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const int64_t tokens = h * w, width = c / heads_;
  // Channels of the projection are ordered (head, channel, q k v); all of this is views.
  Tensor qkv = reshape(permute(qkv_(norm_(x)), {0, 2, 3, 1}), {b, tokens, heads_, width, 3});
  Tensor y = self_attention(permute(qkv, {4, 0, 2, 1, 3}));  // [B, heads, L, width]
  y = reshape(permute(y, {0, 2, 1, 3}), {b, h, w, c});
  return (*proj_)(permute(y, {0, 3, 1, 2}), {.residual = x, .scale = scale});
}

}  // namespace brume::nn
