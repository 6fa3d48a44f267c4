#include <brume/autograd/ops/norm.h>

#include <brume/autograd/ops/first_order.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

const char* const kComposeNorm = "write the normalisation with mean, var and pointwise operations";

DType statistics_dtype(DType x) { return x == DType::f64 ? DType::f64 : DType::f32; }

View view_or_absent(const Tensor& x) { return x.defined() ? x.view() : View{}; }

// Absent terms pass; present ones must be of `wanted` shape and of x's dtype and device.
void check_term(const char* who, const char* what, const Tensor& term, const Shape& wanted,
                const Tensor& x) {
  if (!term.defined()) return;
  check(term.shape() == wanted, who, ": ", what, " is ", term.shape(), ", wanted ", wanted,
        " for x ", x.shape());
  check<DTypeError>(term.dtype() == x.dtype(), who, ": ", what, " is ", term.dtype(), " and x ",
                    x.dtype());
  check<DeviceError>(term.device() == x.device(), who, ": ", what, " is on ", term.device(),
                     " and x on ", x.device());
}

void check_eps(const char* who, double eps) {
  check(eps >= 0, who, ": eps must not be negative, got ", eps);
}

// Channels side by side, as the kernels want them; lines may be apart (a slice of [B, 2 C]).
Tensor packed_channels(const Tensor& term) {
  if (!term.defined() || term.shape().back() <= 1 || term.strides().back() == 1) return term;
  return relayout(term, Layout::row_major);
}

Tensor empty_if(bool wanted, const Tensor& like) {
  if (!wanted || !like.defined()) return {};
  return empty(like.shape(), {.dtype = like.dtype(), .device = like.device()});
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                  const GroupNormOptions& o) {
  check(x.rank() >= 2 && x.rank() <= 5, "group_norm: x [B, C, ...] has rank 2 to 5, got ",
        x.shape());
  const int64_t batch = x.size(0), channels = x.size(1);
  check(groups >= 1 && channels % groups == 0, "group_norm: ", groups,
        " groups do not divide the channels of x ", x.shape());
  check_eps("group_norm", o.eps);
  check_term("group_norm", "weight", weight, {channels}, x);
  check_term("group_norm", "bias", bias, {channels}, x);
  check_term("group_norm", "add", o.add, {batch, channels}, x);
  check_term("group_norm", "scale", o.scale, {batch, channels}, x);
  check_term("group_norm", "shift", o.shift, {batch, channels}, x);

  const Tensor images = relayout(x, Layout::channels_last);
  const Tensor terms[] = {packed_channels(weight), packed_channels(bias), packed_channels(o.add),
                          packed_channels(o.scale), packed_channels(o.shift)};
  const auto views = [](const auto& t) {
    return GroupNormTerms{.weight = view_or_absent(t[0]),
                          .bias = view_or_absent(t[1]),
                          .add = view_or_absent(t[2]),
                          .scale = view_or_absent(t[3]),
                          .shift = view_or_absent(t[4])};
  };
  const GroupNormParams params{.groups = groups,
                               .eps = o.eps,
                               .unbiased = o.unbiased,
                               .silu = o.activation == NormActivation::silu};
  Tensor y =
      empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .layout = Layout::channels_last});
  const TensorOptions statistics{.dtype = statistics_dtype(x.dtype()), .device = x.device()};
  const Tensor mean = empty({batch, groups}, statistics), rstd = empty({batch, groups}, statistics);
  kernels(x).norm.group_norm(images.view(), views(terms), params, y.view(), mean.view(),
                             rstd.view());

  const auto backward = [=, x = Saved(images), w = Saved(terms[0]), b = Saved(terms[1]),
                         add = Saved(terms[2]), scale = Saved(terms[3]),
                         shift = Saved(terms[4])](const Tensor& g, Wanted wanted) {
    const Tensor xs = x.get();
    const Tensor t[] = {w.get(), b.get(), add.get(), scale.get(), shift.get()};
    const Tensor gy = relayout(g, Layout::channels_last);
    Tensor gx = empty_like(xs);
    Tensor gt[5];
    for (size_t i = 0; i < 5; ++i) gt[i] = empty_if(wanted[i + 1], t[i]);
    kernels(xs).norm.group_norm_backward(xs.view(), views(t), mean.view(), rstd.view(), params,
                                         gy.view(), gx.view(), views(gt));
    return first_order("group_norm_backward", kComposeNorm, {gx, gt[0], gt[1], gt[2], gt[3], gt[4]},
                       {g, xs, t[0], t[1], t[2], t[3], t[4]});
  };
  return record("group_norm", y, {x, weight, bias, o.add, o.scale, o.shift}, backward);
}

