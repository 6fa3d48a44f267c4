#include <brume/autograd/ops/reduce.h>

#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

// The shapes of a reduction's result, with the reduced axes at size 1 and without them.
struct Reduced {
  Shape kept, dropped;
  int64_t count = 1;  // elements per result

  Reduced(const Tensor& x, const Axes& axes, const char* who) : kept(x.shape()) {
    bool removed[kMaxRank] = {};
    for (int64_t axis : axes.axes) {
      const int at = wrap_axis(axis, x.rank(), who);
      check(!removed[at], who, ": axis ", axis, " is named twice");
      removed[at] = true;
    }
    for (int i = 0; i < x.rank(); ++i) {
      if (axes.axes.empty() || removed[i]) {
        count *= x.shape()[i];
        kept[i] = 1;
      } else {
        dropped.push_back(x.shape()[i]);
      }
    }
  }
  const Shape& shape(KeepAxis keep) const { return keep == keep_axis ? kept : dropped; }
};

Tensor run(ReduceOp op, double divisor, const Tensor& x, const Reduced& to, KeepAxis keep,
           DType result) {
  const Tensor y = empty(to.kept, {.dtype = result, .device = x.device()});
  kernels(x).reduce.reduce(op, divisor, x.view(), y.view());
  return keep == keep_axis ? y : alias(y, to.dropped, dense_strides(to.dropped));
}

// A sum of integers or truth values is an i64.
DType sum_dtype(const Tensor& x) { return is_floating(x.dtype()) ? x.dtype() : DType::i64; }
// What running sums and products are computed in.
DType scan_dtype(const Tensor& x) { return is_half(x.dtype()) ? DType::f32 : sum_dtype(x); }

Tensor extremum(const char* op, bool largest, const Tensor& x, const Axes& axes, KeepAxis keep) {
  const Reduced to(x, axes, op);
  check(to.count > 0 || numel(to.kept) == 0, op, ": nothing to choose from in ", x.shape());
  const Tensor y = run(largest ? ReduceOp::max : ReduceOp::min, 1, x, to, keep, x.dtype());
  return record(op, y, {x}, [x = Saved(x), y = SavedResult(y), axes, to](const Tensor& g) {
    const Tensor top = reshape(detach(y.get()), to.kept);
    const Tensor ties = brume::to(eq(detach(x.get()), top), g.dtype());
    return Grads{ties / sum(ties, axes, keep_axis) * reshape(g, to.kept)};
  });
}

Tensor arg_extremum(const char* op, bool largest, const Tensor& x, int64_t axis, KeepAxis keep) {
  const Reduced to(x, axis, op);
  check(to.count > 0 || numel(to.kept) == 0, op, ": nothing to choose from in ", x.shape());
  const Tensor y = empty(to.kept, {.dtype = DType::i64, .device = x.device()});
  const Tensor wide = is_half(x.dtype()) ? convert(x, DType::f32) : x;
  kernels(x).reduce.arg_extremum(largest, wrap_axis(axis, x.rank(), op), wide.view(), y.view());
  return keep == keep_axis ? y : alias(y, to.dropped, dense_strides(to.dropped));
}

// x moved by one place towards larger (1) or smaller (-1) positions; `fill` takes the free one.
Tensor shifted(const Tensor& x, int axis, int64_t by, double fill) {
  if (x.shape()[axis] == 0) return x;
  std::vector<int64_t> amounts(static_cast<size_t>(2 * (x.rank() - axis)), 0);
  amounts[amounts.size() - 2] = by;
  amounts[amounts.size() - 1] = -by;
  return pad(x, amounts, fill);
}

// y[i] = a[i] y[i-1] + b[i] from the front, or y[i] = a[i] y[i+1] + b[i] from the back. Without a:
// a running sum of b. Without b: a running product of a. The gradient of a recurrence is the
// recurrence in the other direction, so every order of derivative exists, and zeros do no harm.
Tensor recurrence(const char* op, const Tensor& a, const Tensor& b, int axis, bool backward) {
  const Tensor& x = a.defined() ? a : b;
  const Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).reduce.scan(a.defined() ? a.view() : View{}, b.defined() ? b.view() : View{}, axis,
                         backward, y.view());
  return record(op, y, {a, b},
                [op, a = Saved(a), has_b = b.defined(), y = SavedResult(y), axis, backward](
                    const Tensor& g, Wanted wanted) {
                  const int64_t ahead = backward ? -1 : 1;
                  const Tensor factor = a.get();
                  const Tensor gb =
                      recurrence(op, factor.defined() ? shifted(factor, axis, -ahead, 0) : Tensor{},
                                 g, axis, !backward);
                  Grads grads(2);
                  if (wanted[0] && factor.defined())
                    grads[0] = gb * shifted(y.get(), axis, ahead, has_b ? 0 : 1);
                  if (wanted[1]) grads[1] = gb;
                  return grads;
                });
}

