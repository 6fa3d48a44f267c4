#include "examples/darcy/solver.h"

#include <cmath>
#include <vector>

#include <brume/core/cpu/parallel.h>

namespace brume::darcy {
namespace {

/// A symmetric matrix whose entries lie at most `width` below the diagonal: entry (j + d, j) is
/// at(j, d).
class BandMatrix {
 public:
  BandMatrix(int64_t size, int64_t width)
      : size_(size), width_(width), entries_(static_cast<size_t>(size * (width + 1))) {}
  double& at(int64_t j, int64_t d) { return *(column(j) + d); }

  /// A = L L^T in place, L lower triangular.
  void factorize() {
    for (int64_t j = 0; j < size_; ++j) {
      double* l = column(j);
      const int64_t reach = std::min(width_, size_ - 1 - j);
      const double scale = 1 / std::sqrt(l[0]);
      for (int64_t d = 0; d <= reach; ++d) l[d] *= scale;
      for (int64_t d = 1; d <= reach; ++d) {
        double* below = column(j + d);
        const double factor = l[d];
        for (int64_t e = d; e <= reach; ++e) below[e - d] -= factor * l[e];
      }
    }
  }

  /// x with L L^T x = b, in place of b.
  void solve(std::span<double> b) {
    for (int64_t j = 0; j < size_; ++j) {
      const double* l = column(j);
      double* x = b.data() + j;
      x[0] /= l[0];
      for (int64_t d = 1; d <= std::min(width_, size_ - 1 - j); ++d) x[d] -= l[d] * x[0];
    }
    for (int64_t j = size_ - 1; j >= 0; --j) {
      const double* l = column(j);
      double* x = b.data() + j;
      for (int64_t d = 1; d <= std::min(width_, size_ - 1 - j); ++d) x[0] -= l[d] * x[d];
      x[0] /= l[0];
    }
  }

 private:
  double* column(int64_t j) { return entries_.data() + j * (width_ + 1); }
  int64_t size_, width_;
  std::vector<double> entries_;
};

// The flow through a face is this times the difference of pressure: cells are 1 / N wide, and so
// are faces, which cancels. Towards the edge, p = 0, there is half a cell.
double between(double k, double neighbour) { return 2 * k * neighbour / (k + neighbour); }
double to_edge(double k) { return 2 * k; }

BandMatrix flow_matrix(std::span<const double> k, int64_t N) {
  BandMatrix matrix(N * N, N);
  for (int64_t i = 0; i < N; ++i)
    for (int64_t j = 0; j < N; ++j) {
      const int64_t cell = i * N + j;
      const double here = k[static_cast<size_t>(cell)];
      const auto face = [&](int64_t other) {
        const double through = between(here, k[static_cast<size_t>(other)]);
        matrix.at(cell, 0) += through;
        matrix.at(other, 0) += through;
        matrix.at(cell, other - cell) -= through;
      };
      if (j + 1 < N) face(cell + 1);
      if (i + 1 < N) face(cell + N);
      for (const bool on_edge : {i == 0, i == N - 1, j == 0, j == N - 1})
        if (on_edge) matrix.at(cell, 0) += to_edge(here);
    }
  return matrix;
}

}  // namespace

Tensor solve(const Tensor& permeability) {
  const int64_t N = permeability.size(-1), cells = N * N;
  check(permeability.rank() == 3 && permeability.size(1) == N && N > 0,
        "solve: wants permeabilities [B, N, N], got ", permeability.shape());
  const std::vector<double> k = permeability.to_vector<double>();
  for (double value : k) check<Error>(value > 0, "solve: a permeability is ", value);
  const Tensor pressure =
      full(permeability.shape(), 1.0 / static_cast<double>(cells), {.dtype = DType::f64});
  const std::span<double> p = pressure.host<double>();
  cpu::parallel_chunks(permeability.size(0), [&](int64_t sample) {
    const auto first = static_cast<size_t>(sample * cells);
    BandMatrix matrix = flow_matrix(std::span(k).subspan(first, static_cast<size_t>(cells)), N);
    matrix.factorize();
    matrix.solve(p.subspan(first, static_cast<size_t>(cells)));  // of what wells up, an N^2-th each
  });
  return pressure;
}

}  // namespace brume::darcy
