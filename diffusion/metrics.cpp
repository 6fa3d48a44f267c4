#include <brume/diffusion/metrics.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace brume::diffusion {
namespace {

using Numbers = std::vector<double>;

struct Ensemble {
  Ensemble(const char* who, const Tensor& ensemble, const Tensor& observed)
      : members(ensemble.rank() >= 1 ? ensemble.size(0) : 0),
        places(observed.numel()),
        values(ensemble.to_vector<double>()),
        truth(observed.to_vector<double>()) {
    Shape wanted = observed.shape();
    wanted.insert(0, members);
    check(members >= 1 && ensemble.shape() == wanted, who, ": an ensemble of ", ensemble.shape(),
          " does not fit a truth of ", observed.shape());
  }
  Numbers at(int64_t place) const {
    Numbers out;
    for (int64_t m = 0; m < members; ++m)
      out.push_back(values[static_cast<size_t>(m * places + place)]);
    return out;
  }
  int64_t members, places;
  Numbers values, truth;
};

// A square matrix, row by row.
struct Matrix {
  explicit Matrix(int64_t size) : n(size), values(static_cast<size_t>(size * size)) {}
  Matrix(int64_t size, Numbers v) : n(size), values(std::move(v)) {}
  double& operator()(int64_t i, int64_t j) { return values[static_cast<size_t>(i * n + j)]; }
  double operator()(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * n + j)]; }
  int64_t n;
  Numbers values;
};

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.n);
  for (int64_t i = 0; i < a.n; ++i)
    for (int64_t k = 0; k < a.n; ++k)
      for (int64_t j = 0; j < a.n; ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}

struct Eigen {
  Numbers values;
  Matrix vectors;  // in columns
};

// Jacobi's rotations of a symmetric matrix.
// @source Golub and Van Loan, Matrix Computations, section 8.5
Eigen eigen(Matrix a) {
  const int64_t n = a.n;
  Matrix v(n);
  for (int64_t i = 0; i < n; ++i) v(i, i) = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0, on = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) (i == j ? on : off) += a(i, j) * a(i, j);
    if (off <= 1e-30 * on) break;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        if (a(p, q) == 0) continue;
        const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
        const double t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (int64_t k = 0; k < n; ++k) {
          const double kp = a(k, p), kq = a(k, q);
          a(k, p) = c * kp - s * kq;
          a(k, q) = s * kp + c * kq;
        }
        for (int64_t k = 0; k < n; ++k) {
          const double pk = a(p, k), qk = a(q, k);
          a(p, k) = c * pk - s * qk;
          a(q, k) = s * pk + c * qk;
          const double vp = v(k, p), vq = v(k, q);
          v(k, p) = c * vp - s * vq;
          v(k, q) = s * vp + c * vq;
        }
      }
  }
  Eigen out{{}, std::move(v)};
  for (int64_t i = 0; i < n; ++i) out.values.push_back(a(i, i));
  return out;
}

// The root of a positive semidefinite matrix; what rounding made negative counts as 0.
Matrix root(const Matrix& a) {
  const Eigen e = eigen(a);
  Matrix out(a.n);
  for (int64_t k = 0; k < a.n; ++k) {
    const double r = std::sqrt(std::max(e.values[static_cast<size_t>(k)], 0.0));
    for (int64_t i = 0; i < a.n; ++i)
      for (int64_t j = 0; j < a.n; ++j) out(i, j) += r * e.vectors(i, k) * e.vectors(j, k);
  }
  return out;
}

Matrix covariance_matrix(const Tensor& x, int64_t n) {
  check(x.shape() == Shape{n, n}, "frechet_distance: wants covariances [", n, ", ", n, "], got ",
        x.shape());
  Matrix out(n, x.to_vector<double>());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      check<Error>(std::abs(out(i, j) - out(j, i)) <=
                       1e-4 * std::sqrt(std::abs(out(i, i) * out(j, j))) + 1e-12,
                   "frechet_distance: a covariance is not symmetric at ", i, ", ", j);
  return out;
}