namespace {

// All axes but the last as one.
View as_rows(const Tensor& x) {
  const int64_t width = x.shape().back();
  return {.data = x.data(),
          .dtype = x.dtype(),
          .shape = {width > 0 ? x.numel() / width : 0, width},
          .strides = {width, 1}};
}

// [D] or [G, D] as [G, D].
View as_lines(const Tensor& term) {
  if (!term.defined()) return {};
  if (term.rank() == 2) return term.view();
  return {.data = term.data(),
          .dtype = term.dtype(),
          .shape = {1, term.numel()},
          .strides = {term.numel(), 1}};
}

// Normalised rows times (weight + offset) plus bias; see NormKernels::row_norm.
Tensor row_norm(const char* who, const char* who_backward, const Tensor& x, const Tensor& weight,
                const Tensor& bias, const RowNormParams& params) {
  check_eps(who, params.eps);
  const Tensor rows = relayout(x, Layout::row_major);
  const Tensor w_packed = packed_channels(weight), b_packed = packed_channels(bias);
  const View view = as_rows(rows);
  const TensorOptions statistics{.dtype = statistics_dtype(x.dtype()), .device = x.device()};
  const Tensor mean = params.center ? empty({view.shape[0]}, statistics) : Tensor{};
  const Tensor rstd = empty({view.shape[0]}, statistics);
  const Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).norm.row_norm(view, as_lines(w_packed), as_lines(b_packed), params, as_rows(y),
                           view_or_absent(mean), rstd.view());

  const auto backward = [=, x = Saved(rows), w = Saved(w_packed), b = Saved(b_packed)](
                            const Tensor& g, Wanted wanted) {
    const Tensor xs = x.get(), ws = w.get(), gy = relayout(g, Layout::row_major);
    const Tensor gx = empty(xs.shape(), {.dtype = xs.dtype(), .device = xs.device()});
    const Tensor gw = empty_if(wanted[1], ws), gb = empty_if(wanted[2], b.get());
    kernels(xs).norm.row_norm_backward(as_rows(xs), as_lines(ws), view_or_absent(mean), rstd.view(),
                                       params, as_rows(gy), as_rows(gx), as_lines(gw),
                                       as_lines(gb));
    return first_order(who_backward, kComposeNorm, {gx, gw, gb}, {g, xs, ws});
  };
  return record(who, y, {x, weight, bias}, backward);
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check(x.rank() >= 1, "layer_norm: needs an axis to normalise, x is ", x.shape());
  check_term("layer_norm", "weight", weight, {x.shape().back()}, x);
  check_term("layer_norm", "bias", bias, {x.shape().back()}, x);
  return row_norm("layer_norm", "layer_norm_backward", x, weight, bias, {.eps = eps});
}

Tensor layer_norm_modulate(const Tensor& x, const Tensor& scale, const Tensor& shift, double eps) {
  check(x.rank() >= 2, "layer_norm_modulate: x [B, ..., D] has rank 2 or more, got ", x.shape());
  const Shape lines{x.size(0), x.shape().back()};
  check_term("layer_norm_modulate", "scale", scale, lines, x);
  check_term("layer_norm_modulate", "shift", shift, lines, x);
  return row_norm("layer_norm_modulate", "layer_norm_modulate_backward", x, scale, shift,
                  {.eps = eps, .weight_offset = 1});
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check(x.rank() >= 1, "rms_norm: needs an axis to normalise, x is ", x.shape());
  check_term("rms_norm", "weight", weight, {x.shape().back()}, x);
  return row_norm("rms_norm", "rms_norm_backward", x, weight, {}, {.eps = eps, .center = false});
}

Tensor softmax(const Tensor& x) {
  check(x.rank() >= 1, "softmax: needs an axis, x is ", x.shape());
  const Tensor rows = relayout(x, Layout::row_major);
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).norm.softmax(as_rows(rows), as_rows(y));
  return record("softmax", y, {x}, [y = SavedResult(y)](const Tensor& g) {
    const Tensor p = y.get(), pg = p * g;
    return Grads{pg - p * sum(pg, -1, keep_axis)};
  });
}

Tensor log_softmax(const Tensor& x) {
  check(x.rank() >= 1, "log_softmax: needs an axis, x is ", x.shape());
  const Tensor rows = relayout(x, Layout::row_major);
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).norm.log_softmax(as_rows(rows), as_rows(y));
  return record("log_softmax", y, {x}, [y = SavedResult(y)](const Tensor& g) {
    return Grads{g - exp(y.get()) * sum(g, -1, keep_axis)};
  });
}

}  // namespace brume
