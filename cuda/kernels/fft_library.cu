// Transforms by cuFFT, and what it does not do of them: factors, lines that do not lie at one
// distance from each other, imaginary parts that are not to be read.

#include <brume/cuda/kernels/fft_library.h>

#include <optional>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

using Form = LineTransform::Form;

/// One side of a transform: lines of `length` numbers along an axis of a view of `rank` axes,
/// beside the one for the two parts.
struct Side {
  View view;
  int axis, rank;
  bool is_complex() const { return view.rank() > rank; }
  int64_t length() const { return view.size(axis); }
  int64_t step() const { return view.stride(axis); }
  int64_t part() const { return is_complex() ? view.stride(-1) : 0; }
};

/// The same lines, one behind the other.
Side packed(const Side& like, Scratch& scratch) {
  Shape shape = like.view.shape;
  shape.erase(like.axis);
  shape.insert(like.rank - 1, like.length());
  Strides strides = dense_strides(shape);
  const int64_t step = strides[like.rank - 1];
  strides.erase(like.rank - 1);
  strides.insert(like.axis, step);
  const int64_t bytes = numel(shape) * item_size(like.view.dtype);
  return {{scratch.take<unsigned char>(bytes), like.view.dtype, like.view.shape, strides},
          like.axis,
          like.rank};
}

/// Lines as cuFFT reads them; none if it cannot.
std::optional<LibraryTransform::Lines> as_it_lies(const Side& side) {
  const View& v = side.view;
  // Real numbers may be read in pairs, too.
  const int64_t parts = side.is_complex() ? 2 : 1, pair = 2 * item_size(v.dtype);
  if (reinterpret_cast<uintptr_t>(v.data) % static_cast<uintptr_t>(pair) != 0) return {};
  if (parts == 2 && side.part() != 1) return {};
  LibraryTransform::Lines lines{v.data, side.step(), 0};
  int64_t next = 0;  // the distance of the next axis
  for (int i = side.rank; i-- > 0;) {
    if (i == side.axis || v.size(i) == 1) continue;
    if (lines.distance == 0) lines.distance = next = v.stride(i);
    if (v.stride(i) != next) return {};
    next *= v.size(i);
  }
  if (lines.distance == 0) lines.distance = side.length() * lines.step;  // a single line
  if (lines.step <= 0 || lines.distance <= 0) return {};
  if (lines.step % parts != 0 || lines.distance % parts != 0) return {};
  lines.step /= parts;
  lines.distance /= parts;
  return lines;
}

/// What frequencies are multiplied by; those without a mirror image may lose their imaginary parts.
struct Weights {
  int64_t n;
  double factor, paired = 1;
  bool drops_imaginary = false;
};

// lines: x, y, which may be the same. A thread takes a number.
template <class T>
__global__ void __launch_bounds__(kThreads)
    weigh_lines(Steps<2> lines, int64_t length, int64_t x_step, int64_t x_part, int64_t y_step,
                int64_t y_part, Weights w) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t line = i / length, k = i - line * length;
  if (line >= lines.count) return;
  int64_t at[2];
  lines.locate<1>(static_cast<uint32_t>(line), at);
  const T* x = static_cast<const T*>(lines.data[0]) + at[0] + k * x_step;
  T* y = static_cast<T*>(lines.data[1]) + at[1] + k * y_step;
  const bool alone = k == 0 || 2 * k == w.n;
  const T factor = static_cast<T>(alone ? w.factor : w.factor * w.paired);
  y[0] = factor * x[0];
  if (y_part != 0) y[y_part] = alone && w.drops_imaginary ? T(0) : factor * x[x_part];
}

void weigh(const char* op, const Side& x, const Side& y, const Weights& w) {
  Steps<2> lines;
  int64_t count = 1;
  for (int i = x.rank; i-- > 0;)
    if (i != x.axis) {
      add_axis(lines, x.view.size(i), {x.view.stride(i), y.view.stride(i)});
      count *= x.view.size(i);
    }
  lines.count = count32(op, count);
  lines.data[0] = x.view.data;
  lines.data[1] = y.view.data;
  dispatch<float, double>(x.view.dtype, op, [&]<class T>(Type<T>) {
    launch(weigh_lines<T>, count32(op, ceil_div(count * x.length(), kThreads)), kThreads, 0,
           stream(op), lines, x.length(), x.step(), x.part(), y.step(), y.part(), w);
  });
}

}  // namespace

bool transform_by_library(const char* op, const LineTransform& f, int axis, const View& x,
                          const View& y) {
  if (f.n == 1 || (x.dtype != DType::f32 && x.dtype != DType::f64)) return false;
  if (!has_fft_library()) return false;
  const int rank = f.form == Form::from_real ? x.rank() : x.rank() - 1;
  const Side from{x, axis, rank}, to{y, axis, rank};
  const bool to_real = f.form == Form::to_real;
  Scratch scratch;
  // cuFFT writes into what it makes real numbers of.
  auto source = to_real ? std::nullopt : as_it_lies(from);
  if (!source) {
    const Side copy = packed(from, scratch);
    weigh(op, from, copy,
          {.n = f.n, .factor = 1, .paired = to_real ? f.paired : 1, .drops_imaginary = to_real});
    source = as_it_lies(copy);
  }
  auto target = as_it_lies(to);
  const Side result = target ? to : packed(to, scratch);
  if (!target) target = as_it_lies(result);
  transform_by_library({.form = f.form,
                        .dtype = x.dtype,
                        .inverse = f.inverse,
                        .n = f.n,
                        .count = numel(x.shape) / x.size(axis) / (from.is_complex() ? 2 : 1),
                        .x = *source,
                        .y = *target},
                       stream(op));
  const double paired = f.form == Form::from_real ? f.paired : 1;
  if (result.view.data != y.data || f.factor != 1 || paired != 1)
    weigh(op, result, to, {.n = f.n, .factor = f.factor, .paired = paired});
  return true;
}

}  // namespace brume::cuda
