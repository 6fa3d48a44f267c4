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

bool has(const std::string& kinds, const char* kind) { return kinds.find(kind) != kinds.npos; }

// How many vectors `kinds` makes of `count` numbers on n axes.
int64_t named_count(const std::string& kinds, int64_t count, int64_t n) {
  check<Error>(has(kinds, "full") || has(kinds, "axis") || has(kinds, "diagonal"),
               "FourierLayer: frequencies must be full, axis, diagonal or gaussian, got '", kinds,
               "'");
  const auto plus = [&](int64_t a, int64_t b) {
    check(a + b <= kMaxFrequencies, "FourierLayer: ", kinds, " would be more than ",
          kMaxFrequencies, " frequencies");
    return a + b;
  };
  int64_t all = 0;
  if (has(kinds, "full")) {
    int64_t full = count == 0 ? 0 : 1;
    for (int64_t a = 0; a < n && count > 0; ++a) full = plus(0, full * count);
    all = plus(all, full);
  }
  if (has(kinds, "axis")) all = plus(all, count * n);
  if (has(kinds, "diagonal")) all = plus(all, count * n);
  return all;
}

// The vectors themselves, one after the other.
std::vector<double> named_frequencies(const std::string& kinds, const std::vector<double>& f,
                                      int64_t n) {
  std::vector<double> out;
  if (has(kinds, "full")) {
    const auto count = static_cast<int64_t>(f.size());
    int64_t all = count == 0 ? 0 : 1;
    for (int64_t a = 0; a < n && count > 0; ++a) all *= count;
    for (int64_t i = 0; i < all; ++i)  // the last axis is fastest
      for (int64_t a = 0, block = all / count; a < n; ++a, block /= count)
        out.push_back(f[static_cast<size_t>(i / block % count)]);
  }
  if (has(kinds, "axis"))
    for (const double value : f)
      for (int64_t axis = 0; axis < n; ++axis)
        for (int64_t a = 0; a < n; ++a) out.push_back(a == axis ? value : 0);
  if (has(kinds, "diagonal"))
    for (const double value : f) out.insert(out.end(), static_cast<size_t>(n * n), value);
  return out;
}

// The matrix [n, vectors] of vectors of n numbers that stand one after the other.
Tensor matrix(const std::vector<double>& vectors, int64_t n) {
  const Tensor all = from_vector(vectors, {static_cast<int64_t>(vectors.size()) / n, n});
  return contiguous(convert(transpose(all, 0, 1), DType::f32));
}

}  // namespace

SinusoidalTimestepEmbedding::SinusoidalTimestepEmbedding(const Config& c) {
  check_embedding_channels(c.num_channels, "SinusoidalTimestepEmbedding");
  freqs_ = buffer("freqs", {c.num_channels / 2}, [half = c.num_channels / 2] {
    return arange(std::numbers::pi, half, std::numbers::pi);
  });
}

Tensor SinusoidalTimestepEmbedding::operator()(const Tensor& t) const {
  const Tensor angle = column(t) * as_dtype(freqs_, t);
  return cat({cos(angle), sin(angle)}, 1);
}

OneHotEmbedding::OneHotEmbedding(const Config& c) {
  check_embedding_channels(c.num_channels, "OneHotEmbedding");
  indices_ = buffer("indices", {1, c.num_channels}, [n = c.num_channels] {
    return reshape(arange(0, n), {1, n});
  });
}

Tensor OneHotEmbedding::operator()(const Tensor& t) const {
  const Tensor place = column(t) * static_cast<double>(indices_.size(1) - 1);
  return clamp_min(1 - abs(place - as_dtype(indices_, t)), 0);
}

FourierPositionalEmbedding::FourierPositionalEmbedding(const Config& c)
    : in_dim_(c.in_dim), include_input_(c.include_input) {
  check_range("FourierPositionalEmbedding", "in_dim", c.in_dim, 1);
  check_range("FourierPositionalEmbedding", "num_bands", c.num_bands, 1, 1 << 16);
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
  check_range("FourierLayer", "in_features", n, 1, 1 << 10);
  check(!c.frequencies.empty() && c.frequencies.size() <= kMaxFrequencies,
        "FourierLayer: frequencies are missing");
  const NameOr<OneOrMany<double>>& first = c.frequencies[0];
  const auto numbers = [&](size_t i) -> const std::vector<double>& {
    check(i < c.frequencies.size() && !c.frequencies[i].is_name, "FourierLayer: frequencies '",
          first.name, "' want numbers behind the name");
    return c.frequencies[i].value.values();
  };
  if (first.is_name && first.name.find("gaussian") != first.name.npos) {
    const double std = numbers(1).at(0), count = numbers(2).at(0);
    check(count >= 1 && count <= kMaxFrequencies, "FourierLayer: gaussian wants a count from 1 to ",
          kMaxFrequencies, ", got ", count);
    frequencies_ = buffer("frequencies", {n, static_cast<int64_t>(count)}, Init::normal(std));
    return;
  }
  if (first.is_name) {
    const std::vector<double>& f = numbers(1);
    const int64_t vectors = named_count(first.name, static_cast<int64_t>(f.size()), n);
    frequencies_ = buffer("frequencies", {n, vectors}, [kinds = first.name, f, n] {
      return matrix(named_frequencies(kinds, f, n), n);
    });
    return;
  }
  std::vector<double> rows;
  for (size_t i = 0; i < c.frequencies.size(); ++i) {
    const std::vector<double>& row = numbers(i);
    check(static_cast<int64_t>(row.size()) == n, "FourierLayer: a frequency must have ", n,
          " numbers, got ", row.size());
    rows.insert(rows.end(), row.begin(), row.end());
  }
  frequencies_ = buffer("frequencies", matrix(rows, n));
}

Tensor FourierLayer::operator()(const Tensor& x) const {
  check(x.rank() >= 1 && x.size(-1) == frequencies_.size(0), "FourierLayer: wants [..., ",
        frequencies_.size(0), "], got ", x.shape());
  const Tensor angle = matmul(x, as_dtype(frequencies_, x)) * (2 * std::numbers::pi);
  return cat({sin(angle), cos(angle)}, -1);
}

}  // namespace brume::nn
