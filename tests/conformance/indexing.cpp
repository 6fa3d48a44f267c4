// Selecting and placing by positions, slices and masks; sorting.

#include <algorithm>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

Tensor positions(int64_t n, Device device) {
  return arange(0, n, 1, {.dtype = DType::i64, .device = device});
}

// x[index]: what an index expression selects. It is found by applying it to the positions of x's
// elements, so reading and writing share one set of rules.

// An integer removes an axis, [start, stop(, step)] keeps it.
Tensor sliced(const Tensor& x, const List& items) {
  Tensor y = x;
  int axis = 0;
  for (const Value& item : items) {
    if (!item.get_if<List>()) {
      y = select(y, axis, item.integer("index"));
      continue;
    }
    const List& s = item.list("slice");
    const int64_t n = y.size(axis);
    const auto bound = [&](size_t i, int64_t otherwise) {
      if (i >= s.size() || s[i].is_null()) return otherwise;
      const int64_t at = s[i].integer("slice");
      return std::clamp(at < 0 ? at + n : at, int64_t{0}, n);
    };
    const int64_t start = bound(0, 0),
                  step = s.size() > 2 && !s[2].is_null() ? s[2].integer("step") : 1;
    y = slice(y, axis, start, std::max(start, bound(1, n)), step);
    ++axis;
  }
  return y;
}

// Integer tensors (or masks) that index the first axes together.
Tensor picked(const Tensor& x, const Tensors& indices) {
  Tensors parts;
  for (const Tensor& index : indices) {
    if (index.dtype() != DType::boolean) {
      parts.push_back(index);
      continue;
    }
    const Tensor found = nonzero(index);  // [count, rank]
    for (int64_t i = 0; i < found.size(1); ++i) parts.push_back(select(found, 1, i));
  }
  Shape shape;
  for (const Tensor& part : parts) shape = broadcast_shapes(shape, part.shape(), "index");
  // One position per row of x seen as [rows, rest].
  Tensor row = scalar(0, {.dtype = DType::i64, .device = x.device()});
  int64_t rows = 1;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t n = x.size(static_cast<int64_t>(i));
    const Tensor inside = convert(parts[i], DType::i64);
    row = row * static_cast<double>(n) +
          remainder(inside, static_cast<double>(std::max<int64_t>(n, 1)));
    rows *= n;
  }
  std::vector<int64_t> sizes(shape.begin(), shape.end()), flat{rows};
  for (int i = static_cast<int>(parts.size()); i < x.rank(); ++i) {
    sizes.push_back(x.shape()[i]);
    flat.push_back(x.shape()[i]);
  }
  const Tensor index = reshape(expand(row, shape), {-1});
  return reshape(index_select(reshape(x, Dims(flat)), 0, index), Dims(sizes));
}

Tensor indexed(const Tensor& x, const Value& index) {
  if (const Array* array = index.get_if<Array>()) return picked(x, {array->tensor});
  if (const Value* slices = index.find("slices")) return sliced(x, slices->list("slices"));
  if (const List* list = index.get_if<List>()) {
    const bool tensors = !list->empty() && list->front().get_if<Array>();
    if (!tensors) return sliced(x, *list);
    Tensors indices;
    for (const Value& item : *list) indices.push_back(item.array("index").tensor);
    return picked(x, indices);
  }
  return select(x, 0, index.integer("index"));
}

// x with `value` placed at (or added to) the elements that the index selects.
Tensor placed(const Tensor& x, const Value& index, const Tensor& value, bool add) {
  const Tensor at = indexed(reshape(positions(x.numel(), x.device()), x.shape()), index);
  Tensor source = value;
  while (source.rank() < at.rank()) source = unsqueeze(source, 0);
  source = reshape(expand(source, at.shape()), {-1});
  const Tensor flat = reshape(x, {-1}), where_to = reshape(at, {-1});
  return reshape(add ? index_add(flat, 0, where_to, source) : scatter(flat, 0, where_to, source),
                 x.shape());
}

// The operand that a number or a tensor stands for, in x's dtype.
Tensor filling(Arguments& a, std::string_view name, const Tensor& x) {
  if (a.is_tensor(name)) return cast(a.tensor(name), x.dtype());
  return scalar(a.number(name), {.dtype = x.dtype(), .device = x.device()});
}

// Cuts x's other axes to the index's: the reference lets an index be smaller.
Tensor cut(Tensor x, const Shape& to, int except) {
  for (int i = 0; i < to.rank(); ++i)
    if (i != except && x.shape()[i] != to[i]) x = slice(x, i, 0, to[i]);
  return x;
}

