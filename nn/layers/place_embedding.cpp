#include <brume/nn/layers/place_embedding.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/layers/embedding.h>

namespace brume::nn {
namespace {

Tensor column(const Tensor& t) { return reshape(t, {-1, 1}); }

}  // namespace

SinusoidalTimestepEmbedding::SinusoidalTimestepEmbedding(const Config& c) {
  check_embedding_channels(c.num_channels, "SinusoidalTimestepEmbedding");
  freqs_ = buffer("freqs", arange(std::numbers::pi, c.num_channels / 2, std::numbers::pi));
}

Tensor SinusoidalTimestepEmbedding::operator()(const Tensor& t) const {
  const Tensor angle = column(t) * as_dtype(freqs_, t);
  return cat({cos(angle), sin(angle)}, 1);
}

OneHotEmbedding::OneHotEmbedding(const Config& c) {
  check_embedding_channels(c.num_channels, "OneHotEmbedding");
  indices_ = buffer("indices", reshape(arange(0, c.num_channels), {1, c.num_channels}));
}

Tensor OneHotEmbedding::operator()(const Tensor& t) const {
  const Tensor place = column(t) * static_cast<double>(indices_.size(1) - 1);
  return clamp_min(1 - abs(place - as_dtype(indices_, t)), 0);
}

FourierPositionalEmbedding::FourierPositionalEmbedding(const Config& c)
    : in_dim_(c.in_dim), include_input_(c.include_input) {
  check(c.in_dim >= 1 && c.num_bands >= 1 && c.num_bands < (1 << 16),
        "FourierPositionalEmbedding: in_dim and num_bands must be at least 1, got ", c.in_dim,
        " and ", c.num_bands);
  std::vector<double> f = c.freqs.value_or(std::vector<double>());
  if (!c.freqs)
    for (int64_t i = 0; i < c.num_bands; ++i)
      f.push_back(c.base_freq * std::pow(c.freq_scale, static_cast<double>(i)));
  freqs_ = buffer("freqs", convert(from_vector(f, {static_cast<int64_t>(f.size())}), DType::f32));
}

Tensor FourierPositionalEmbedding::operator()(const Tensor& x) const {
  check(x.rank() >= 1 && x.size(-1) == in_dim_, "FourierPositionalEmbedding: wants [..., ", in_dim_,
        "], got ", x.shape());
  const Tensor angle = unsqueeze(x, x.rank()) * as_dtype(freqs_, x);  // [..., in_dim, bands]
  Shape shape = x.shape();
  shape[x.rank() - 1] = -1;
  const Tensor waves = reshape(cat({sin(angle), cos(angle)}, -1), shape);
  return include_input_ ? cat({x, waves}, -1) : waves;
}

}  // namespace brume::nn
