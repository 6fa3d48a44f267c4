#include <brume/autograd/ops/shape.h>

#include <algorithm>
#include <optional>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/index.h>
#include <brume/core/backend.h>
#include <brume/core/constant.h>

namespace brume {
namespace {

// The order of x's axes in memory, gaps or not.
Layout layout_of(const Tensor& x) {
  const Strides order = dense_strides_like(x.shape(), x.strides());
  return !is_row_major(x.shape(), order) && is_channels_last(x.shape(), order)
             ? Layout::channels_last
             : Layout::row_major;
}

// Zeros of `shape` with g where `view` looks; `view` must not look at one place twice.
template <class ViewOf>
Tensor place(const Tensor& g, const Shape& shape, Layout layout, const ViewOf& view) {
  const Tensor y = zeros(shape, {.dtype = g.dtype(), .device = g.device(), .layout = layout});
  kernels(y).pointwise.copy(g.view(), view(y).view());
  return record("place", y, {g}, [view](const Tensor& h) { return Grads{view(h)}; });
}

// y looks at part of x as `view` does: the gradient is zero elsewhere.
template <class ViewOf>
Tensor record_part(const char* op, const Tensor& y, const Tensor& x, const ViewOf& view) {
  return record(op, y, {x}, [view, shape = x.shape(), layout = layout_of(x)](const Tensor& g) {
    return Grads{place(g, shape, layout, view)};
  });
}

// The sizes of `to` with its -1 filled in.
Shape completed_shape(const Tensor& x, Shape to) {
  int open = -1;
  for (int i = 0; i < to.rank(); ++i) {
    check(to[i] >= -1, "reshape: sizes must not be negative, got ", to);
    if (to[i] != -1) continue;
    check(open < 0, "reshape: only one size may be -1, got ", to);
    open = i;
  }
  if (open >= 0) {
    Shape others = to;
    others[open] = 1;
    const int64_t known = numel(others);
    check(known > 0 && x.numel() % known == 0, "reshape: ", x.shape(), " has ", x.numel(),
          " elements, which do not fill ", to);
    to[open] = x.numel() / known;
  }
  check(numel(to) == x.numel(), "reshape: ", x.shape(), " has ", x.numel(),
        " elements, which do not fill ", to);
  return to;
}

// Strides under which the same memory reads as `to`. Both shapes are cut into the smallest groups
// of axes with equal products; a group of old axes must be one run in memory.
std::optional<Strides> reshaped_strides(const Tensor& x, const Shape& to) {
  if (x.numel() == 0) return dense_strides(to);
  Shape from;
  Strides strides;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.shape()[i] == 1) continue;
    from.push_back(x.shape()[i]);
    strides.push_back(x.strides()[i]);
  }
  Strides result = Strides::filled(to.rank(), 1);
  int axis = from.rank() - 1;
  for (int i = to.rank() - 1; i >= 0;) {
    int64_t old_size = 1, new_size = 1, step = 1;
    if (axis >= 0) {
      step = strides[axis];
      old_size = from[axis--];
    }
    while (true) {
      if (i >= 0 && (new_size < old_size || to[i] == 1)) {
        result[i] = step * new_size;
        new_size *= to[i--];
      } else if (old_size < new_size) {
        if (strides[axis] != step * old_size) return std::nullopt;
        old_size *= from[axis--];
      } else {
        break;
      }
    }
  }
  return result;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape to = completed_shape(x, shape);
  const auto strides = reshaped_strides(x, to);
  const Tensor y = strides ? alias(x, to, *strides)
                           : alias(relayout(x, Layout::row_major), to, dense_strides(to));
  return record("reshape", y, {x},
                [from = x.shape()](const Tensor& g) { return Grads{reshape(g, from)}; });
}

Tensor permute(const Tensor& x, const Dims& axes) {
  check(axes.rank() == x.rank(), "permute: ", axes.rank(), " axes for a tensor of shape ",
        x.shape());
  Shape shape = x.shape();
  Strides strides = x.strides();
  Dims inverse = Dims::filled(x.rank(), -1);
  for (int i = 0; i < x.rank(); ++i) {
    const int from = wrap_axis(axes[i], x.rank(), "permute");
    check(inverse[from] < 0, "permute: an axis occurs twice in ", axes);
    inverse[from] = i;
    shape[i] = x.shape()[from];
    strides[i] = x.strides()[from];
  }
  return record("permute", alias(x, shape, strides), {x},
                [inverse](const Tensor& g) { return Grads{permute(g, inverse)}; });
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  Dims axes = Dims::filled(x.rank(), 0);
  for (int i = 0; i < x.rank(); ++i) axes[i] = i;
  std::swap(axes[wrap_axis(a, x.rank(), "transpose")], axes[wrap_axis(b, x.rank(), "transpose")]);
  return permute(x, axes);
}

