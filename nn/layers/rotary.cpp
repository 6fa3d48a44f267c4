#include <brume/nn/layers/rotary.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

namespace {

// One of the two functions at the angle of every token's channel, [h, w, head_dim].
Tensor table(const RotaryEmbedding2DTablesConfig& c, double (*function)(double)) {
  const auto [h, w] = c.latent_hw;
  const int64_t d = c.head_dim;
  std::vector<float> values;
  for (int64_t row = 0; row < h; ++row)
    for (int64_t column = 0; column < w; ++column)
      for (int64_t i = 0; i < d; ++i) {
        const auto place = static_cast<double>(i < d / 2 ? row : column);
        const int64_t pair = i % (d / 2) / 2;
        const double angle =
            place * std::pow(c.theta, static_cast<double>(-4 * pair) / static_cast<double>(d));
        values.push_back(static_cast<float>(function(angle)));
      }
  return from_vector(values, {h, w, d});
}

}  // namespace

RotaryEmbedding2DTables::RotaryEmbedding2DTables(const Config& c) {
  const auto [h, w] = c.latent_hw;
  const int64_t d = c.head_dim;
  const char* who = "RotaryEmbedding2DTables";
  check_range(who, "head_dim", d, 4, 1 << 20);
  check(d % 4 == 0, who, ": head_dim must be a multiple of 4, got ", d);
  check_range(who, "latent_hw", h, 1, 1 << 20);
  check_range(who, "latent_hw", w, 1, 1 << 20);
  const Shape shape{h, w, d};
  rope_cos = buffer(
      "rope_cos", shape, [c] { return table(c, std::cos); }, transient);
  rope_sin = buffer(
      "rope_sin", shape, [c] { return table(c, std::sin); }, transient);
}

Tensor rotate_pairs(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  const int64_t tokens = x.size(2), d = x.size(3);
  check(cosines.numel() == tokens * d, "rotate_pairs: tables of ", cosines.shape(), " are not for ",
        x.shape());
  const Tensor wide = x.dtype() == DType::f64 ? x : to(x, DType::f32);
  const Tensor pairs = reshape(wide, {x.size(0), x.size(1), tokens, d / 2, 2});
  const Tensor turned = stack({-select(pairs, 4, 1), select(pairs, 4, 0)}, 4);
  const Tensor y = wide * reshape(as_dtype(cosines, wide), {tokens, d}) +
                   reshape(turned, wide.shape()) * reshape(as_dtype(sines, wide), {tokens, d});
  return x.dtype() == DType::f64 ? y : to(y, x.dtype());
}

}  // namespace brume::nn
