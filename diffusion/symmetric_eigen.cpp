#include <brume/diffusion/symmetric_eigen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <brume/core/error.h>

namespace brume::diffusion {
namespace {

// a = Q T Q^T with T tridiagonal. Row k of `a` keeps the reflection I - factor v v^T of step k, v
// behind the diagonal.
struct Tridiagonal {
  explicit Tridiagonal(std::vector<double> matrix, int64_t size)
      : n(size), a(std::move(matrix)), diagonal(a.size() / n), beside(n), factor(n) {
    std::vector<double> w(n);
    for (size_t k = 0; k + 1 < n; ++k) reflect(k, w);
    for (size_t k = 0; k < n; ++k) diagonal[k] = a[k * n + k];
  }

  // The columns of Q, one a row.
  std::vector<double> columns() const {
    std::vector<double> q(n * n), u(n);
    for (size_t i = 0; i < n; ++i) q[i * n + i] = 1;
    for (size_t k = n - 1; k-- > 0;) {  // Q = H_0 (H_1 ...), seen from the right: rows of Q^T
      const double* v = &a[k * n];
      for (size_t i = k + 1; i < n; ++i) {
        double* row = &q[i * n];
        double dot = 0;
        for (size_t j = k + 1; j < n; ++j) dot += row[j] * v[j];
        dot *= factor[k];
        for (size_t j = k + 1; j < n; ++j) row[j] -= dot * v[j];
      }
    }
    return q;
  }

  size_t n;
  std::vector<double> a, diagonal, beside, factor;

 private:
  // Makes what stands behind beside[k] in row and column k zero.
  void reflect(size_t k, std::vector<double>& w) {
    double* v = &a[k * n];
    double tail = 0;
    for (size_t j = k + 2; j < n; ++j) tail += v[j] * v[j];
    beside[k] = v[k + 1];
    if (tail == 0) {
      std::fill(v + k + 1, v + n, 0.0);
      return;
    }
    const double length = std::copysign(std::sqrt(v[k + 1] * v[k + 1] + tail), v[k + 1]);
    v[k + 1] += length;
    beside[k] = -length;
    factor[k] = 2 / (v[k + 1] * v[k + 1] + tail);
    double along = 0;
    for (size_t i = k + 1; i < n; ++i) {
      const double* row = &a[i * n];
      double dot = 0;
      for (size_t j = k + 1; j < n; ++j) dot += row[j] * v[j];
      w[i] = factor[k] * dot;
      along += w[i] * v[i];
    }
    for (size_t i = k + 1; i < n; ++i) w[i] -= 0.5 * factor[k] * along * v[i];
    for (size_t i = k + 1; i < n; ++i) {
      double* row = &a[i * n];
      const double vi = v[i], wi = w[i];
      for (size_t j = k + 1; j < n; ++j) row[j] -= vi * w[j] + wi * v[j];
    }
  }
};

// A tridiagonal matrix (d on its diagonal, e beside it), and rows that turn with its axes.
struct Turning {
  std::vector<double>&d, &e, &rows;  // rows may be empty

  bool decoupled(size_t k) const {
    return std::abs(e[k]) <=
           std::numeric_limits<double>::epsilon() * (std::abs(d[k]) + std::abs(d[k + 1]));
  }

  // Axes k and k + 1, so that (x, z) comes to lie along k.
  void turn(size_t k, double c, double s) {
    const double dk = d[k], ek = e[k], dl = d[k + 1];
    d[k] = c * c * dk + 2 * c * s * ek + s * s * dl;
    d[k + 1] = s * s * dk - 2 * c * s * ek + c * c * dl;
    e[k] = c * s * (dl - dk) + (c * c - s * s) * ek;
    if (rows.empty()) return;
    double *first = &rows[k * d.size()], *second = first + d.size();
    for (size_t j = 0; j < d.size(); ++j) {
      const double u = first[j], v = second[j];
      first[j] = c * u + s * v;
      second[j] = c * v - s * u;
    }
  }

  // One QR step of the block from first to last, shifted by a value of its last 2 x 2 block: what
  // the first turn leaves beside the tridiagonal is chased down by the others.
  void step(size_t first, size_t last) {
    const double half = (d[last - 1] - d[last]) / 2, beside = e[last - 1];
    const double shift =
        d[last] - beside * beside / (half + std::copysign(std::hypot(half, beside), half));
    double x = d[first] - shift, z = e[first];
    for (size_t k = first; k < last; ++k) {
      const double r = std::hypot(x, z), c = r == 0 ? 1 : x / r, s = r == 0 ? 0 : z / r;
      if (k > first) e[k - 1] = r;
      turn(k, c, s);
      if (k + 1 == last) break;
      x = e[k];
      z = s * e[k + 1];
      e[k + 1] *= c;
    }
  }

  void to_diagonal() {
    int steps = 0;
    for (size_t last = d.size() - 1; last > 0;) {
      if (decoupled(last - 1)) {
        --last;
        steps = 0;
        continue;
      }
      size_t first = last - 1;
      while (first > 0 && !decoupled(first - 1)) --first;
      check<Error>(++steps <= 60, "symmetric_eigen: no convergence; is a value not finite?");
      step(first, last);
    }
  }
};

}  // namespace

SymmetricEigen symmetric_eigen(std::vector<double> a, int64_t n, bool with_vectors) {
  check(n >= 1 && a.size() == static_cast<size_t>(n * n), "symmetric_eigen: wants ", n, "x", n,
        " values, got ", a.size());
  Tridiagonal t(std::move(a), static_cast<size_t>(n));
  SymmetricEigen out;
  if (with_vectors) out.vectors = t.columns();
  Turning{t.diagonal, t.beside, out.vectors}.to_diagonal();
  out.values = std::move(t.diagonal);
  return out;
}

}  // namespace brume::diffusion
