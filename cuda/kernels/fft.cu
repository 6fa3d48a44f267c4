// Family fft: passes over lines, one for each factor of their length (self-sorting, Stockham 1966).
// A thread makes one number of a pass and adds its terms, as many as the factor is large, from
// numbers that its neighbours read at the same time; the angles come from a table of the n roots of
// unity, sums and what lies between two passes are f64. A prime length is one pass, the sum that
// the transform is. Operators that keep few modes take products of matrices instead.

#include <brume/core/kernels/fft.h>

#include <vector>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/kernels/fft_library.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

using Form = LineTransform::Form;

/// Where the numbers of a line stand.
struct Line {
  int64_t step = 0;  // along the axis
  bool is_complex = false;
  int64_t part = 0;  // from a real part to its imaginary part
};

/// One pass of n numbers: of what lies `stride` apart, butterflies of `radix` numbers each.
struct Pass {
  int64_t n, radix, stride;
  double sign;      // of the exponent
  int64_t results;  // of a line: the first ones
  Line x, y;
  bool from_half;             // x is the first half of a Hermitian spectrum
  double paired_x, paired_y;  // factors of frequencies that have a mirror image
  double factor;
};

// Whether frequency k of n has no mirror image.
__device__ inline bool is_alone(int64_t k, int64_t n) { return k == 0 || 2 * k == n; }

// lines: x, y. roots [n]: cos and sin of 2 pi i / n.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads)
    transform_lines(Steps<2> lines, Pass f, const double* roots) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t line = i / f.results, k = i - line * f.results;
  if (line >= lines.count) return;
  int64_t at[2];
  lines.locate<1>(static_cast<uint32_t>(line), at);
  const X* x = static_cast<const X*>(lines.data[0]) + at[0];
  Y* y = static_cast<Y*>(lines.data[1]) + at[1] + k * f.y.step;
  // k = q + stride (radix p + t): result t of butterfly p, whose term j is turned by
  // t (j / radix + p stride / n).
  const int64_t q = k % f.stride, t = k / f.stride % f.radix, p = k / f.stride / f.radix;
  const int64_t apart = f.n / f.radix, turn = t * apart;  // modulo n
  int64_t place = q + f.stride * p, angle = t * p * f.stride % f.n;
  double real = 0, imaginary = 0;
#pragma unroll 1
  for (int64_t j = 0; j < f.radix; ++j) {
    const double c = roots[2 * angle], s = f.sign * roots[2 * angle + 1];
    const bool mirrored = f.from_half && 2 * place > f.n;
    const X* from = x + (mirrored ? f.n - place : place) * f.x.step;
    auto a = static_cast<double>(from[0]);
    double b = f.x.is_complex ? static_cast<double>(from[f.x.part]) : 0;
    if (f.from_half) {
      if (is_alone(place, f.n)) {
        b = 0;
      } else {
        a *= f.paired_x;
        b *= mirrored ? -f.paired_x : f.paired_x;
      }
    }
    real += a * c - b * s;
    imaginary += a * s + b * c;
    place += apart;
    angle += turn;
    if (angle >= f.n) angle -= f.n;
  }
  const double factor = is_alone(k, f.n) ? f.factor : f.factor * f.paired_y;
  y[0] = static_cast<Y>(real * factor);
  if (f.y.is_complex) y[f.y.part] = static_cast<Y>(imaginary * factor);
}

// Beyond so many terms a further pass costs less than it saves.
constexpr int64_t kMostTerms = 32;

/// Prime factors of n, multiplied as long as they stay below kMostTerms; at least one.
std::vector<int64_t> radices(int64_t n) {
  std::vector<int64_t> out{1};
  const auto add = [&](int64_t prime) {
    if (out.back() > 1 && out.back() * prime > kMostTerms) out.push_back(1);
    out.back() *= prime;
  };
  for (int64_t p = 2; p * p <= n; ++p)
    for (; n % p == 0; n /= p) add(p);
  if (n > 1) add(n);
  return out;
}

// roots [n]: cos and sin of 2 pi i / n.
__global__ void __launch_bounds__(kThreads) fill_roots(int64_t n, double* roots) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < n)
    sincospi(2 * static_cast<double>(i) / static_cast<double>(n), &roots[2 * i + 1], &roots[2 * i]);
}

/// A pass from x to y, complex ones of which have an axis more than `rank`.
void run(const char* op, Pass f, int axis, int rank, const View& x, const View& y,
         const double* roots) {
  const auto line = [&](const View& v) {
    const bool is_complex = v.rank() > rank;
    return Line{v.stride(axis), is_complex, is_complex ? v.stride(-1) : 0};
  };
  f.x = line(x);
  f.y = line(y);
  f.results = y.size(axis);
  Steps<2> lines;
  int64_t count = 1;
  for (int i = rank; i-- > 0;)
    if (i != axis) {
      add_axis(lines, x.size(i), {x.stride(i), y.stride(i)});
      count *= x.size(i);
    }
  lines.count = count32(op, count);
  lines.data[0] = x.data;
  lines.data[1] = y.data;
  dispatch<float, double>(x.dtype, op, [&]<class X>(Type<X>) {
    dispatch<float, double>(y.dtype, op, [&]<class Y>(Type<Y>) {
      launch(transform_lines<X, Y>, count32(op, ceil_div(count * f.results, kThreads)), kThreads, 0,
             stream(op), lines, f, roots);
    });
  });
}