Value gathered(Arguments& a) {
  const Tensor x = a.tensor("input"), index = a.tensor("index");
  a.ignore("sparse_grad");
  const int axis = wrap_axis(a.integer("dim"), x.rank(), "dim");
  return gather(cut(x, index.shape(), axis), axis, index);
}

Value taken(Arguments& a) {
  Tensor x = a.tensor("input"), index = a.tensor("indices");
  if (!a.has("dim")) return gather(reshape(x, {-1}), 0, reshape(index, {-1}));
  const int axis = wrap_axis(a.integer("dim"), x.rank(), "dim");
  Shape of_x = x.shape(), of_index = index.shape();
  of_x[axis] = of_index[axis] = 1;
  Shape common = broadcast_shapes(of_x, of_index, "take_along_dim");
  common[axis] = x.shape()[axis];
  x = expand(x, common);
  common[axis] = index.shape()[axis];
  return gather(x, axis, expand(index, common));
}

// x with the corner that an index covers (all of `axis`, the index's size along the others)
// replaced.
Tensor with_corner(const Tensor& x, const Tensor& corner, const Shape& index, int axis) {
  if (corner.shape() == x.shape()) return corner;
  const Tensor all = reshape(positions(x.numel(), x.device()), x.shape());
  const Tensor at = reshape(cut(all, index, axis), {-1});
  return reshape(scatter(reshape(x, {-1}), 0, at, reshape(corner, {-1})), x.shape());
}

// scatter, where index may be smaller than x, and source larger than index, along the other axes.
Tensor scattered(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 ScatterReduce reduce, bool include_self) {
  const int axis = wrap_axis(dim, x.rank(), "dim");
  const Tensor corner = scatter(cut(x, index.shape(), axis), axis, index,
                                cut(source, index.shape(), -1), reduce, include_self);
  return with_corner(x, corner, index.shape(), axis);
}

// Products of what goes to one place: every place looks at every source. [..., J, I]
Tensor scatter_product(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                       bool include_self) {
  const int axis = wrap_axis(dim, x.rank(), "dim");
  const auto lines = [axis](const Tensor& t) { return move_axis(t, axis, -1); };
  const Tensor self = lines(cut(x, index.shape(), axis)), to = unsqueeze(lines(index), -2);
  const Tensor place = reshape(positions(self.size(-1), x.device()), {-1, 1});
  const Tensor hit = eq(expand(to, broadcast_shapes(to.shape(), place.shape(), "scatter")), place);
  const Tensor values = unsqueeze(lines(cut(source, index.shape(), -1)), -2);
  const Tensor products = prod(where(hit, expand(values, hit.shape()), 1.0), -1);
  const Tensor result = include_self ? self * products : where(any(hit, -1), products, self);
  return with_corner(x, move_axis(result, -1, axis), index.shape(), axis);
}

Value scatter_values(Arguments& a) {
  const Tensor x = a.tensor("input"), index = a.tensor("index");
  const bool from_tensor = a.is_tensor("src");
  const Tensor source =
      from_tensor ? a.tensor("src") : expand(filling(a, "value", x), index.shape());
  const std::string reduce = a.text("reduce", "");
  if (reduce == "multiply") return scatter_product(x, a.integer("dim"), index, source, true);
  check<Error>(reduce.empty() || reduce == "add", "torch.scatter: reduce ", reduce);
  return scattered(x, a.integer("dim"), index, source,
                   reduce.empty() ? ScatterReduce::replace : ScatterReduce::sum, true);
}

Value scatter_reduced(Arguments& a) {
  const std::string how = a.text("reduce", "");
  constexpr std::pair<std::string_view, ScatterReduce> known[] = {{"sum", ScatterReduce::sum},
                                                                  {"mean", ScatterReduce::mean},
                                                                  {"amax", ScatterReduce::max},
                                                                  {"amin", ScatterReduce::min}};
  for (const auto& [name, reduce] : known)
    if (name == how)
      return scattered(a.tensor("input"), a.integer("dim"), a.tensor("index"), a.tensor("src"),
                       reduce, a.flag("include_self", true));
  check<Error>(how == "prod", "torch.scatter_reduce: reduce ", how);
  return scatter_product(a.tensor("input"), a.integer("dim"), a.tensor("index"), a.tensor("src"),
                         a.flag("include_self", true));
}

Value masked_filled(Arguments& a) {
  const Tensor x = a.tensor("self");
  Tensor mask = a.tensor("mask");
  while (mask.rank() < x.rank()) mask = unsqueeze(mask, 0);
  return where(expand(mask, x.shape()), filling(a, "value", x), x);
}

