#pragma once

#include <cstdint>
#include <vector>

namespace brume::diffusion {

/// A = sum of values[k] u_k u_k^T of a symmetric matrix, in no particular order.
struct SymmetricEigen {
  std::vector<double> values;   // [n]
  std::vector<double> vectors;  // [n, n], row k is u_k; empty if not asked for
};

/// By Householder reflections to a tridiagonal matrix and implicit QR steps; errors are roundings
/// of the largest value.
/// @shape  a [n, n], row by row
/// @source Golub and Van Loan, Matrix Computations, 4th edition, section 8.3
SymmetricEigen symmetric_eigen(std::vector<double> a, int64_t n, bool with_vectors);

}  // namespace brume::diffusion