// Mean and covariance of rows.
struct Statistics {
  explicit Statistics(const Tensor& x) : n(x.size(1)), mean(static_cast<size_t>(n)), covariance(n) {
    const Numbers values = x.to_vector<double>();
    const int64_t rows = x.size(0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < n; ++i)
        mean[static_cast<size_t>(i)] += values[static_cast<size_t>(r * n + i)] / double(rows);
    for (int64_t r = 0; r < rows; ++r) {
      const auto centred = [&](int64_t i) {
        return values[static_cast<size_t>(r * n + i)] - mean[static_cast<size_t>(i)];
      };
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j)
          covariance(i, j) += centred(i) * centred(j) / double(rows - 1);
    }
  }
  int64_t n;
  Numbers mean;
  Matrix covariance;
};

double distance(const Numbers& m1, const Matrix& c1, const Numbers& m2, const Matrix& c2) {
  double total = 0;
  for (size_t i = 0; i < m1.size(); ++i) total += (m1[i] - m2[i]) * (m1[i] - m2[i]);
  const Matrix half = root(c1);
  const Matrix middle = product(product(half, c2), half);
  for (int64_t i = 0; i < c1.n; ++i) total += c1(i, i) + c2(i, i);
  for (double value : eigen(middle).values) total -= 2 * std::sqrt(std::max(value, 0.0));
  return total;
}

}  // namespace

double crps(const Tensor& ensemble, const Tensor& truth, bool fair) {
  const Ensemble e("crps", ensemble, truth);
  check(!fair || e.members >= 2, "crps: fair wants at least 2 members");
  const auto n = static_cast<double>(e.members);
  double total = 0;
  for (int64_t place = 0; place < e.places; ++place) {
    Numbers x = e.at(place);
    std::sort(x.begin(), x.end());
    double error = 0, spread = 0;  // spread: half the sum of |x_i - x_j|
    for (size_t i = 0; i < x.size(); ++i) {
      error += std::abs(x[i] - e.truth[static_cast<size_t>(place)]);
      spread += (2 * static_cast<double>(i) - n + 1) * x[i];
    }
    total += error / n - spread / (n * (fair ? n - 1 : n));
  }
  return total / static_cast<double>(e.places);
}

std::vector<int64_t> rank_histogram(const Tensor& ensemble, const Tensor& truth, Generator& rng) {
  const Ensemble e("rank_histogram", ensemble, truth);
  std::vector<int64_t> counts(static_cast<size_t>(e.members) + 1);
  for (int64_t place = 0; place < e.places; ++place) {
    int64_t below = 0, equal = 0;
    for (double x : e.at(place)) {
      below += x < e.truth[static_cast<size_t>(place)];
      equal += x == e.truth[static_cast<size_t>(place)];
    }
    counts[static_cast<size_t>(below + (equal == 0 ? 0 : rng.integer(equal + 1)))]++;
  }
  return counts;
}

std::vector<double> power_spectrum(const Tensor& x) {
  check(x.rank() >= 2 && x.numel() > 0, "power_spectrum: wants images [..., H, W], got ",
        x.shape());
  const int64_t H = x.size(-2), W = x.size(-1), images = x.numel() / (H * W);
  const Numbers values = x.to_vector<double>();
  const int64_t largest = std::min(H, W) / 2;
  Numbers power(static_cast<size_t>(largest) + 1), count(power.size());
  const auto waves = [](int64_t n) {  // cos and sin of 2 pi i / n
    std::vector<std::pair<double, double>> out;
    for (int64_t i = 0; i < n; ++i) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
      out.emplace_back(std::cos(angle), std::sin(angle));
    }
    return out;
  };
  const auto along_x = waves(W), along_y = waves(H);
  Numbers re(static_cast<size_t>(H * W)), im(re.size());
  for (int64_t image = 0; image < images; ++image) {
    // Rows first, then columns: sums as they stand, since fields are small.
    for (int64_t y = 0; y < H; ++y)
      for (int64_t k = 0; k < W; ++k) {
        double a = 0, b = 0;
        for (int64_t i = 0; i < W; ++i) {
          const double value = values[static_cast<size_t>((image * H + y) * W + i)];
          const auto& [c, s] = along_x[static_cast<size_t>(i * k % W)];
          a += value * c, b -= value * s;
        }
        re[static_cast<size_t>(y * W + k)] = a, im[static_cast<size_t>(y * W + k)] = b;
      }
    for (int64_t ky = 0; ky < H; ++ky)
      for (int64_t kx = 0; kx < W; ++kx) {
        const auto length = static_cast<int64_t>(
            std::lround(std::hypot(std::min(ky, H - ky), std::min(kx, W - kx))));
        if (length > largest) continue;
        double a = 0, b = 0;
        for (int64_t y = 0; y < H; ++y) {
          const auto& [c, s] = along_y[static_cast<size_t>(y * ky % H)];
          const auto at = static_cast<size_t>(y * W + kx);
          a += re[at] * c + im[at] * s, b += im[at] * c - re[at] * s;
        }
        power[static_cast<size_t>(length)] += (a * a + b * b) / static_cast<double>(H * W);
        count[static_cast<size_t>(length)] += 1;
      }
  }
  for (size_t k = 0; k < power.size(); ++k) power[k] /= count[k];
  return power;
}