void transform(const char* op, const LineTransform& f, int axis, const View& x, const View& y) {
  if (numel(y.shape) == 0 || transform_by_library(op, f, axis, x, y)) return;
  const bool to_real = f.form == Form::to_real;
  const int rank = f.form == Form::from_real ? x.rank() : x.rank() - 1;
  Shape whole = x.shape;
  if (f.form == Form::from_real) whole.insert(rank, 2);
  whole[axis] = f.n;
  Scratch scratch;
  double* const roots = scratch.take<double>(2 * f.n);
  launch(fill_roots, count32(op, ceil_div(f.n, kThreads)), kThreads, 0, stream(op), f.n, roots);
  Pass pass{.n = f.n,
            .radix = 1,
            .stride = 1,
            .sign = f.inverse ? 1.0 : -1.0,
            .results = 0,
            .x = {},
            .y = {},
            .from_half = to_real,
            .paired_x = f.paired,
            .paired_y = 1,
            .factor = 1};
  View from = x;
  for (const int64_t radix : radices(f.n)) {
    pass.radix = radix;
    const bool is_last = pass.stride * radix == f.n;
    if (is_last) {
      pass.factor = f.factor;
      if (f.form == Form::from_real) pass.paired_y = f.paired;
    }
    const View to =
        is_last ? y
                : View{scratch.take<double>(numel(whole)), DType::f64, whole, dense_strides(whole)};
    run(op, pass, axis, rank, from, to, roots);
    pass.from_half = false;
    pass.stride *= radix;
    from = to;
  }
}

void fft(bool inverse, int axis, double factor, const View& x, const View& y) {
  transform("fft", {.form = Form::complex, .inverse = inverse, .n = x.size(axis), .factor = factor},
            axis, x, y);
}
void rfft(int axis, double factor, double paired, const View& x, const View& y) {
  transform("rfft",
            {.form = Form::from_real, .n = x.size(axis), .factor = factor, .paired = paired}, axis,
            x, y);
}
void irfft(int axis, double factor, double paired, const View& x, const View& y) {
  transform("irfft",
            {.form = Form::to_real,
             .inverse = true,
             .n = y.size(axis),
             .factor = factor,
             .paired = paired},
            axis, x, y);
}

// What low_modes is a product with: matrix [2 F, n P] of numbers of y [2, F] by those of x [n, P].
template <class T>
__global__ void __launch_bounds__(kThreads)
    fill_modes(uint32_t count, int64_t n, int64_t parts, int64_t frequencies, double single,
               double paired, T* matrix) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t columns = n * parts, row = i / columns, column = i % columns;
  const int64_t to = row / frequencies, j = column / parts, from = column % parts;
  int64_t f = row % frequencies;
  const double sign = parts == 2 && 2 * f >= frequencies ? -1 : 1;
  if (sign < 0) f = frequencies - f;
  double s, c;
  sincospi(sign * 2 * static_cast<double>(f * j % n) / static_cast<double>(n), &s, &c);
  const double factor = is_alone(f, n) ? single : paired;
  matrix[i] = static_cast<T>(factor * (from == to ? c : to == 0 ? s : -s));
}

/// [O, A, B, I] as [O, A B, I]; a copy if it does not lie so.
View joined(const View& v, Scratch& scratch) {
  View whole = v;
  if (v.size(1) > 1 && v.size(2) > 1 && v.stride(1) != v.size(2) * v.stride(2)) {
    const int64_t bytes = numel(v.shape) * item_size(v.dtype);
    whole = {scratch.take<unsigned char>(bytes), v.dtype, v.shape, dense_strides(v.shape)};
    cuda_pointwise.copy(v, whole);
  }
  return {whole.data,
          v.dtype,
          {v.size(0), v.size(1) * v.size(2), v.size(3)},
          {whole.stride(0), whole.stride(v.size(2) == 1 ? 1 : 2), whole.stride(3)}};
}

/// y = matrix x, or x = its transpose times y.
void modes_product(const char* op, bool to_modes, double single, double paired, const View& x,
                   const View& y) {
  if (numel(to_modes ? y.shape : x.shape) == 0) return;
  Scratch scratch;
  const int64_t rows = y.size(1) * y.size(2), columns = x.size(1) * x.size(2);
  const uint32_t count = count32(op, rows * columns);
  View matrix{nullptr, x.dtype, {x.size(0), rows, columns}, {0, columns, 1}};
  dispatch<float, double>(x.dtype, op, [&]<class T>(Type<T>) {
    matrix.data = scratch.take<T>(count);
    launch(fill_modes<T>, static_cast<uint32_t>(ceil_div(count, kThreads)), kThreads, 0, stream(op),
           count, x.size(1), x.size(2), y.size(2), single, paired, matrix.as<T>());
  });
  if (to_modes) {
    cuda_gemm.matmul(matrix, joined(x, scratch), {}, joined(y, scratch));
  } else {
    const View transpose{matrix.data, x.dtype, {x.size(0), columns, rows}, {0, 1, columns}};
    cuda_gemm.matmul(transpose, joined(y, scratch), {}, joined(x, scratch));
  }
}

void low_modes(double single, double paired, const View& x, const View& y) {
  modes_product("low_modes", true, single, paired, x, y);
}
void from_low_modes(double single, double paired, const View& y, const View& x) {
  modes_product("from_low_modes", false, single, paired, x, y);
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

const FftKernels cuda_fft{.fft = cuda::fft,
                          .rfft = cuda::rfft,
                          .irfft = cuda::irfft,
                          .mode_matmul = cuda::mode_matmul,
                          .low_modes = cuda::low_modes,
                          .from_low_modes = cuda::from_low_modes};

}  // namespace brume
