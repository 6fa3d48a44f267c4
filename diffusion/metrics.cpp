#include <brume/diffusion/metrics.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/symmetric_eigen.h>

namespace brume::diffusion {
namespace {

using Numbers = std::vector<double>;

// The numbers of x, none of which may be NaN or infinite: sums would hide the place, and sorting
// wants an order.
Numbers finite(const char* who, const char* what, const Tensor& x) {
  Numbers out = x.to_vector<double>();
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i])) continue;
    Shape place = x.shape();
    auto rest = static_cast<int64_t>(i);
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      place[axis] = rest % x.size(axis);
      rest /= x.size(axis);
    }
    throw Error(cat(who, ": ", what, " is ", out[i], " at ", place));
  }
  return out;
}

struct Ensemble {
  Ensemble(const char* who, const Tensor& ensemble, const Tensor& observed)
      : members(ensemble.rank() >= 1 ? ensemble.size(0) : 0),
        places(observed.numel()),
        values(finite(who, "the ensemble", ensemble)),
        truth(finite(who, "the truth", observed)) {
    Shape wanted = observed.shape();
    wanted.insert(0, members);
    check(members >= 1 && ensemble.shape() == wanted, who, ": an ensemble of ", ensemble.shape(),
          " does not fit a truth of ", observed.shape());
    check(places >= 1, who, ": the truth of ", observed.shape(), " is empty");
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

// In f64 and on the host, for what follows.
Tensor exact(const Tensor& x) { return transfer(convert(x, DType::f64), kCpu); }

// The root of a positive semidefinite matrix; what rounding made negative counts as 0.
Tensor root(const Tensor& a) {
  const int64_t n = a.size(0);
  const SymmetricEigen e = symmetric_eigen(a.to_vector<double>(), n, true);
  Numbers roots;
  for (double value : e.values) roots.push_back(std::sqrt(std::max(value, 0.0)));
  const Tensor u = from_vector(e.vectors, {n, n});
  return matmul(transpose(u, 0, 1), from_vector(roots, {n, 1}) * u);
}

void check_variance(double variance, int64_t i) {
  check<Error>(variance >= 0, "frechet_distance: variance ", i, " is negative: ", variance);
}

Tensor covariance_matrix(const Tensor& x, int64_t n) {
  check(x.shape() == Shape{n, n}, "frechet_distance: wants covariances [", n, ", ", n, "], got ",
        x.shape());
  const Numbers c = finite("frechet_distance", "a covariance", x);
  const auto at = [&](int64_t i, int64_t j) { return c[static_cast<size_t>(i * n + j)]; };
  for (int64_t i = 0; i < n; ++i) check_variance(at(i, i), i);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      check<Error>(
          std::abs(at(i, j) - at(j, i)) <= 1e-4 * std::sqrt(std::abs(at(i, i) * at(j, j))) + 1e-12,
          "frechet_distance: a covariance is not symmetric at ", i, ", ", j);
  return exact(x);
}

double squares(const Tensor& x) { return sum(square(x)).item(); }
double trace(const Tensor& x) { return sum(diagonal(x)).item(); }

double distance(const Tensor& m1, const Tensor& c1, const Tensor& m2, const Tensor& c2) {
  const Tensor half = root(c1), middle = matmul(matmul(half, c2), half);
  double total = squares(m1 - m2) + trace(c1) + trace(c2);
  for (double value : symmetric_eigen(middle.to_vector<double>(), c1.size(0), false).values)
    total -= 2 * std::sqrt(std::max(value, 0.0));
  return std::max(total, 0.0);  // rounding
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
  const NoGrad guard;
  (void)finite("power_spectrum", "x", x);
  const Tensor all = reshape(exact(x), {images, H, W});
  const int64_t largest = std::min(H, W) / 2;
  Numbers power(static_cast<size_t>(largest) + 1), count(power.size());
  for (int64_t image = 0; image < images; ++image) {
    const Numbers waves = rfft(select(all, 0, image), {0, 1}).to_vector<double>();
    for (int64_t ky = 0; ky < H; ++ky)
      for (int64_t kx = 0; kx <= W / 2; ++kx) {
        const auto length = static_cast<int64_t>(std::lround(std::hypot(std::min(ky, H - ky), kx)));
        if (length > largest) continue;
        const auto at = static_cast<size_t>(2 * (ky * (W / 2 + 1) + kx));
        const double twins = kx == 0 || 2 * kx == W ? 1 : 2;  // W - kx has the same power
        power[static_cast<size_t>(length)] +=
            twins * (waves[at] * waves[at] + waves[at + 1] * waves[at + 1]) /
            static_cast<double>(H * W);
        count[static_cast<size_t>(length)] += twins;
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
  const NoGrad guard;
  for (const Tensor* mean : {&mean1, &mean2}) (void)finite("frechet_distance", "a mean", *mean);
  const Tensor m1 = exact(mean1), m2 = exact(mean2);
  if (covariance1.rank() != 1 || covariance2.rank() != 1)
    return distance(m1, covariance_matrix(covariance1, n), m2, covariance_matrix(covariance2, n));
  check(covariance1.numel() == n && covariance2.numel() == n, "frechet_distance: wants ", n,
        " variances, got ", covariance1.numel(), " and ", covariance2.numel());
  for (const Tensor* variances : {&covariance1, &covariance2}) {
    const Numbers v = finite("frechet_distance", "a variance", *variances);
    for (size_t i = 0; i < v.size(); ++i) check_variance(v[i], static_cast<int64_t>(i));
  }
  return squares(m1 - m2) + squares(sqrt(exact(covariance1)) - sqrt(exact(covariance2)));
}

double frechet_distance(const Tensor& a, const Tensor& b) {
  check(
      a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(1) && a.size(0) >= 2 && b.size(0) >= 2,
      "frechet_distance: wants samples [n, D] and [m, D] of at least 2 rows, got ", a.shape(),
      " and ", b.shape());
  const NoGrad guard;
  for (const Tensor* sample : {&a, &b}) (void)finite("frechet_distance", "a sample", *sample);
  const auto covariance = [](const Tensor& x) {
    const Tensor centred = x - mean(x, 0, keep_axis);
    return matmul(transpose(centred, 0, 1), centred) / static_cast<double>(x.size(0) - 1);
  };
  const Tensor first = exact(a), second = exact(b);
  return distance(mean(first, 0), covariance(first), mean(second, 0), covariance(second));
}

double sliced_wasserstein(const Tensor& a, const Tensor& b, Generator& rng, int64_t projections) {
  check(a.rank() >= 1 && a.shape() == b.shape() && a.numel() > 0,
        "sliced_wasserstein: wants two samples of one shape, got ", a.shape(), " and ", b.shape());
  check(projections >= 1, "sliced_wasserstein: wants at least 1 projection, got ", projections);
  const auto rows = static_cast<size_t>(a.size(0)), D = static_cast<size_t>(a.numel()) / rows;
  const Numbers va = finite("sliced_wasserstein", "the first sample", a),
                vb = finite("sliced_wasserstein", "the second sample", b);
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
