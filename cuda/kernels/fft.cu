// Family fft, as the sums that the transforms are: a thread makes one result and walks over its
// line, whose numbers its neighbours read at the same time; the angles come from a table of the n
// roots of unity, sums are in f64. That is n operations per result instead of log n: right for the
// axes of up to a few hundred points that operators and spectra have, and any length is as good as
// any other. Operators that keep few modes take products of matrices instead.

#include <brume/core/kernels/fft.h>

#include <cmath>
#include <numbers>
#include <vector>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

enum class Form { complex, from_real, to_real };

struct Transform {
  Form form = Form::complex;
  int64_t n = 0;    // of the transform
  double sign = 1;  // of the exponent
  double factor = 1, paired = 1;
  int64_t results = 0;             // per line
  int64_t x_step = 0, y_step = 0;  // along the axis
  int64_t x_part = 0, y_part = 0;  // from a real part to its imaginary part
};

// lines: x, y. roots [n]: cos and sin of 2 pi i / n.
template <class T>
__global__ void __launch_bounds__(kThreads)
    transform_lines(Steps<2> lines, Transform f, const double* roots) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t line = i / f.results, k = i % f.results;
  if (line >= lines.count) return;
  int64_t at[2];
  lines.locate<1>(static_cast<uint32_t>(line), at);
  const T* x = static_cast<const T*>(lines.data[0]) + at[0];
  T* y = static_cast<T*>(lines.data[1]) + at[1] + k * f.y_step;
  const int64_t half = f.n / 2;
  const bool even = f.n % 2 == 0;
  double real = 0, imaginary = 0;
  int64_t angle = 0;  // j k mod n
  const int64_t terms = f.form == Form::to_real ? half + 1 : f.n;
#pragma unroll 1
  for (int64_t j = 0; j < terms; ++j) {
    const double c = roots[2 * angle], s = f.sign * roots[2 * angle + 1];
    auto a = static_cast<double>(x[j * f.x_step]);
    double b = f.form == Form::from_real ? 0 : static_cast<double>(x[j * f.x_step + f.x_part]);
    if (f.form == Form::to_real) {
      const bool alone = j == 0 || (even && j == half);
      if (alone) b = 0;
      const double weight = alone ? 1 : 2 * f.paired;
      a *= weight;
      b *= weight;
    }
    real += a * c - b * s;
    imaginary += a * s + b * c;
    angle += k;
    if (angle >= f.n) angle -= f.n;
  }
  double factor = f.factor;
  if (f.form == Form::from_real && k != 0 && !(even && k == half)) factor *= f.paired;
  y[0] = static_cast<T>(real * factor);
  if (f.form != Form::to_real) y[f.y_part] = static_cast<T>(imaginary * factor);
}

void transform(const char* op, Transform f, int axis, const View& x, const View& y) {
  f.results = y.size(axis);
  f.x_step = x.stride(axis);
  f.y_step = y.stride(axis);
  if (f.form != Form::from_real) f.x_part = x.stride(-1);
  if (f.form != Form::to_real) f.y_part = y.stride(-1);
  const int rank = f.form == Form::from_real ? x.rank() : x.rank() - 1;
  int64_t count = 1;
  for (int i = 0; i < rank; ++i)
    if (i != axis) count *= x.size(i);
  if (count == 0) return;
  Steps<2> lines;
  lines.count = count32(op, count);
  lines.data[0] = x.data;
  lines.data[1] = y.data;
  for (int i = rank; i-- > 0;)
    if (i != axis) add_axis(lines, x.size(i), {x.stride(i), y.stride(i)});
  std::vector<double> roots(static_cast<size_t>(2 * f.n));
  for (int64_t i = 0; i < f.n; ++i) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(f.n);
    roots[static_cast<size_t>(2 * i)] = std::cos(turn);
    roots[static_cast<size_t>(2 * i + 1)] = std::sin(turn);
  }
  Scratch scratch;
  const double* table = scratch.upload(roots, op);
  dispatch<float, double>(x.dtype, op, [&]<class T>(Type<T>) {
    launch(transform_lines<T>, count32(op, ceil_div(count * f.results, kThreads)), kThreads, 0,
           stream(op), lines, f, table);
  });
}

void fft(bool inverse, int axis, double factor, const View& x, const View& y) {
  transform("fft",
            {.form = Form::complex,
             .n = x.size(axis),
             .sign = inverse ? 1.0 : -1.0,
             .factor = factor,
             .paired = 1},
            axis, x, y);
}
void rfft(int axis, double factor, double paired, const View& x, const View& y) {
  transform(
      "rfft",
      {.form = Form::from_real, .n = x.size(axis), .sign = -1, .factor = factor, .paired = paired},
      axis, x, y);
}
void irfft(int axis, double factor, double paired, const View& x, const View& y) {
  transform(
      "irfft",
      {.form = Form::to_real, .n = y.size(axis), .sign = 1, .factor = factor, .paired = paired},
      axis, x, y);
}

// A matrix whose entries are lines of modes, as View v tells it.
struct ModeMatrix {
  explicit ModeMatrix(const View& v)
      : data(v.data), row(v.stride(0)), column(v.stride(1)), mode(v.stride(2)), part(v.stride(3)) {}
  void* data;
  int64_t row, column, mode, part;
};

// A thread makes one result; neighbours in a warp hold neighbouring modes.
template <class T>
__global__ void __launch_bounds__(kThreads)
    multiply_modes(uint32_t count, Divider modes, Divider columns, int64_t in, T sign_w, T sign_y,
                   ModeMatrix x, ModeMatrix w, ModeMatrix y) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count) return;
  const uint32_t entry = modes.quotient(i), k = i - entry * modes.divisor();
  const uint32_t n = columns.quotient(entry), o = entry - n * columns.divisor();
  const T* a = static_cast<const T*>(x.data) + n * x.row + k * x.mode;
  const T* b = static_cast<const T*>(w.data) + o * w.column + k * w.mode;
  T real = 0, imaginary = 0;
  for (int64_t j = 0; j < in; ++j, a += x.column, b += w.row) {
    const T re = b[0], im = sign_w * b[w.part];
    real += a[0] * re;
    imaginary += a[0] * im;
    real -= a[x.part] * im;
    imaginary += a[x.part] * re;
  }
  T* to = static_cast<T*>(y.data) + n * y.row + o * y.column + k * y.mode;
  to[0] = real;
  to[y.part] = sign_y * imaginary;
}

void mode_matmul(bool conjugate_w, bool conjugate_y, const View& x, const View& w, const View& y) {
  const uint32_t count = count32("mode_matmul", y.size(0) * y.size(1) * y.size(2));
  if (count == 0) return;
  dispatch<float, double>(x.dtype, "mode_matmul", [&]<class T>(Type<T>) {
    launch(multiply_modes<T>, static_cast<uint32_t>(ceil_div(count, kThreads)), kThreads, 0,
           stream("mode_matmul"), count, Divider(static_cast<uint32_t>(y.size(2))),
           Divider(static_cast<uint32_t>(y.size(1))), x.size(1), T(conjugate_w ? -1 : 1),
           T(conjugate_y ? -1 : 1), ModeMatrix(x), ModeMatrix(w), ModeMatrix(y));
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const FftKernels cuda_fft{
    .fft = cuda::fft, .rfft = cuda::rfft, .irfft = cuda::irfft, .mode_matmul = cuda::mode_matmul};

}  // namespace brume