double frechet_distance(const Tensor& mean1, const Tensor& covariance1, const Tensor& mean2,
                        const Tensor& covariance2) {
  check(mean1.rank() == 1 && mean2.shape() == mean1.shape(),
        "frechet_distance: means are two vectors of one length, got ", mean1.shape(), " and ",
        mean2.shape());
  const int64_t n = mean1.numel();
  const Numbers m1 = mean1.to_vector<double>(), m2 = mean2.to_vector<double>();
  if (covariance1.rank() != 1 || covariance2.rank() != 1)
    return distance(m1, covariance_matrix(covariance1, n), m2, covariance_matrix(covariance2, n));
  check(covariance1.numel() == n && covariance2.numel() == n, "frechet_distance: wants ", n,
        " variances, got ", covariance1.numel(), " and ", covariance2.numel());
  const Numbers v1 = covariance1.to_vector<double>(), v2 = covariance2.to_vector<double>();
  double total = 0;
  for (size_t i = 0; i < m1.size(); ++i)
    total += (m1[i] - m2[i]) * (m1[i] - m2[i]) + v1[i] + v2[i] - 2 * std::sqrt(v1[i] * v2[i]);
  return total;
}

double frechet_distance(const Tensor& a, const Tensor& b) {
  check(
      a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(1) && a.size(0) >= 2 && b.size(0) >= 2,
      "frechet_distance: wants samples [n, D] and [m, D] of at least 2 rows, got ", a.shape(),
      " and ", b.shape());
  const Statistics first(a), second(b);
  return distance(first.mean, first.covariance, second.mean, second.covariance);
}

double sliced_wasserstein(const Tensor& a, const Tensor& b, Generator& rng, int64_t projections) {
  check(a.rank() >= 1 && a.shape() == b.shape() && a.numel() > 0,
        "sliced_wasserstein: wants two samples of one shape, got ", a.shape(), " and ", b.shape());
  check(projections >= 1, "sliced_wasserstein: wants at least 1 projection, got ", projections);
  const auto rows = static_cast<size_t>(a.size(0)), D = static_cast<size_t>(a.numel()) / rows;
  const Numbers va = a.to_vector<double>(), vb = b.to_vector<double>();
  Numbers direction(D), pa(rows), pb(rows);
  double total = 0;
  for (int64_t p = 0; p < projections; ++p) {
    rng.fill_normal(std::span<double>(direction));
    double length = 0;
    for (double d : direction) length += d * d;
    const auto project = [&](const Numbers& from, Numbers& to) {
      for (size_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (size_t i = 0; i < D; ++i) sum += from[r * D + i] * direction[i];
        to[r] = sum / std::sqrt(length);
      }
      std::sort(to.begin(), to.end());
    };
    project(va, pa);
    project(vb, pb);
    for (size_t r = 0; r < rows; ++r)
      total += (pa[r] - pb[r]) * (pa[r] - pb[r]) / static_cast<double>(rows);
  }
  return std::sqrt(total / static_cast<double>(projections));
}

}  // namespace brume::diffusion
