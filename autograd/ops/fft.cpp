#include <brume/autograd/ops/fft.h>

#include <cmath>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

// A new tensor whose axes lie in memory in the order of `like`'s.
Tensor empty_ordered(const Tensor& like, Shape shape, bool complex) {
  const Strides strides = dense_strides_like(shape, like.strides());
  const Tensor flat =
      empty({numel(shape) * (complex ? 2 : 1)}, {.dtype = like.dtype(), .device = like.device()});
  if (!complex) return alias(flat, shape, strides);
  Strides pairs = strides;
  for (int i = 0; i < pairs.rank(); ++i) pairs[i] *= 2;
  pairs.insert(pairs.rank(), 1);
  shape.insert(shape.rank(), 2);
  return alias(flat, shape, pairs);
}

// x without its complex axis, for its sizes and the order of its axes.
Tensor real_part(const Tensor& x) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(shape.rank() - 1);
  strides.erase(strides.rank() - 1);
  return alias(x, shape, strides);
}

// Unnormalised transforms along one axis, each other's adjoints up to the weights of frequencies
// that stand for two.
Tensor transform(const Tensor& x, bool inverse, int axis, double factor) {
  const Tensor parts = real_part(x), y = empty_ordered(parts, parts.shape(), true);
  kernels(x).fft.fft(inverse, axis, factor, x.view(), y.view());
  return record(inverse ? "ifft" : "fft", y, {x},
                [=](const Tensor& g) { return Grads{transform(g, !inverse, axis, factor)}; });
}

Tensor real_inverse(const Tensor& x, int64_t n, int axis, double factor, double paired);

Tensor real_forward(const Tensor& x, int axis, double factor, double paired) {
  const int64_t n = x.size(axis);
  Shape shape = x.shape();
  shape[axis] = n / 2 + 1;
  const Tensor y = empty_ordered(x, shape, true);
  kernels(x).fft.rfft(axis, factor, paired, x.view(), y.view());
  // The inverse reads each paired frequency twice.
  return record("rfft", y, {x}, [=](const Tensor& g) {
    return Grads{real_inverse(g, n, axis, factor, paired / 2)};
  });
}

Tensor real_inverse(const Tensor& x, int64_t n, int axis, double factor, double paired) {
  const Tensor parts = real_part(x);
  Shape shape = parts.shape();
  shape[axis] = n;
  const Tensor y = empty_ordered(parts, shape, false);
  kernels(x).fft.irfft(axis, factor, paired, x.view(), y.view());
  return record("irfft", y, {x},
                [=](const Tensor& g) { return Grads{real_forward(g, axis, factor, 2 * paired)}; });
}

// The axes as places, in order. `rank` counts no complex axis.
std::vector<int> places(const std::vector<int64_t>& axes, int rank, const char* who) {
  check(!axes.empty(), who, ": no axes are given");
  std::vector<int> out;
  for (const int64_t axis : axes) {
    out.push_back(wrap_axis(axis, rank, who));
    for (size_t i = 0; i + 1 < out.size(); ++i)
      check(out[i] != out.back(), who, ": the axis ", axis, " is named twice");
  }
  return out;
}

void check_complex(const Tensor& x, const char* who) {
  check(x.rank() >= 2 && x.size(-1) == 2, who,
        ": wants a complex tensor with a last axis of 2, got ", x.shape());
}

// x cut or filled up with zeros to `size` along an axis.
Tensor with_size(const Tensor& x, int axis, int64_t size, const char* who) {
  check(size >= 1, who, ": a length must be at least 1, got ", size);
  const int64_t now = x.size(axis);
  if (size == now) return x;
  if (size < now) return slice(x, axis, 0, size);
  std::vector<int64_t> amounts(static_cast<size_t>(2 * (x.rank() - axis)), 0);
  amounts.back() = size - now;
  return pad(x, amounts);
}

// The size asked for on the i-th of the axes.
int64_t size_of(const Tensor& x, const std::vector<int>& axes, size_t i, const FftOptions& o,
                const char* who) {
  check(o.sizes.empty() || o.sizes.size() == axes.size(), who, ": ", o.sizes.size(), " sizes for ",
        axes.size(), " axes");
  return o.sizes.empty() ? x.size(axes[i]) : o.sizes[i];
}

