// Views, rearrangements, repetitions and ranges.

#include <algorithm>
#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

Shape shape(Arguments& a, std::string_view name) { return Dims(a.integers(name)); }

Tensor reshaped(const Tensor& x, const std::vector<int64_t>& sizes) {
  return reshape(x, Dims(sizes));
}

Value flattened(Arguments& a) {
  const Tensor x = a.tensor("input");
  if (x.rank() == 0) return reshape(x, {1});
  const int first = wrap_axis(a.integer("start_dim", 0), x.rank(), "start_dim");
  const int last = wrap_axis(a.integer("end_dim", -1), x.rank(), "end_dim");
  check<Error>(first <= last, "torch.flatten: start_dim is behind end_dim");
  std::vector<int64_t> sizes(x.shape().begin(), x.shape().begin() + first);
  int64_t joined = 1;
  for (int i = first; i <= last; ++i) joined *= x.shape()[i];
  sizes.push_back(joined);
  sizes.insert(sizes.end(), x.shape().begin() + last + 1, x.shape().end());
  return reshaped(x, sizes);
}

// Axes that are named and have another size than 1 stay.
Value squeezed(Arguments& a) {
  const Tensor x = a.tensor("input");
  std::vector<bool> named(static_cast<size_t>(x.rank()), !a.has("dim"));
  for (const int64_t axis : a.integers("dim", {}))
    named[static_cast<size_t>(wrap_axis(axis, x.rank(), "dim"))] = true;
  std::vector<int64_t> sizes;
  for (int i = 0; i < x.rank(); ++i)
    if (!named[static_cast<size_t>(i)] || x.shape()[i] != 1) sizes.push_back(x.shape()[i]);
  return reshaped(x, sizes);
}

// More sizes than axes put new axes in front; -1 keeps a size.
Tensor expanded(const Tensor& x, const Shape& sizes) {
  Tensor y = x;
  while (y.rank() < sizes.rank()) y = unsqueeze(y, 0);
  return expand(y, sizes);
}

Value moved(Arguments& a) {
  const Tensor x = a.tensor("input");
  const auto from = a.integers("source"), to = a.integers("destination");
  check<Error>(from.size() == to.size(), "torch.movedim: source and destination differ in length");
  std::vector<int64_t> axes(static_cast<size_t>(x.rank()), -1), rest;
  std::vector<bool> taken(axes.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const int source = wrap_axis(from[i], x.rank(), "source");
    axes[static_cast<size_t>(wrap_axis(to[i], x.rank(), "destination"))] = source;
    taken[static_cast<size_t>(source)] = true;
  }
  size_t next = 0;
  for (int64_t& axis : axes) {
    if (axis >= 0) continue;
    while (taken[next]) ++next;
    axis = static_cast<int64_t>(next++);
  }
  return permute(x, Dims(axes));
}

Tensors in_one_dtype(Tensors xs) {
  DType common = xs.at(0).dtype();
  for (const Tensor& x : xs) common = promoted(common, x.dtype());
  for (Tensor& x : xs) x = cast(x, common);
  return xs;
}

// x beside itself: counts[i] times along axis i, counted from the last axis.
Tensor repeated(const Tensor& x, std::vector<int64_t> counts) {
  Tensor y = x;
  while (y.rank() < static_cast<int>(counts.size())) y = unsqueeze(y, 0);
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t axis = static_cast<int64_t>(i) + y.rank() - static_cast<int64_t>(counts.size());
    if (counts[i] == 0) y = slice(y, axis, 0, 0);
    if (counts[i] > 1) y = cat(Tensors(static_cast<size_t>(counts[i]), y), axis);
  }
  return y;
}

Value each_repeated(Arguments& a) {
  Tensor x = a.tensor("input");
  const int64_t axis = a.has("dim") ? a.integer("dim") : 0;
  if (!a.has("dim")) x = reshape(x, {-1});
  std::vector<int64_t> counts(static_cast<size_t>(x.size(axis)));
  if (a.is_tensor("repeats")) {
    const auto given = a.tensor("repeats").to_vector<int64_t>();
    for (size_t i = 0; i < counts.size(); ++i) counts[i] = given[given.size() == 1 ? 0 : i];
  } else {
    std::fill(counts.begin(), counts.end(), a.integer("repeats"));
  }
  a.ignore("output_size");
  std::vector<int64_t> index;
  for (size_t i = 0; i < counts.size(); ++i)
    index.insert(index.end(), static_cast<size_t>(counts[i]), static_cast<int64_t>(i));
  return index_select(x, axis,
                      from_vector(index, {static_cast<int64_t>(index.size())}, x.device()));
}

