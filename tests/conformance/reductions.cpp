// Sums, extrema, statistics and scans along axes.

#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"
#include "tests/conformance/scope.h"

namespace brume::conformance {
namespace {

// `dim`: missing or empty means all axes.
Axes axes(Arguments& a) { return a.integers("dim", {}); }
KeepAxis keep(Arguments& a) { return KeepAxis(a.flag("keepdim", false)); }

// The input, converted to `dtype` if one is given.
Tensor input(Arguments& a) {
  const Tensor x = a.tensor("input");
  return cast(x, a.dtype("dtype", x.dtype()));
}

// Axes of a complex tensor, counted without its last one.
Axes axes_of(Arguments& a, const Array& x) {
  const int rank = x.tensor.rank() - (x.complex ? 1 : 0);
  std::vector<int64_t> out;
  for (const int64_t axis : axes(a).axes) out.push_back(wrap_axis(axis, rank, "dim"));
  if (x.complex && out.empty())
    for (int i = 0; i < rank; ++i) out.push_back(i);
  return out;
}

Value total(Arguments& a) {
  const Array& x = a.array("input");
  const Tensor values = x.complex ? x.tensor : input(a);
  if (x.complex && x.tensor.rank() == 1) return x;
  return Array{sum(values, axes_of(a, x), keep(a)), x.complex};
}

Value average(Arguments& a) {
  const Array& x = a.array("input");
  const Tensor values = x.complex ? x.tensor : input(a);
  if (x.complex && x.tensor.rank() == 1) return x;
  return Array{mean(values, axes_of(a, x), keep(a)), x.complex};
}

double correction(Arguments& a) { return a.number("correction", a.flag("unbiased", true) ? 1 : 0); }
Value variance(Arguments& a) { return var(a.tensor("input"), axes(a), correction(a), keep(a)); }
Value deviation(Arguments& a) {
  return sqrt(var(a.tensor("input"), axes(a), correction(a), keep(a)));
}

Value product(Arguments& a) { return prod(input(a), axes(a), keep(a)); }

template <Tensor (*f)(const Tensor&, const Axes&, KeepAxis)>
Value reduced(Arguments& a) {
  return f(a.tensor("input"), axes(a), keep(a));
}

// Along one axis: the values at the positions, which alone get a gradient, and the positions.
Value at_positions(const Tensor& x, const Tensor& kept_positions, int64_t axis, KeepAxis keep) {
  const Tensor values = gather(x, axis, kept_positions);
  if (keep) return Tensors{values, kept_positions};
  return Tensors{squeeze(values, axis), squeeze(kept_positions, axis)};
}

template <Tensor (*all)(const Tensor&, const Axes&, KeepAxis),
          Tensor (*position)(const Tensor&, int64_t, KeepAxis)>
Value extremum(Arguments& a) {
  const Tensor x = a.tensor("input");
  if (!a.has("dim")) return all(x, {}, drop_axis);
  const int64_t axis = a.integer("dim");
  return at_positions(x, position(x, axis, keep_axis), axis, keep(a));
}

template <Tensor (*f)(const Tensor&, int64_t, KeepAxis)>
Value position(Arguments& a) {
  const Tensor x = a.tensor("input");
  if (a.has("dim")) return f(x, a.integer("dim"), keep(a));
  const Tensor y = f(reshape(x, {-1}), 0, drop_axis);
  return a.flag("keepdim", false) ? reshape(y, Shape::filled(x.rank(), 1)) : y;
}

// The lower of the two middle elements; NaN if there is one (sorting puts NaN last).
Value median(Arguments& a) {
  const Tensor x = a.tensor("input");
  const bool flat = !a.has("dim");
  const Tensor line = flat ? reshape(x, {-1}) : x;
  const int64_t axis = flat ? 0 : a.integer("dim"), n = line.size(axis);
  const auto [values, positions] = sort(line, axis);
  const Tensor middle = slice(positions, axis, (n - 1) / 2, (n - 1) / 2 + 1);
  const Tensor last = slice(positions, axis, n - 1, n);
  const Tensor is_nan = ne(slice(values, axis, n - 1, n), slice(values, axis, n - 1, n));
  const Tensor place = where(is_nan, last, middle);
  if (flat) return squeeze(gather(line, 0, place), 0);
  return at_positions(line, place, axis, keep(a));
}

Value log_of_sum(Arguments& a) { return logsumexp(a.tensor("input"), axes(a), keep(a)); }

// `ord` or `p` of a vector norm; the names "fro" and "nuc" belong to torch.norm.
double order(Arguments& a, const char* name) {
  const Value* p = a.find(name);
  if (!p) return 2;
  if (const std::string* text = p->get_if<std::string>()) {
    check<Error>(*text == "fro", a.target(), ": the norm ", *text, " is not served");
    return 2;
  }
  return p->number(name);
}

Value norm_of(Arguments& a, const Tensor& x, const char* order_name) {
  const Tensor y = cast(x, a.dtype("dtype", x.dtype()));
  return vector_norm(y, order(a, order_name), axes(a), keep(a));
}
Value linear_algebra_norm(Arguments& a) { return norm_of(a, a.tensor("x"), "ord"); }
Value plain_norm(Arguments& a) { return norm_of(a, a.tensor("input"), "p"); }

Value running_sum(Arguments& a) {
  Tensor x = input(a);
  if (!is_floating(x.dtype())) x = convert(x, DType::i64);
  return cumsum(x, a.integer("dim"));
}
Value running_product(Arguments& a) { return cumprod(input(a), a.integer("dim")); }

// The reference lets a tensor without axes be reduced along its axis 0.
template <Value (*f)(Arguments&)>
Value any_rank(Arguments& a) {
  const char* name = a.has("x") ? "x" : "input";
  if (a.array(name).tensor.rank() != 0) return f(a);
  const Tensor line = reshape(a.tensor(name), {1});
  Map arguments = a.take_rest();
  arguments.emplace_back(name, line);
  Arguments inner(a.target(), std::move(arguments));
  Tensors results = flatten(f(inner));
  inner.finish();
  for (Tensor& y : results) y = reshape(y, {});
  return results;
}

}  // namespace

void add_reductions(Functions& t) {
  t["torch.sum"] = any_rank<total>;
  t["torch.mean"] = any_rank<average>;
  t["torch.var"] = any_rank<variance>;
  t["torch.std"] = any_rank<deviation>;
  t["torch.prod"] = any_rank<product>;
  t["torch.amax"] = any_rank<reduced<max>>;
  t["torch.amin"] = any_rank<reduced<min>>;
  t["torch.any"] = any_rank<reduced<any>>;
  t["torch.all"] = any_rank<reduced<all>>;
  t["torch.max"] = any_rank<extremum<max, argmax>>;
  t["torch.min"] = any_rank<extremum<min, argmin>>;
  t["torch.argmax"] = any_rank<position<argmax>>;
  t["torch.argmin"] = any_rank<position<argmin>>;
  t["torch.median"] = any_rank<median>;
  t["torch.logsumexp"] = any_rank<log_of_sum>;
  t["torch.linalg.vector_norm"] = any_rank<linear_algebra_norm>;
  t["torch.norm"] = any_rank<plain_norm>;
  t["torch.cumsum"] = any_rank<running_sum>;
  t["torch.cumprod"] = any_rank<running_product>;
}

}  // namespace brume::conformance
