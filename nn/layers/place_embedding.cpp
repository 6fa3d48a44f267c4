#include <brume/nn/layers/place_embedding.h>

#include <cmath>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/layers/embedding.h>

namespace brume::nn {
namespace {

Tensor column(const Tensor& t) { return reshape(t, {-1, 1}); }

constexpr int64_t kMaxFrequencies = 1 << 20;

// `kinds` of vectors of n numbers, made of f: one after the other.
std::vector<double> named_frequencies(const std::string& kinds, const std::vector<double>& f,
                                      int64_t n) {
  const auto has = [&](const char* kind) { return kinds.find(kind) != kinds.npos; };
  check<Error>(has("full") || has("axis") || has("diagonal"),
               "FourierLayer: frequencies must be full, axis, diagonal or gaussian, got '", kinds,
               "'");
  std::vector<double> out;
  if (has("full")) {
    const auto count = static_cast<int64_t>(f.size());
    int64_t all = 1;
    for (int64_t a = 0; a < n; ++a) {
      all *= count;
      check(all <= kMaxFrequencies, "FourierLayer: full would be more than ", kMaxFrequencies,
            " frequencies");
    }
    for (int64_t i = 0; i < all; ++i)  // the last axis is fastest
      for (int64_t a = 0, block = all / count; a < n; ++a, block /= count)
        out.push_back(f[static_cast<size_t>(i / block % count)]);
  }
  if (has("axis"))
    for (const double value : f)
      for (int64_t axis = 0; axis < n; ++axis)
        for (int64_t a = 0; a < n; ++a) out.push_back(a == axis ? value : 0);
  if (has("diagonal"))
    for (const double value : f) out.insert(out.end(), static_cast<size_t>(n * n), value);
  return out;
}

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

FourierLayer::FourierLayer(const Config& c) {
  const int64_t n = c.in_features;
  check(n >= 1 && n <= 1 << 10, "FourierLayer: in_features must be from 1 to 1024, got ", n);
  check(!c.frequencies.empty() && c.frequencies.size() <= kMaxFrequencies,
        "FourierLayer: frequencies are missing");
  const NameOr<OneOrMany<double>>& first = c.frequencies[0];
  const auto numbers = [&](size_t i) -> const std::vector<double>& {
    check(i < c.frequencies.size() && !c.frequencies[i].is_name, "FourierLayer: frequencies '",
          first.name, "' want numbers behind the name");
    return c.frequencies[i].value.values();
  };
  std::vector<double> rows;  // [frequencies, in_features]
  if (first.is_name && first.name.find("gaussian") != first.name.npos) {
    const double std = numbers(1).at(0), count = numbers(2).at(0);
    check(count >= 1 && count <= kMaxFrequencies, "FourierLayer: gaussian wants a count from 1 to ",
          kMaxFrequencies, ", got ", count);
    frequencies_ = buffer("frequencies", {n, static_cast<int64_t>(count)}, Init::normal(std));
    return;
  }
  if (first.is_name) {
    rows = named_frequencies(first.name, numbers(1), n);
  } else {
    for (size_t i = 0; i < c.frequencies.size(); ++i) {
      const std::vector<double>& row = numbers(i);
      check(static_cast<int64_t>(row.size()) == n, "FourierLayer: a frequency must have ", n,
            " numbers, got ", row.size());
      rows.insert(rows.end(), row.begin(), row.end());
    }
  }
  const Tensor all = from_vector(rows, {static_cast<int64_t>(rows.size()) / n, n});
  frequencies_ = buffer("frequencies", contiguous(convert(transpose(all, 0, 1), DType::f32)));
}

Tensor FourierLayer::operator()(const Tensor& x) const {
  check(x.rank() >= 1 && x.size(-1) == frequencies_.size(0), "FourierLayer: wants [..., ",
        frequencies_.size(0), "], got ", x.shape());
  const Tensor angle = matmul(x, as_dtype(frequencies_, x)) * (2 * std::numbers::pi);
  return cat({sin(angle), cos(angle)}, -1);
}

}  // namespace brume::nn