Value masked_picked(Arguments& a) {
  const Tensor x = a.tensor("input"), mask = a.tensor("mask");
  const Shape shape = broadcast_shapes(x.shape(), mask.shape(), "masked_select");
  const auto fit = [&](Tensor t) {
    while (t.rank() < shape.rank()) t = unsqueeze(t, 0);
    return expand(t, shape);
  };
  return masked_select(fit(x), fit(mask));
}

Value nonzero_positions(Arguments& a) {
  const Tensor x = a.tensor("input");
  if (!a.flag("as_tuple", false)) return nonzero(x);
  const Tensor found = nonzero(x.rank() == 0 ? reshape(x, {1}) : x);
  Tensors out;
  for (int64_t i = 0; i < found.size(1); ++i) out.push_back(select(found, 1, i));
  return out;
}

Value search(Arguments& a) {
  Tensor sorted = a.tensor("sorted_sequence");
  const Tensor values = filling(a, a.has("input") ? "input" : "self", sorted);
  if (a.has("sorter")) sorted = gather(sorted, -1, a.tensor("sorter"));
  const bool right = a.flag("right", false) || a.text("side", "left") == "right";
  const Tensor y = searchsorted(sorted, values, right);
  return a.flag("out_int32", false) ? convert(y, DType::i32) : y;
}

Value count(Arguments& a) {
  const Tensor x = a.tensor("input");
  const Tensor counts = bincount(x, a.integer("minlength", 0));
  if (!a.has("weights")) return counts;
  const Tensor weights = a.tensor("weights");
  return index_add(zeros(counts.shape(), {.dtype = weights.dtype(), .device = x.device()}), 0, x,
                   weights);
}

Value pair(std::pair<Tensor, Tensor> both) { return Tensors{both.first, both.second}; }

}  // namespace

void add_indexing(Functions& t) {
  t["torch.Tensor.__getitem__"] = [](Arguments& a) -> Value {
    return indexed(a.tensor("self"), a.at("index"));
  };
  t["torch.Tensor.setitem"] = [](Arguments& a) -> Value {
    const Tensor x = a.tensor("self");
    return placed(x, a.at("index"), filling(a, "value", x), false);
  };
  t["torch.Tensor.index_put"] = [](Arguments& a) -> Value {
    const Tensor x = a.tensor("self");
    return placed(x, a.at("indices"), a.tensor("values"), a.flag("accumulate", false));
  };
  t["torch.Tensor.masked_fill"] = masked_filled;
  t["torch.masked_select"] = masked_picked;
  t["torch.nonzero"] = nonzero_positions;

  t["torch.gather"] = gathered;
  t["torch.take_along_dim"] = taken;
  t["torch.index_select"] = [](Arguments& a) -> Value {
    return index_select(a.tensor("input"), a.integer("dim"), reshape(a.tensor("index"), {-1}));
  };
  t["torch.index_add"] = [](Arguments& a) -> Value {
    Tensor source = a.tensor("source");
    if (const double alpha = a.number("alpha", 1); alpha != 1) source = source * alpha;
    return index_add(a.tensor("input"), a.integer("dim"), a.tensor("index"), source);
  };
  t["torch.scatter"] = scatter_values;
  t["torch.scatter_add"] = [](Arguments& a) -> Value {
    return scattered(a.tensor("input"), a.integer("dim"), a.tensor("index"), a.tensor("src"),
                     ScatterReduce::sum, true);
  };
  t["torch.scatter_reduce"] = scatter_reduced;
  t["torch.nn.functional.embedding"] = [](Arguments& a) -> Value {
    const Tensor weight = a.tensor("weight");
    int64_t padding = a.integer("padding_idx", -1);
    if (a.has("padding_idx") && padding < 0) padding += weight.size(0);
    return embedding(weight, a.tensor("input"), padding);
  };

  t["torch.sort"] = [](Arguments& a) -> Value {
    a.ignore("stable");  // ours always is
    return pair(sort(a.tensor("input"), a.integer("dim", -1), a.flag("descending", false)));
  };
  t["torch.argsort"] = [](Arguments& a) -> Value {
    a.ignore("stable");
    return sort(a.tensor("input"), a.integer("dim", -1), a.flag("descending", false)).second;
  };
  t["torch.topk"] = [](Arguments& a) -> Value {
    a.ignore("sorted");
    return pair(
        topk(a.tensor("input"), a.integer("k"), a.integer("dim", -1), a.flag("largest", true)));
  };
  t["torch.searchsorted"] = search;
  t["torch.bincount"] = count;
}

}  // namespace brume::conformance
