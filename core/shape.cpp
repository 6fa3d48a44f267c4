#include <brume/core/shape.h>

#include <algorithm>
#include <ostream>

#include <brume/core/error.h>

namespace brume {

Dims::Dims(std::span<const int64_t> values) : rank_(static_cast<int>(values.size())) {
  check(values.size() <= kMaxRank, "shape: at most ", kMaxRank, " axes are supported, got ",
        values.size());
  std::copy(values.begin(), values.end(), values_.begin());
}

Dims Dims::filled(int rank, int64_t value) {
  check(rank >= 0 && rank <= kMaxRank, "shape: at most ", kMaxRank, " axes are supported, got ",
        rank);
  Dims dims;
  dims.rank_ = rank;
  std::fill(dims.begin(), dims.end(), value);
  return dims;
}

void Dims::push_back(int64_t value) { insert(rank_, value); }

void Dims::insert(int axis, int64_t value) {
  check(rank_ < kMaxRank, "shape: at most ", kMaxRank, " axes are supported");
  std::copy_backward(begin() + axis, end(), end() + 1);
  ++rank_;
  (*this)[axis] = value;
}

void Dims::erase(int axis) {
  std::copy(begin() + axis + 1, end(), begin() + axis);
  --rank_;
}

std::string to_string(const Dims& dims) {
  std::string out = "[";
  for (int i = 0; i < dims.rank(); ++i) out += cat(i ? ", " : "", dims[i]);
  return out + "]";
}

std::ostream& operator<<(std::ostream& out, const Dims& dims) { return out << to_string(dims); }

int64_t numel(const Shape& shape) {
  int64_t count = 1;
  bool empty = false, overflow = false;
  for (int64_t size : shape) {
    check(size >= 0, "shape: sizes must not be negative, got ", shape);
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count);
  }
  check(!overflow && (empty || count <= int64_t{1} << 59), "shape: ", shape,
        " has more than 2^59 elements");
  return empty ? 0 : count;
}

int wrap_axis(int64_t axis, int rank, const char* who) {
  check(axis >= -rank && axis < rank, who, ": axis ", axis, " is outside a tensor of rank ", rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  for (int i = 1; i <= from.rank(); ++i)
    if (from[from.rank() - i] != 1 && from[from.rank() - i] != to[to.rank() - i]) return false;
  return true;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[a.rank() - i] : 1;
    const int64_t y = i <= b.rank() ? b[b.rank() - i] : 1;
    check(x == y || x == 1 || y == 1, who, ": shapes ", a, " and ", b, " do not broadcast");
    out[rank - i] = x == 1 ? y : x;
  }
  return out;
}

Strides broadcast_strides(const Shape& from, const Strides& strides, const Shape& to) {
  Strides out = Strides::filled(to.rank(), 0);
  const int shift = to.rank() - from.rank();
  for (int i = 0; i < from.rank(); ++i)
    if (from[i] != 1 || to[i + shift] == 1) out[i + shift] = strides[i];
  return out;
}

namespace {

// Memory order of the axes, outermost first.
Dims layout_order(int rank, Layout layout) {
  Dims order = Dims::filled(rank, 0);
  const bool last = layout == Layout::channels_last && rank >= 3 && rank <= 5;
  for (int i = 0; i < rank; ++i) order[i] = !last || i == 0 ? i : i == rank - 1 ? 1 : i + 1;
  return order;
}

Strides row_major_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = next;
    next *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Strides strides_in_order(const Shape& shape, const Dims& order) {
  Strides strides = Strides::filled(shape.rank(), 1);
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    strides[axis] = next;
    next *= std::max<int64_t>(shape[axis], 1);
  }
  return strides;
}

bool is_dense_in_order(const Shape& shape, const Strides& strides, const Dims& order) {
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(order[i]);
    if (shape[axis] == 0) return true;
    if (shape[axis] != 1 && strides[axis] != next) return false;
    next *= shape[axis];
  }
  return true;
}

// Axes by falling stride. Axes of size 1 carry no order: they keep their place between neighbours.
Dims memory_order(const Shape& shape, const Strides& strides) {
  Dims order = layout_order(shape.rank(), Layout::row_major);
  const auto before = [&](int64_t a, int64_t b) {
    const int i = static_cast<int>(a), j = static_cast<int>(b);
    return shape[i] != 1 && shape[j] != 1 && strides[i] != 0 && strides[j] != 0 &&
           strides[i] > strides[j];
  };
  // Insertion sort: at most eight axes, and `before` is no strict weak order across size-1 axes.
  for (int i = 1; i < order.rank(); ++i) {
    const int64_t axis = order[i];
    int to = i;
    for (int j = i - 1; j >= 0; --j)
      if (before(axis, order[j])) to = j;
    std::copy_backward(order.begin() + to, order.begin() + i, order.begin() + i + 1);
    order[to] = axis;
  }
  return order;
}

}  // namespace

Strides dense_strides(const Shape& shape, Layout layout) {
  if (layout == Layout::row_major) return row_major_strides(shape);
  return strides_in_order(shape, layout_order(shape.rank(), layout));
}

bool is_row_major(const Shape& shape, const Strides& strides) {
  int64_t next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != next) return false;
    next *= shape[i];
  }
  return true;
}

bool is_channels_last(const Shape& shape, const Strides& strides) {
  return shape.rank() >= 3 && shape.rank() <= 5 &&
         is_dense_in_order(shape, strides, layout_order(shape.rank(), Layout::channels_last));
}

bool is_dense(const Shape& shape, const Strides& strides) {
  return is_row_major(shape, strides) ||
         is_dense_in_order(shape, strides, memory_order(shape, strides));
}

Strides dense_strides_like(const Shape& shape, const Strides& like) {
  if (is_row_major(shape, like)) return row_major_strides(shape);
  return strides_in_order(shape, memory_order(shape, like));
}

}  // namespace brume