Value rolled(Arguments& a) {
  Tensor x = a.tensor("input");
  const auto shifts = a.integers("shifts"), axes = a.integers("dims", {});
  if (axes.empty()) {
    check<Error>(shifts.size() == 1, "torch.roll: shifts need dims");
    return reshape(roll(reshape(x, {-1}), shifts[0], 0), x.shape());
  }
  check<Error>(shifts.size() == axes.size(), "torch.roll: shifts and dims differ in length");
  for (size_t i = 0; i < axes.size(); ++i) x = roll(x, shifts[i], axes[i]);
  return x;
}

Value turned(Arguments& a) {
  const Tensor x = a.tensor("input");
  const auto axes = a.integers("dims", {0, 1});
  check<Error>(axes.size() == 2, "torch.rot90: wanted two dims");
  switch (((a.integer("k", 1) % 4) + 4) % 4) {
    case 1:
      return transpose(flip(x, {axes[1]}), axes[0], axes[1]);
    case 2:
      return flip(x, axes);
    case 3:
      return flip(transpose(x, axes[0], axes[1]), {axes[1]});
    default:
      return x;
  }
}

Value pieces(Arguments& a) {
  const Tensor x = a.tensor("tensor");
  const int64_t axis = a.integer("dim", 0), n = x.size(axis);
  std::vector<int64_t> sizes = a.integers("split_size_or_sections");
  if (!a.at("split_size_or_sections").get_if<List>()) {
    const int64_t step = sizes[0];
    sizes.clear();
    for (int64_t done = 0; done < n; done += step) sizes.push_back(std::min(step, n - done));
  }
  return split(x, sizes, axis);
}

Value unbound(Arguments& a) {
  const Tensor x = a.tensor("input");
  const int64_t axis = a.integer("dim", 0);
  Tensors out;
  for (int64_t i = 0; i < x.size(axis); ++i) out.push_back(select(x, axis, i));
  return out;
}

Value grids(Arguments& a) {
  Tensors lines = a.tensors("tensors");
  const std::string order = a.text("indexing", "ij");
  check<Error>(order == "ij" || order == "xy", "torch.meshgrid: indexing ", order);
  const bool swap = order == "xy" && lines.size() > 1;
  if (swap) std::swap(lines[0], lines[1]);
  Shape sizes;
  for (const Tensor& line : lines) sizes.push_back(line.numel());
  Tensors out;
  for (size_t i = 0; i < lines.size(); ++i) {
    Shape one = Shape::filled(sizes.rank(), 1);
    one[static_cast<int>(i)] = lines[i].numel();
    out.push_back(expand(reshape(lines[i], one), sizes));
  }
  if (swap) std::swap(out[0], out[1]);
  return out;
}

// Integers if all its numbers are, else floats.
Value range(Arguments& a) {
  const bool only_end = !a.has("end");  // torch.arange(5)
  const double start = only_end ? 0 : a.number("start", 0);
  const double end = only_end ? a.number("start") : a.number("end");
  const double step = a.number("step", 1);
  bool fraction = false;
  for (const char* name : {"start", "end", "step"})
    fraction |= a.has(name) && a.at(name).get_if<double>();
  const auto count = static_cast<int64_t>(std::max(0.0, std::ceil((end - start) / step)));
  return arange(start, count, step,
                {.dtype = a.dtype("dtype", fraction ? DType::f32 : DType::i64)});
}

// Evenly spaced, both ends exact.
std::vector<double> spaced(Arguments& a) {
  const double start = a.number("start"), end = a.number("end");
  const int64_t steps = a.integer("steps");
  std::vector<double> out;
  for (int64_t i = 0; i < steps; ++i) {
    const double part = steps > 1 ? static_cast<double>(i) / static_cast<double>(steps - 1) : 0;
    out.push_back(start + (end - start) * part);
  }
  return out;
}
Tensor from_doubles(Arguments& a, const std::vector<double>& values) {
  return convert(from_vector(values, {static_cast<int64_t>(values.size())}),
                 a.dtype("dtype", DType::f32));
}

