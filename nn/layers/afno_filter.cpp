#include <brume/nn/layers/afno_filter.h>

#include <algorithm>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Real and imaginary parts from the first axis to the last.
Tensor parts_last(const Tensor& x) {
  return x.rank() == 4 ? permute(x, {1, 2, 3, 0}) : permute(x, {1, 2, 0});
}

}  // namespace

AFNO2DLayer::AFNO2DLayer(const Config& c) : config_(c) {
  check(c.hidden_size > 0 && c.num_blocks > 0 && c.hidden_size % c.num_blocks == 0,
        "AFNO2DLayer: hidden_size must be a multiple of num_blocks, got ", c.hidden_size, " and ",
        c.num_blocks);
  check(c.hidden_size_factor > 0 && c.hard_thresholding_fraction >= 0,
        "AFNO2DLayer: hidden_size_factor must be positive, got ", c.hidden_size_factor);
  const int64_t block = c.hidden_size / c.num_blocks, wide = block * c.hidden_size_factor;
  const Init init = {Init::Law::normal, 1, 0.02};  // 0.02 * randn
  w1_ = param("w1", {2, c.num_blocks, block, wide}, init);
  b1_ = param("b1", {2, c.num_blocks, wide}, init);
  w2_ = param("w2", {2, c.num_blocks, wide, block}, init);
  b2_ = param("b2", {2, c.num_blocks, block}, init);
}

Tensor AFNO2DLayer::run(const Tensor& x, const Modulation& modulation, int64_t edge) const {
  check(x.rank() == 4 && x.size(3) == config_.hidden_size, "AFNO2DLayer: wants [B, H, W, ",
        config_.hidden_size, "], got ", x.shape());
  const int64_t b = x.size(0), h = x.size(1), w = x.size(2), blocks = config_.num_blocks;
  const int64_t block = config_.hidden_size / blocks, wide = hidden() / blocks;
  const int64_t total = edge / 2 + 1;
  const auto kept =
      static_cast<int64_t>(static_cast<double>(total) * config_.hard_thresholding_fraction);
  const int64_t top = std::max<int64_t>(total - kept, 0), rows = std::min(total + kept, h) - top;
  const int64_t columns = std::min(kept, w / 2 + 1);

  const Tensor spectrum = rfft(x, {1, 2}, {.norm = FftNorm::ortho});  // [B, H, W / 2 + 1, C, 2]
  if (rows <= 0 || columns <= 0) return x;
  Tensor z = slice(slice(spectrum, 1, top, top + rows), 2, 0, columns);
  z = permute(reshape(z, {b, rows * columns, blocks, block, 2}), {2, 0, 1, 3, 4});
  const auto layer = [&](const Tensor& in, int64_t width, const Tensor& weight,
                         const Tensor& bias) {
    const Tensor y = complex_matmul(reshape(in, {blocks, b * rows * columns, width, 2}),
                                    parts_last(as_dtype(weight, x)));
    return y + unsqueeze(parts_last(as_dtype(bias, x)), 1);
  };
  z = layer(z, block, w1_, b1_);
  if (modulation.scale.defined()) {
    const auto per_block = [&](const Tensor& m) {  // [B, hidden, 2] -> [blocks, B, 1, wide, 2]
      return unsqueeze(permute(reshape(m, {b, blocks, wide, 2}), {1, 0, 2, 3}), 2);
    };
    z = reshape(z, {blocks, b, rows * columns, wide, 2});
    z = complex_multiply(z, per_block(modulation.scale)) + per_block(modulation.shift);
  }
  z = softshrink(layer(relu(z), wide, w2_, b2_), config_.sparsity_threshold);
  z = permute(reshape(z, {blocks, b, rows, columns, block, 2}), {1, 2, 3, 0, 4, 5});
  z = reshape(z, {b, rows, columns, config_.hidden_size, 2});
  z = pad(z, {0, 0, 0, 0, 0, w / 2 + 1 - columns, top, h - top - rows});
  return irfft(z, {1, 2}, {.norm = FftNorm::ortho, .sizes = {h, w}}) + x;
}

Names names_of(ScaleShiftMode) {
  static constexpr const char* kNames[] = {"real", "complex"};
  return kNames;
}

ScaleShiftMlp::ScaleShiftMlp(const Config& c) {
  net_ = child<Mlp>("net", {.in_features = c.in_features,
                            .hidden_features = OneOrMany<int64_t>(2 * c.out_features),
                            .out_features = 2 * c.out_features});
}

ScaleShiftMlp::ScaleShift ScaleShiftMlp::operator()(const Tensor& x) const {
  const std::vector<Tensor> both = chunk(net_(x), 2, 1);
  return {1 + both[0], both[1]};
}

LegacyKeys ScaleShiftMlp::legacy_keys() const {
  return {.renamed = {{"net.0.", "net.layers.0."}, {"net.2.", "net.layers.2."}}};
}

ModAFNO2DLayer::ModAFNO2DLayer(const Config& c)
    : AFNO2DLayer(c.layer), complex_(c.scale_shift_mode == ScaleShiftMode::complex) {
  scale_shift_ = child<ScaleShiftMlp>(
      "scale_shift",
      {.in_features = c.mod_features, .out_features = complex_ ? 2 * hidden() : hidden()});
}

Tensor ModAFNO2DLayer::operator()(const Tensor& x, const Tensor& mod) const {
  const auto [scale, shift] = scale_shift_(mod);
  const int64_t edge = std::min(x.size(1), x.size(2));
  if (complex_) {
    const auto as_complex = [](const Tensor& m) { return stack(chunk(m, 2, 1), 2); };
    return run(x, {as_complex(scale), as_complex(shift)}, edge);
  }
  // Both parts are scaled, and both are shifted.
  return run(x, {stack({scale, zeros_like(scale)}, 2), stack({shift, shift}, 2)}, edge);
}

}  // namespace brume::nn