Tensor expand(const Tensor& x, const Shape& shape) {
  Shape to = shape;
  const int extra = to.rank() - x.rank();
  for (int i = std::max(extra, 0); i < to.rank(); ++i)
    if (to[i] == -1) to[i] = x.shape()[i - extra];
  check(extra >= 0 && broadcast_shapes(x.shape(), to, "expand") == to, "expand: ", x.shape(),
        " does not stretch to ", shape);
  // The engine sums a gradient back to the shape of a broadcast input.
  return record("expand", alias(x, to, broadcast_strides(x.shape(), x.strides(), to)), {x},
                [](const Tensor& g) { return Grads{g}; });
}

Tensor squeeze(const Tensor& x, int64_t axis) {
  const int at = wrap_axis(axis, x.rank(), "squeeze");
  check(x.shape()[at] == 1, "squeeze: axis ", axis, " of ", x.shape(), " has not size 1");
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(at);
  strides.erase(at);
  return record("squeeze", alias(x, shape, strides), {x},
                [at](const Tensor& g) { return Grads{unsqueeze(g, at)}; });
}

Tensor unsqueeze(const Tensor& x, int64_t axis) {
  const int at = wrap_axis(axis, x.rank() + 1, "unsqueeze");
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.insert(at, 1);
  strides.insert(at, at < x.rank() ? x.strides()[at] * x.shape()[at] : 1);
  return record("unsqueeze", alias(x, shape, strides), {x},
                [at](const Tensor& g) { return Grads{squeeze(g, at)}; });
}

Tensor slice(const Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  const int at = wrap_axis(axis, x.rank(), "slice");
  const int64_t size = x.shape()[at];
  check(step >= 1, "slice: step must be at least 1, got ", step);
  const auto position = [size](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
  };
  const int64_t first = position(start), last = std::max(first, position(end));
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[at] = last > first ? (last - first - 1) / step + 1 : 0;
  if (shape[at] > 1) strides[at] *= step;  // else step may be anything
  const Tensor y = alias(x, shape, strides, shape[at] == 0 ? 0 : first * x.strides()[at]);
  return record_part("slice", y, x,
                     [=](const Tensor& t) { return slice(t, at, first, last, step); });
}

Tensor select(const Tensor& x, int64_t axis, int64_t index) {
  const int at = wrap_axis(axis, x.rank(), "select");
  const int64_t size = x.shape()[at];
  check(index >= -size && index < size, "select: index ", index, " is outside axis ", axis, " of ",
        x.shape());
  const int64_t first = index < 0 ? index + size : index;
  return squeeze(slice(x, at, first, first + 1), at);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int64_t axis) {
  const int at = wrap_axis(axis, x.rank(), "split");
  Tensors parts;
  int64_t first = 0;
  for (int64_t size : sizes) {
    Shape shape = x.shape();
    shape[at] = size;
    check(size >= 0 && size <= x.shape()[at] - first, "split: sizes exceed axis ", axis, " of ",
          x.shape());
    parts.push_back(alias(x, shape, x.strides(), size == 0 ? 0 : first * x.strides()[at]));
    first += size;
  }
  check(first == x.shape()[at], "split: sizes add up to ", first, ", but axis ", axis, " of ",
        x.shape(), " is longer");
  // One node for all parts, so that their gradients are joined once.
  return record("split", std::move(parts), {x},
                [at, sizes, shape = x.shape(), layout = layout_of(x)](const Tensors& gs) {
                  const auto some = std::find_if(gs.begin(), gs.end(),
                                                 [](const Tensor& g) { return g.defined(); });
                  Tensors whole = gs;
                  for (size_t i = 0; i < whole.size(); ++i) {
                    Shape part = shape;
                    part[at] = sizes[i];
                    if (!whole[i].defined())
                      whole[i] = zeros(part, {some->dtype(), some->device(), layout});
                  }
                  return Grads{cat(whole, at)};
                });
}