// The product of all other elements of the same result: no division, so zeros do no harm.
Tensor product_of_others(const Tensor& x, const Axes& axes) {
  Dims order, inverse = Dims::filled(x.rank(), 0);
  Shape flat;
  for (bool reduced : {false, true})
    for (int i = 0; i < x.rank(); ++i) {
      bool named = axes.axes.empty();
      for (int64_t axis : axes.axes) named |= wrap_axis(axis, x.rank(), "prod") == i;
      if (named != reduced) continue;
      inverse[i] = order.rank();
      order.push_back(i);
      if (!reduced) flat.push_back(x.shape()[i]);
    }
  const Shape moved_shape = permute(x, order).shape();
  flat.push_back(x.numel() / std::max<int64_t>(numel(flat), 1));
  const Tensor rows = to(reshape(permute(x, order), flat), scan_dtype(x));  // [..., n]
  const int last = rows.rank() - 1;
  const Tensor before = shifted(recurrence("cumprod", rows, {}, last, false), last, 1, 1);
  const Tensor after = shifted(recurrence("cumprod", rows, {}, last, true), last, -1, 1);
  return to(permute(reshape(before * after, moved_shape), inverse), x.dtype());
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, KeepAxis keep) {
  const Reduced to(x, axes, "sum");
  const Tensor y = run(ReduceOp::sum, 1, x, to, keep, sum_dtype(x));
  return record("sum", y, {x}, [kept = to.kept, shape = x.shape()](const Tensor& g) {
    return Grads{expand(reshape(g, kept), shape)};
  });
}

Tensor mean(const Tensor& x, const Axes& axes, KeepAxis keep) {
  check<DTypeError>(is_floating(x.dtype()), "mean: wants a floating dtype, got ", x.dtype());
  const Reduced to(x, axes, "mean");
  const auto count = static_cast<double>(to.count);
  const Tensor y = run(ReduceOp::sum, count, x, to, keep, x.dtype());
  return record("mean", y, {x}, [kept = to.kept, shape = x.shape(), count](const Tensor& g) {
    return Grads{expand(reshape(g / count, kept), shape)};
  });
}

Tensor var(const Tensor& x, const Axes& axes, double correction, KeepAxis keep) {
  const auto count = static_cast<double>(Reduced(x, axes, "var").count);
  return sum(square(x - mean(x, axes, keep_axis)), axes, keep) / (count - correction);
}

Tensor prod(const Tensor& x, const Axes& axes, KeepAxis keep) {
  const Reduced to(x, axes, "prod");
  const Tensor y = run(ReduceOp::product, 1, x, to, keep, sum_dtype(x));
  return record("prod", y, {x}, [x = Saved(x), axes, kept = to.kept](const Tensor& g) {
    return Grads{product_of_others(x.get(), axes) * reshape(g, kept)};
  });
}

Tensor max(const Tensor& x, const Axes& axes, KeepAxis keep) {
  return extremum("max", true, x, axes, keep);
}
Tensor min(const Tensor& x, const Axes& axes, KeepAxis keep) {
  return extremum("min", false, x, axes, keep);
}
Tensor argmax(const Tensor& x, int64_t axis, KeepAxis keep) {
  return arg_extremum("argmax", true, x, axis, keep);
}
Tensor argmin(const Tensor& x, int64_t axis, KeepAxis keep) {
  return arg_extremum("argmin", false, x, axis, keep);
}

Tensor logsumexp(const Tensor& x, const Axes& axes, KeepAxis keep) {
  const Reduced to(x, axes, "logsumexp");
  const auto finite = [](const Tensor& t) { return where(isfinite(t), t, 0.0); };
  Tensor y;
  {
    const NoGrad no_grad;
    const Tensor shift = finite(max(x, axes, keep_axis));
    y = reshape(log(sum(exp(x - shift), axes, keep_axis)) + shift, to.shape(keep));
  }
  return record("logsumexp", y, {x},
                [x = Saved(x), y = SavedResult(y), kept = to.kept, finite](const Tensor& g) {
                  return Grads{exp(x.get() - reshape(finite(y.get()), kept)) * reshape(g, kept)};
                });
}

Tensor vector_norm(const Tensor& x, double p, const Axes& axes, KeepAxis keep) {
  if (p == 0) return sum(to(ne(x, 0.0), x.dtype()), axes, keep);
  if (p == 1) return sum(abs(x), axes, keep);
  if (std::isinf(p)) return p > 0 ? max(abs(x), axes, keep) : min(abs(x), axes, keep);
  const Reduced to(x, axes, "vector_norm");
  Tensor y;
  {
    const NoGrad no_grad;
    y = p == 2 ? sqrt(sum(square(x), axes, keep)) : pow(sum(pow(abs(x), p), axes, keep), 1 / p);
  }
  // At norm 0 the gradient is 0, one of the possible ones.
  return record("vector_norm", y, {x},
                [x = Saved(x), y = SavedResult(y), p, kept = to.kept](const Tensor& g) {
                  const Tensor v = x.get(), norm = y.get();
                  const Tensor scale = where(eq(norm, 0.0), 0.0, g * pow(norm, 1 - p));
                  const Tensor slope = p == 2 ? v : sign(v) * pow(abs(v), p - 1);
                  return Grads{slope * reshape(scale, kept)};
                });
}

Tensor any(const Tensor& x, const Axes& axes, KeepAxis keep) {
  return run(ReduceOp::any, 1, x, Reduced(x, axes, "any"), keep, DType::boolean);
}
Tensor all(const Tensor& x, const Axes& axes, KeepAxis keep) {
  return run(ReduceOp::all, 1, x, Reduced(x, axes, "all"), keep, DType::boolean);
}

Tensor cumsum(const Tensor& x, int64_t axis) {
  const int at = wrap_axis(axis, x.rank(), "cumsum");
  return to(recurrence("cumsum", {}, to(x, scan_dtype(x)), at, false), sum_dtype(x));
}
Tensor cumprod(const Tensor& x, int64_t axis) {
  const int at = wrap_axis(axis, x.rank(), "cumprod");
  return to(recurrence("cumprod", to(x, scan_dtype(x)), {}, at, false), sum_dtype(x));
}

}  // namespace brume