double factor_of(int64_t n, bool inverse, FftNorm norm) {
  const auto length = static_cast<double>(n);
  if (norm == FftNorm::ortho) return 1 / std::sqrt(length);
  return inverse == (norm == FftNorm::backward) ? 1 / length : 1;
}

// Modes next to each other, and the parts in lines of their own.
bool is_parted(const Tensor& x) { return x.strides()[2] == 1; }
bool is_paired(const Tensor& x) { return x.strides()[2] == 2 && x.strides()[3] == 1; }
Tensor empty_parted(const Tensor& like, int64_t rows, int64_t columns) {
  return transpose(empty({rows, columns, 2, like.size(2)}, {like.dtype(), like.device()}), 2, 3);
}
Tensor parted(const Tensor& x) {
  const NoGrad no_grad;
  const Tensor y = empty_parted(x, x.size(0), x.size(1));
  kernels(x).pointwise.copy(x.view(), y.view());
  return y;
}

enum class Parts { in_lines, in_pairs };

// y = x w' mode by mode; w' is w or its conjugate, and so is y.
Tensor mode_product(const Tensor& x, const Tensor& w, bool conjugate_w, bool conjugate_y,
                    Parts result) {
  const Shape shape{x.size(0), w.size(1), x.size(2), 2};
  const Tensor y = result == Parts::in_pairs ? empty(shape, {x.dtype(), x.device()})
                                             : empty_parted(x, shape[0], shape[1]);
  const Tensor left = is_parted(x) ? x : parted(x);
  const Tensor right = is_parted(w) || is_paired(w) ? w : parted(w);
  kernels(x).fft.mode_matmul(conjugate_w, conjugate_y, left.view(), right.view(), y.view());
  // With z = x w' and its gradient h: x takes h conj(w'), w' takes conj(x) h.
  return record(
      "mode_matmul", y, {x, w}, [=, x = Saved(x), w = Saved(w)](const Tensor& g, Wanted wanted) {
        return Grads{wanted[0]
                         ? mode_product(g, transpose(w.get(), 0, 1), conjugate_w == conjugate_y,
                                        conjugate_y, Parts::in_lines)
                         : Tensor{},
                     wanted[1] ? mode_product(transpose(x.get(), 0, 1), g, !conjugate_y,
                                              !conjugate_w, Parts::in_pairs)
                               : Tensor{}};
      });
}

// x with a stride of 1 along its last axis.
Tensor in_columns(const Tensor& x) { return x.strides()[3] == 1 ? x : contiguous(x); }

// How many an axis of n has: of a real signal, or of a complex one.
int64_t frequencies(int64_t n, int64_t parts) {
  if (n < 1) return 0;
  return parts == 1 ? n / 2 + 1 : n;
}

Tensor complex_axes(Tensor x, const std::vector<int>& axes, size_t count, bool inverse,
                    const FftOptions& o, const char* who) {
  for (size_t i = 0; i < count; ++i) {
    const int64_t n = size_of(x, axes, i, o, who);
    x = transform(with_size(x, axes[i], n, who), inverse, axes[i], factor_of(n, inverse, o.norm));
  }
  return x;
}

}  // namespace

Tensor fft(const Tensor& x, const std::vector<int64_t>& axes, const FftOptions& o) {
  check_complex(x, "fft");
  const std::vector<int> at = places(axes, x.rank() - 1, "fft");
  return complex_axes(x, at, at.size(), false, o, "fft");
}

Tensor ifft(const Tensor& x, const std::vector<int64_t>& axes, const FftOptions& o) {
  check_complex(x, "ifft");
  const std::vector<int> at = places(axes, x.rank() - 1, "ifft");
  return complex_axes(x, at, at.size(), true, o, "ifft");
}

Tensor rfft(const Tensor& x, const std::vector<int64_t>& axes, const FftOptions& o) {
  const std::vector<int> at = places(axes, x.rank(), "rfft");
  const size_t last = at.size() - 1;
  const int64_t n = size_of(x, at, last, o, "rfft");
  const Tensor y =
      real_forward(with_size(x, at[last], n, "rfft"), at[last], factor_of(n, false, o.norm), 1);
  return complex_axes(y, at, last, false, o, "rfft");
}