Value triangle(Arguments& a, bool lower) {
  const Tensor x = a.tensor("input");
  const int64_t diagonal = a.integer("diagonal", 0), rows = x.size(-2), columns = x.size(-1);
  const TensorOptions options{.dtype = DType::i64, .device = x.device()};
  const Tensor i = reshape(arange(0, rows, 1, options), {rows, 1});
  const Tensor j = arange(0, columns, 1, options);
  const Tensor keep =
      lower ? le(j - i, static_cast<double>(diagonal)) : ge(j - i, static_cast<double>(diagonal));
  return where(expanded(keep, x.shape()), x, 0.0);
}

void add_views(Functions& t) {
  t["torch.reshape"] = [](Arguments& a) -> Value {
    return reshape(a.tensor("input"), shape(a, "shape"));
  };
  t["torch.flatten"] = flattened;
  t["torch.squeeze"] = squeezed;
  t["torch.unsqueeze"] = [](Arguments& a) -> Value {
    return unsqueeze(a.tensor("input"), a.integer("dim"));
  };
  t["torch.permute"] = [](Arguments& a) -> Value {
    return permute(a.tensor("input"), shape(a, "dims"));
  };
  t["torch.transpose"] = [](Arguments& a) -> Value {
    return transpose(a.tensor("input"), a.integer("dim0"), a.integer("dim1"));
  };
  t["torch.movedim"] = moved;
  t["torch.Tensor.expand"] = [](Arguments& a) -> Value {
    return expanded(a.tensor("self"), shape(a, "size"));
  };
  t["torch.broadcast_to"] = [](Arguments& a) -> Value {
    return expanded(a.tensor("input"), shape(a, "size"));
  };
  t["torch.Tensor.unfold"] = [](Arguments& a) -> Value {
    return windows(a.tensor("self"), a.integer("dimension"), a.integer("size"), a.integer("step"));
  };
  t["torch.narrow"] = [](Arguments& a) -> Value {
    const Tensor x = a.tensor("input");
    const int64_t axis = a.integer("dim"), n = x.size(axis);
    const int64_t start = a.integer("start") + (a.integer("start") < 0 ? n : 0);
    return slice(x, axis, start, start + a.integer("length"));
  };
  t["torch.diagonal"] = [](Arguments& a) -> Value {
    return diagonal(a.tensor("input"), a.integer("offset", 0), a.integer("dim1", 0),
                    a.integer("dim2", 1));
  };
  t["torch.split"] = pieces;
  t["torch.chunk"] = [](Arguments& a) -> Value {
    return chunk(a.tensor("input"), a.integer("chunks"), a.integer("dim", 0));
  };
  t["torch.unbind"] = unbound;
  t["torch.meshgrid"] = grids;
}

}  // namespace

void add_shapes(Functions& t) {
  add_views(t);
  t["torch.cat"] = [](Arguments& a) -> Value {
    return cat(in_one_dtype(a.tensors("tensors")), a.integer("dim", 0));
  };
  t["torch.stack"] = [](Arguments& a) -> Value {
    return stack(in_one_dtype(a.tensors("tensors")), a.integer("dim", 0));
  };
  t["torch.Tensor.repeat"] = [](Arguments& a) -> Value {
    return repeated(a.tensor("self"), a.integers("repeats"));
  };
  t["torch.tile"] = [](Arguments& a) -> Value {
    return repeated(a.tensor("input"), a.integers("dims"));
  };
  t["torch.repeat_interleave"] = each_repeated;
  t["torch.flip"] = [](Arguments& a) -> Value {
    return flip(a.tensor("input"), a.integers("dims"));
  };
  t["torch.roll"] = rolled;
  t["torch.rot90"] = turned;
  t["torch.tril"] = [](Arguments& a) { return triangle(a, true); };
  t["torch.triu"] = [](Arguments& a) { return triangle(a, false); };
  t["torch.arange"] = range;
  t["torch.linspace"] = [](Arguments& a) -> Value { return from_doubles(a, spaced(a)); };
  t["torch.logspace"] = [](Arguments& a) -> Value {
    std::vector<double> values = spaced(a);
    for (double& x : values) x = std::pow(a.number("base", 10), x);
    return from_doubles(a, values);
  };
}

}  // namespace brume::conformance
