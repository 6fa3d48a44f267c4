// Normalisations and softmax.

#include <limits>

#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

// [C] as [1, C, 1, ...], to stand beside x.
Tensor per_channel(const Tensor& c, int rank) {
  Shape shape = Shape::filled(rank, 1);
  shape[1] = c.numel();
  return reshape(c, shape);
}

// x as [rows, D] with its last axes joined, as far as normalized_shape says.
Tensor rows(Arguments& a, const Tensor& x) {
  const std::vector<int64_t> inner = a.integers("normalized_shape");
  int64_t width = 1;
  for (size_t i = 0; i < inner.size(); ++i) {
    const int64_t axis = static_cast<int64_t>(i) - static_cast<int64_t>(inner.size());
    check<Error>(x.size(axis) == inner[i], a.target(), ": normalized_shape does not fit ",
                 x.shape());
    width *= inner[i];
  }
  return inner.size() == 1 ? x : reshape(x, {width > 0 ? x.numel() / width : 0, width});
}
Tensor flat(const Tensor& w) { return w.defined() && w.rank() != 1 ? reshape(w, {-1}) : w; }

Value layer(Arguments& a) {
  const Tensor x = a.tensor("input");
  return reshape(layer_norm(rows(a, x), flat(a.optional_tensor("weight")),
                            flat(a.optional_tensor("bias")), a.number("eps", 1e-5)),
                 x.shape());
}

Value rms(Arguments& a) {
  const Tensor x = a.tensor("input");
  const double epsilon = x.dtype() == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                 : std::numeric_limits<float>::epsilon();
  return reshape(rms_norm(rows(a, x), flat(a.optional_tensor("weight")), a.number("eps", epsilon)),
                 x.shape());
}

Value group(Arguments& a) {
  return group_norm(a.tensor("input"), a.optional_tensor("weight"), a.optional_tensor("bias"),
                    a.integer("num_groups"), {.eps = a.number("eps", 1e-5)});
}

Tensor affine(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = x;
  if (weight.defined()) y = y * per_channel(weight, x.rank());
  if (bias.defined()) y = y + per_channel(bias, x.rank());
  return y;
}

// With statistics of the batch or with running ones.
Value batch(Arguments& a, bool use_input) {
  const Tensor x = a.tensor("input");
  const Tensor running_mean = a.optional_tensor("running_mean"),
               running_var = a.optional_tensor("running_var");
  a.ignore("momentum");  // moves the running statistics, which are no result
  Tensor m, v;
  if (use_input) {
    std::vector<int64_t> others;
    for (int i = 0; i < x.rank(); ++i)
      if (i != 1) others.push_back(i);
    m = mean(x, others, keep_axis);
    v = var(x, others, 0, keep_axis);
  } else {
    m = per_channel(running_mean, x.rank());
    v = per_channel(running_var, x.rank());
  }
  return affine((x - m) / sqrt(v + a.number("eps", 1e-5)), a.optional_tensor("weight"),
                a.optional_tensor("bias"));
}

Value instance(Arguments& a) {
  if (!a.flag("use_input_stats", true)) return batch(a, false);
  for (const char* unused : {"running_mean", "running_var", "momentum"}) a.ignore(unused);
  const Tensor x = a.tensor("input");
  return group_norm(x, a.optional_tensor("weight"), a.optional_tensor("bias"), x.size(1),
                    {.eps = a.number("eps", 1e-5)});
}

Value unit_length(Arguments& a) {
  const Tensor x = a.tensor("input");
  const Tensor n = vector_norm(x, a.number("p", 2), a.integers("dim", {1}), keep_axis);
  return x / clamp_min(n, a.number("eps", 1e-12));
}

// Along any axis.
template <Tensor (*f)(const Tensor&)>
Value along_axis(Arguments& a) {
  const Tensor given = a.tensor("input");
  const Tensor x = cast(given, a.dtype("dtype", given.dtype()));
  a.ignore("_stacklevel");
  const int64_t dim = a.integer("dim");
  if (x.rank() == 0) return reshape(f(reshape(x, {1})), {});
  const int axis = wrap_axis(dim, x.rank(), "dim"), last = x.rank() - 1;
  return axis == last ? f(x) : transpose(f(transpose(x, axis, last)), axis, last);
}

}  // namespace

void add_norms(Functions& t) {
  t["torch.nn.functional.layer_norm"] = layer;
  t["torch.nn.functional.rms_norm"] = rms;
  t["torch.nn.functional.group_norm"] = group;
  t["torch.nn.functional.batch_norm"] = [](Arguments& a) {
    return batch(a, a.flag("training", false));
  };
  t["torch.nn.functional.instance_norm"] = instance;
  t["torch.nn.functional.normalize"] = unit_length;
  t["torch.softmax"] = along_axis<softmax>;
  t["torch.log_softmax"] = along_axis<log_softmax>;
  t["torch.nn.functional.softmax"] = along_axis<softmax>;
  t["torch.nn.functional.log_softmax"] = along_axis<log_softmax>;
}

}  // namespace brume::conformance