Tensor irfft(const Tensor& x, const std::vector<int64_t>& axes, const FftOptions& o) {
  check_complex(x, "irfft");
  const std::vector<int> at = places(axes, x.rank() - 1, "irfft");
  const size_t last = at.size() - 1;
  const Tensor y = complex_axes(x, at, last, true, o, "irfft");
  const int64_t n = o.sizes.empty() ? 2 * (y.size(at[last]) - 1) : o.sizes[last];
  check(n >= 1, "irfft: a length must be at least 1, got ", n);
  return real_inverse(with_size(y, at[last], n / 2 + 1, "irfft"), n, at[last],
                      factor_of(n, true, o.norm), 1);
}

Tensor complex_multiply(const Tensor& a, const Tensor& b) {
  check_complex(a, "complex_multiply");
  check_complex(b, "complex_multiply");
  const Tensor ar = select(a, -1, 0), ai = select(a, -1, 1);
  const Tensor br = select(b, -1, 0), bi = select(b, -1, 1);
  return stack({ar * br - ai * bi, ar * bi + ai * br}, -1);
}

Tensor complex_matmul(const Tensor& x, const Tensor& w) {
  check(x.rank() == 4 && w.rank() == 4 && x.size(3) == 2 && w.size(3) == 2 &&
            x.size(0) == w.size(0) && x.size(2) == w.size(1),
        "complex_matmul: x ", x.shape(), " and w ", w.shape(),
        " do not fit; wants [K, N, I, 2] and [K, I, O, 2]");
  const int64_t k = w.size(0), in = w.size(1), out = w.size(2);
  // i w, so that pairs of rows times pairs of columns are one real product.
  const Tensor turned = stack({-select(w, 3, 1), select(w, 3, 0)}, 3);
  const Tensor pairs = reshape(stack({w, turned}, 2), {k, 2 * in, 2 * out});
  return reshape(matmul(reshape(x, {k, x.size(1), 2 * in}), pairs), {k, x.size(1), out, 2});
}

Tensor mode_matmul(const Tensor& x, const Tensor& w) {
  check(x.rank() == 4 && w.rank() == 4 && x.size(3) == 2 && w.size(3) == 2 &&
            x.size(2) == w.size(2) && x.size(1) == w.size(0),
        "mode_matmul: x ", x.shape(), " and w ", w.shape(),
        " do not fit; wants [N, I, K, 2] and [I, O, K, 2]");
  check_same_dtype("mode_matmul", x, "w", w);
  check_same_device("mode_matmul", x, "w", w);
  return mode_product(x, w, false, false, Parts::in_lines);
}

Tensor low_modes(const Tensor& x, int64_t modes, const ModeFactors& factors) {
  check(x.rank() == 4 && (x.size(2) == 1 || x.size(2) == 2), "low_modes: wants [O, n, 1, I] or ",
        "[O, n, 2, I], got ", x.shape());
  const int64_t n = x.size(1), parts = x.size(2), most = frequencies(n, parts);
  check(modes >= 1 && modes <= most, "low_modes: an axis of ", n, " has ", most,
        " frequencies, and ", modes, " are wanted");
  const Shape shape{x.size(0), 2, parts * modes, x.size(3)};
  const Tensor rows = in_columns(x), y = empty(shape, {x.dtype(), x.device()});
  kernels(x).fft.low_modes(factors.single, factors.paired, rows.view(), y.view());
  return record("low_modes", y, {rows},
                [=](const Tensor& g) { return Grads{from_low_modes(g, n, parts, factors)}; });
}

Tensor from_low_modes(const Tensor& y, int64_t n, int64_t parts, const ModeFactors& factors) {
  check((parts == 1 || parts == 2) && y.rank() == 4 && y.size(1) == 2 && y.size(2) % parts == 0,
        "from_low_modes: wants [O, 2, F, I] and 1 part or 2 with an even F, got ", y.shape(),
        " and ", parts);
  const int64_t modes = y.size(2) / parts, most = frequencies(n, parts);
  check(modes >= 1 && modes <= most, "from_low_modes: an axis of ", n, " has ", most,
        " frequencies, not ", modes);
  const Shape shape{y.size(0), n, parts, y.size(3)};
  const Tensor rows = in_columns(y), x = empty(shape, {y.dtype(), y.device()});
  kernels(y).fft.from_low_modes(factors.single, factors.paired, rows.view(), x.view());
  return record("from_low_modes", x, {rows},
                [=](const Tensor& g) { return Grads{low_modes(g, modes, factors)}; });
}

}  // namespace brume