std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int64_t axis) {
  check(pieces >= 1, "chunk: wants at least one piece, got ", pieces);
  const int64_t size = x.shape()[wrap_axis(axis, x.rank(), "chunk")];
  const int64_t each = std::max<int64_t>((size + pieces - 1) / pieces, 1);
  std::vector<int64_t> sizes;
  for (int64_t first = 0; first < size; first += each)
    sizes.push_back(std::min(each, size - first));
  return split(x, sizes, axis);
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  const int a = wrap_axis(axis1, x.rank(), "diagonal"), b = wrap_axis(axis2, x.rank(), "diagonal");
  check(a != b, "diagonal: wants two different axes of ", x.shape());
  const int64_t down = std::max<int64_t>(-offset, 0), right = std::max<int64_t>(offset, 0);
  const int64_t length = std::max<int64_t>(std::min(x.shape()[a] - down, x.shape()[b] - right), 0);
  Shape shape = x.shape();
  Strides strides = x.strides();
  for (int axis : {std::max(a, b), std::min(a, b)}) {
    shape.erase(axis);
    strides.erase(axis);
  }
  shape.push_back(length);
  strides.push_back(x.strides()[a] + x.strides()[b]);
  const int64_t first = length == 0 ? 0 : down * x.strides()[a] + right * x.strides()[b];
  return record_part("diagonal", alias(x, shape, strides, first), x,
                     [=](const Tensor& t) { return diagonal(t, offset, a, b); });
}

Tensor windows(const Tensor& x, int64_t axis, int64_t size, int64_t step) {
  const int at = wrap_axis(axis, x.rank(), "windows");
  check(size >= 1 && step >= 1 && size <= x.shape()[at], "windows: size ", size, " and step ", step,
        " do not fit axis ", axis, " of ", x.shape());
  const int64_t count = (x.shape()[at] - size) / step + 1;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[at] = count;
  if (count > 1) strides[at] *= step;
  shape.push_back(size);
  strides.push_back(x.strides()[at]);
  // Windows overlap: each place gets the sum of what its windows got.
  return record("windows", alias(x, shape, strides), {x}, [=, from = x.shape()](const Tensor& g) {
    std::vector<int64_t> place;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < size; ++k) place.push_back(i * step + k);
    Dims order = Dims::filled(0, 0);
    for (int i = 0; i < from.rank(); ++i) order.push_back(i);
    order.insert(at + 1, from.rank());
    Shape flat = from;
    flat[at] = count * size;
    const Tensor index = constant(from_vector(place, {count * size}), g.device());
    return Grads{index_add(zeros(from, {.dtype = g.dtype(), .device = g.device()}), at, index,
                           reshape(permute(g, order), flat))};
  });
}

Tensor cat(const std::vector<Tensor>& xs, int64_t axis) {
  check(!xs.empty(), "cat: wants at least 1 tensor");
  const int at = wrap_axis(axis, xs[0].rank(), "cat");
  Shape shape = xs[0].shape();
  shape[at] = 0;
  std::vector<int64_t> sizes;
  Layout layout = Layout::row_major;
  for (const Tensor& x : xs) {
    check<DTypeError>(x.dtype() == xs[0].dtype(), "cat: dtypes differ: ", xs[0].dtype(), " and ",
                      x.dtype());
    check<DeviceError>(x.device() == xs[0].device(), "cat: devices differ: ", xs[0].device(),
                       " and ", x.device());
    Shape expected = shape;
    if (x.rank() == shape.rank()) expected[at] = x.shape()[at];
    check(x.shape() == expected, "cat: ", x.shape(), " does not join ", xs[0].shape(),
          " along axis ", axis);
    if (layout_of(x) == Layout::channels_last) layout = Layout::channels_last;
    shape[at] += x.shape()[at];
    sizes.push_back(x.shape()[at]);
  }
  const Tensor y = empty(shape, {xs[0].dtype(), xs[0].device(), layout});
  int64_t first = 0;
  for (const Tensor& x : xs) {
    if (x.numel() > 0)
      kernels(y).pointwise.copy(x.view(),
                                alias(y, x.shape(), y.strides(), first * y.strides()[at]).view());
    first += x.shape()[at];
  }
  return record_all("cat", {y}, xs,
                    [at, sizes](const Tensors& g, Wanted) { return split(g[0], sizes, at); })[0];
}

