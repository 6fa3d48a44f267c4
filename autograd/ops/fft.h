#pragma once
// Discrete Fourier transforms, along one axis or several. A complex tensor is a real one with a
// last axis of 2 (real, imaginary part), which no axis number counts.

#include <optional>
#include <vector>

#include <brume/autograd/node.h>

namespace brume {

/// Where the factor 1 / n stands: behind the inverse transform, behind the forward one, or half of
/// it (1 / sqrt(n)) behind both.
enum class FftNorm { backward, forward, ortho };

struct FftOptions {
  FftNorm norm = FftNorm::backward;
  /// Lengths of the axes: x is cut or filled up with zeros first. Empty: x's own.
  std::vector<int64_t> sizes = {};
};

/// Of a complex x along `axes`; every axis has any length. @shape [..., 2] -> same
Tensor fft(const Tensor& x, const std::vector<int64_t>& axes = {-1},
           const FftOptions& options = {});
Tensor ifft(const Tensor& x, const std::vector<int64_t>& axes = {-1},
            const FftOptions& options = {});
/// Of a real x; the last of `axes` keeps the frequencies 0 .. n / 2. @shape [..., n] -> [..., n / 2
/// + 1, 2]
Tensor rfft(const Tensor& x, const std::vector<int64_t>& axes = {-1},
            const FftOptions& options = {});
/// The reverse: inverse transforms along all axes but the last, then that of a Hermitian spectrum,
/// whose imaginary parts at 0 and n / 2 are not read. Without `sizes` the last length is even:
/// 2 (m - 1). @shape [..., m, 2] -> [..., n]
Tensor irfft(const Tensor& x, const std::vector<int64_t>& axes = {-1},
             const FftOptions& options = {});

/// a b of complex tensors that broadcast.
Tensor complex_multiply(const Tensor& a, const Tensor& b);
/// K products of complex matrices. @shape x [K, N, I, 2], w [K, I, O, 2] -> [K, N, O, 2]
Tensor complex_matmul(const Tensor& x, const Tensor& w);
/// The same where the K products lie inmost, as spectra and their weights do.
/// @shape x [N, I, K, 2], w [I, O, K, 2] -> [N, O, K, 2]
Tensor mode_matmul(const Tensor& x, const Tensor& w);

/// What frequencies are multiplied by: those without a mirror image (0 and n / 2), and the others.
struct ModeFactors {
  double single = 1, paired = 1;
};
/// The lowest `modes` frequencies of an axis of real numbers (P = 1), or of complex ones (P = 2)
/// the lowest and then the highest; faster than a whole transform where they are few.
/// @shape x [O, n, P, I] -> [O, 2, P modes, I], real and imaginary parts
/// @throws ShapeError if the axis has fewer frequencies
Tensor low_modes(const Tensor& x, int64_t modes, const ModeFactors& factors = {});
/// Its transpose, which leads back with factors of 1 / n, and 2 / n where `parts` is 1 and a
/// frequency has a mirror image. @shape y [O, 2, F, I] -> [O, n, parts, I]
Tensor from_low_modes(const Tensor& y, int64_t n, int64_t parts, const ModeFactors& factors = {});

}  // namespace brume