Tensor stack(const std::vector<Tensor>& xs, int64_t axis) {
  check(!xs.empty(), "stack: wants at least 1 tensor");
  Tensors columns;
  for (const Tensor& x : xs) {
    check(x.shape() == xs[0].shape(), "stack: shapes differ: ", xs[0].shape(), " and ", x.shape());
    columns.push_back(unsqueeze(x, axis));
  }
  return cat(columns, wrap_axis(axis, xs[0].rank() + 1, "stack"));
}

Tensor flip(const Tensor& x, const std::vector<int64_t>& axes) {
  View backwards = x.view();
  int64_t first = 0;
  for (int64_t axis : axes) {
    const int at = wrap_axis(axis, x.rank(), "flip");
    first += std::max<int64_t>(x.shape()[at] - 1, 0) * backwards.strides[at];
    backwards.strides[at] = -backwards.strides[at];
  }
  Tensor y = empty_like(x);
  if (x.numel() > 0) {
    backwards.data = static_cast<std::byte*>(x.data()) + first * item_size(x.dtype());
    kernels(x).pointwise.copy(backwards, y.view());
  }
  return record("flip", y, {x}, [axes](const Tensor& g) { return Grads{flip(g, axes)}; });
}

Tensor roll(const Tensor& x, int64_t shift, int64_t axis) {
  const int64_t size = x.shape()[wrap_axis(axis, x.rank(), "roll")];
  if (size == 0) return x;
  const int64_t cut = (size - shift % size) % size;
  return cat({slice(x, axis, cut, size), slice(x, axis, 0, cut)}, axis);
}

Tensor pad(const Tensor& x, const std::vector<int64_t>& amounts, double value) {
  check(amounts.size() % 2 == 0 && amounts.size() / 2 <= static_cast<size_t>(x.rank()),
        "pad: ", amounts.size(), " amounts do not pair up with the axes of ", x.shape());
  const auto axes = static_cast<int>(amounts.size() / 2);
  const auto amount = [&](int axis, int side) {
    return amounts[static_cast<size_t>(x.rank() - 1 - axis) * 2 + static_cast<size_t>(side)];
  };
  Shape shape = x.shape(), kept = x.shape();
  int64_t from = 0;
  for (int i = x.rank() - axes; i < x.rank(); ++i) {
    const int64_t before = amount(i, 0), after = amount(i, 1);
    constexpr int64_t kMost = int64_t{1} << 59;  // as of any tensor's elements
    const auto countable = [](int64_t n) { return n >= -kMost && n <= kMost; };
    check(countable(before) && countable(after) &&
              !__builtin_add_overflow(x.shape()[i], before + after, &shape[i]),
          "pad: amounts ", before, " and ", after, " along axis ", i, " of ", x.shape(),
          ", wants at most 2^59 entries");
    kept[i] = x.shape()[i] + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0);
    check(shape[i] >= 0 && kept[i] >= 0, "pad: ", before, " and ", after, " cut more than axis ", i,
          " of ", x.shape(), " has");
    from += std::max<int64_t>(-before, 0) * x.strides()[i];
  }
  const Tensor y = full(shape, value, {x.dtype(), x.device(), layout_of(x)});
  if (numel(kept) > 0) {
    int64_t to = 0;
    for (int i = x.rank() - axes; i < x.rank(); ++i)
      to += std::max<int64_t>(amount(i, 0), 0) * y.strides()[i];
    kernels(x).pointwise.copy(alias(x, kept, x.strides(), from).view(),
                              alias(y, kept, y.strides(), to).view());
  }
  return record("pad", y, {x}, [amounts](const Tensor& g) {
    std::vector<int64_t> back = amounts;
    for (int64_t& a : back) a = -a;
    return Grads{pad(g, back)};
  });
}

Tensor contiguous(const Tensor& x, Layout layout) {
  const Tensor y = relayout(x, layout);
  if (y.handle() == x.handle()) return x;
  return record("contiguous", y, {x}, [](const Tensor& g) { return Grads{g}; });
}

Tensor to(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return record("to", convert(x, dtype), {x},
                [from = x.dtype()](const Tensor& g) { return Grads{to(g, from)}; });
}

Tensor to(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  return record("to", transfer(x, device), {x},
                [from = x.device()](const Tensor& g) { return Grads{to(g, from)}; });
}

}  // namespace brume
