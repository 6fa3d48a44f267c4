#include <brume/autograd/ops/index.h>

#include <algorithm>
#include <array>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

Tensor row_major(const Tensor& x) { return relayout(x, Layout::row_major); }

void check_same_dtype(const char* who, const Tensor& x, const Tensor& source) {
  check<DTypeError>(x.dtype() == source.dtype(), who, ": dtypes differ: ", x.dtype(), " and ",
                    source.dtype());
}

// `index`, which names places of x along `axis`: no larger on the other axes.
Tensor checked_places(const char* who, const Tensor& x, int axis, const Tensor& index) {
  bool fits = index.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || index.shape()[i] <= x.shape()[i];
  check(fits, who, ": an index of shape ", index.shape(), " does not fit ", x.shape(),
        " along axis ", axis);
  return checked_index(who, index, x.shape()[axis]);
}

// Half types are added and compared as f32.
Tensor widened(const Tensor& x) { return is_half(x.dtype()) ? to(x, DType::f32) : x; }

Tensor zeros_of(const Shape& shape, const Tensor& like) {
  return zeros(shape, {.dtype = like.dtype(), .device = like.device()});
}

Tensor copy_of(const Tensor& x) {
  const Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).pointwise.copy(x.view(), y.view());
  return y;
}

// What every place shares its gradient among: the elements of x (1 where its value counts) and of
// source that made the value of y.
struct Shares {
  Tensor x, source, total;
};
Shares shares_of(ScatterReduce reduce, bool include_self, int axis, const Tensor& index,
                 const Tensor& x, const Tensor& source, const Tensor& y) {
  Tensor self = ones_like(x), given = ones_like(source);
  if (!include_self) self = scatter(self, axis, index, zeros_like(source));
  if (reduce == ScatterReduce::max || reduce == ScatterReduce::min) {
    self = self * to(eq(x, y), x.dtype());
    given = to(eq(source, gather(y, axis, index)), x.dtype());
  }
  return {self, given, scatter(self, axis, index, given, ScatterReduce::sum)};
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index) {
  const int at = wrap_axis(axis, x.rank(), "index_select");
  check(index.rank() == 1, "index_select: wants an index of rank 1, got ", index.shape());
  const Tensor rows = checked_index("index_select", index, x.shape()[at]);
  Shape shape = x.shape();
  shape[at] = index.numel();
  const Tensor y = empty(shape, {.dtype = x.dtype(), .device = x.device()});
  if (y.numel() > 0)
    kernels(x).index.index_select(at, row_major(x).view(), row_major(rows).view(), y.view());
  return record("index_select", y, {x},
                [at, rows = Saved(rows), shape = x.shape()](const Tensor& g) {
                  return Grads{index_add(zeros_of(shape, g), at, rows.get(), g)};
                });
}

Tensor index_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  const int at = wrap_axis(axis, x.rank(), "index_add");
  Shape expected = x.shape();
  expected[at] = index.numel();
  check(index.rank() == 1 && source.shape() == expected, "index_add: a source of shape ",
        source.shape(), " with an index of shape ", index.shape(), " does not fit ", x.shape(),
        " along axis ", axis);
  check_same_dtype("index_add", x, source);
  if (is_half(x.dtype())) return to(index_add(widened(x), at, index, widened(source)), x.dtype());
  const Tensor rows = checked_index("index_add", index, x.shape()[at]);
  const Tensor y = copy_of(x);
  if (source.numel() > 0)
    kernels(x).index.index_add(at, row_major(rows).view(), row_major(source).view(), y.view());
  return record("index_add", y, {x, source}, [at, rows = Saved(rows)](const Tensor& g) {
    return Grads{g, index_select(g, at, rows.get())};
  });
}

namespace {

// Segments kept for backward.
class SavedSegments {
 public:
  explicit SavedSegments(const Segments& s)
      : segments_(s), parts_{Saved(s.owner), Saved(s.offsets), Saved(s.members)} {}
  /// @throws GradError if one of their tensors was written to since
  const Segments& get() const {
    for (const Saved& part : parts_) (void)part.get();
    return segments_;
  }

 private:
  Segments segments_;
  std::array<Saved, 3> parts_;
};

}  // namespace

Segments::Segments(const Tensor& to, int64_t count) : owner(relayout(to, Layout::row_major)) {
  check(to.rank() == 1 && count >= 0, "Segments: wants an owner [J] for each row, got ",
        to.shape());
  const std::vector<int64_t> place = checked_index("Segments", to, count).to_vector<int64_t>();
  std::vector<int64_t> first(static_cast<size_t>(count) + 1, 0), sorted(place.size());
  for (const int64_t i : place) ++first[static_cast<size_t>(i) + 1];
  for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  std::vector<int64_t> next = first;
  for (size_t j = 0; j < place.size(); ++j)
    sorted[static_cast<size_t>(next[static_cast<size_t>(place[j])]++)] = static_cast<int64_t>(j);
  offsets = from_vector(first, {count + 1}, to.device());
  members = from_vector(sorted, to.shape(), to.device());
}

Tensor segment_sum(const Tensor& x, const Segments& s) {
  check(x.rank() >= 1 && x.size(0) == s.owner.size(0), "segment_sum: wants ", s.owner.size(0),
        " rows, got ", x.shape());
  if (is_half(x.dtype())) return to(segment_sum(widened(x), s), x.dtype());
  Shape shape = x.shape();
  shape[0] = s.count();
  const Tensor y = empty(shape, {.dtype = x.dtype(), .device = x.device()});
  if (y.numel() > 0)
    kernels(x).index.segment_sum(row_major(x).view(), s.offsets.view(), s.members.view(), y.view());
  return record("segment_sum", y, {x}, [s = SavedSegments(s)](const Tensor& g) {
    return Grads{segment_rows(g, s.get())};
  });
}

Tensor segment_rows(const Tensor& x, const Segments& s) {
  check(x.rank() >= 1 && x.size(0) == s.count(), "segment_rows: wants ", s.count(), " rows, got ",
        x.shape());
  Shape shape = x.shape();
  shape[0] = s.owner.size(0);
  const Tensor y = empty(shape, {.dtype = x.dtype(), .device = x.device()});
  if (y.numel() > 0)
    kernels(x).index.index_select(0, row_major(x).view(), s.owner.view(), y.view());
  return record("segment_rows", y, {x},
                [s = SavedSegments(s)](const Tensor& g) { return Grads{segment_sum(g, s.get())}; });
}

Tensor gather(const Tensor& x, int64_t axis, const Tensor& index) {
  const int at = wrap_axis(axis, x.rank(), "gather");
  const Tensor places = checked_places("gather", x, at, index);
  const Tensor y = empty(index.shape(), {.dtype = x.dtype(), .device = x.device()});
  if (y.numel() > 0) kernels(x).index.gather(at, x.view(), places.view(), y.view());
  return record("gather", y, {x}, [at, places = Saved(places), shape = x.shape()](const Tensor& g) {
    return Grads{scatter(zeros_of(shape, g), at, places.get(), g, ScatterReduce::sum)};
  });
}

Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
               ScatterReduce reduce, bool include_self) {
  const int at = wrap_axis(axis, x.rank(), "scatter");
  check(source.shape() == index.shape(), "scatter: index ", index.shape(), " and source ",
        source.shape(), " differ in shape");
  check_same_dtype("scatter", x, source);
  if (is_half(x.dtype()))
    return to(scatter(widened(x), at, index, widened(source), reduce, include_self), x.dtype());
  const Tensor given = checked_places("scatter", x, at, index);
  const Tensor y = copy_of(x);
  // A replaced place keeps nothing of itself in any case.
  if (source.numel() > 0)
    kernels(x).index.scatter(reduce, include_self, at, given.view(), source.view(), y.view());
  return record(
      "scatter", y, {x, source},
      [=, index = Saved(given), x = Saved(x), source = Saved(source),
       y = SavedResult(y)](const Tensor& g) {
        const Tensor places = index.get();
        if (reduce == ScatterReduce::replace)
          return Grads{scatter(g, at, places, zeros_of(places.shape(), g)), gather(g, at, places)};
        const Shares shares = shares_of(reduce, include_self, at, places, detach(x.get()),
                                        detach(source.get()), detach(y.get()));
        const Tensor each = reduce == ScatterReduce::sum ? g : g / shares.total;
        return Grads{each * shares.x, gather(each, at, places) * shares.source};
      });
}

Tensor embedding(const Tensor& weight, const Tensor& index, int64_t padding) {
  check(weight.rank() == 2, "embedding: wants a weight [rows, width], got ", weight.shape());
  const Tensor rows =
      reshape(checked_index("embedding", index, weight.shape()[0]), {index.numel()});
  Shape shape = index.shape();
  shape.push_back(weight.shape()[1]);
  const Tensor y = reshape(index_select(detach(weight), 0, rows), shape);
  return record("embedding", y, {weight},
                [rows = Saved(rows), padding, shape = weight.shape()](const Tensor& g) {
                  const Tensor at = rows.get();
                  Tensor gy = reshape(g, {at.numel(), shape[1]});
                  if (padding >= 0)
                    gy = where(unsqueeze(eq(at, static_cast<double>(padding)), 1), 0.0, gy);
                  return Grads{index_add(zeros_of(shape, g), 0, at, gy)};
                });
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  check(mask.shape() == x.shape(), "masked_select: mask ", mask.shape(), " and x ", x.shape(),
        " differ in shape");
  check<DTypeError>(mask.dtype() == DType::boolean, "masked_select: wants a mask of bool, got ",
                    mask.dtype());
  const Shape flat{x.numel()};
  const Tensor places = nonzero(reshape(mask, flat));  // [count, 1]
  return index_select(reshape(x, flat), 0, select(places, 1, 0));
}

Tensor nonzero(const Tensor& x) {
  const Tensor mask = x.dtype() == DType::boolean ? x : ne(detach(x), 0.0);
  const auto count = static_cast<int64_t>(sum(mask).item());
  const Tensor y = empty({count, x.rank()}, {.dtype = DType::i64, .device = x.device()});
  kernels(x).index.nonzero(mask.view(), y.view());
  return y;
}

std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis, bool descending) {
  const int at = wrap_axis(axis, x.rank(), "sort");
  const Tensor positions = empty(x.shape(), {.dtype = DType::i64, .device = x.device()});
  kernels(x).index.argsort(at, descending, widened(detach(x)).view(), positions.view());
  return {gather(x, at, positions), positions};
}

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  const int at = wrap_axis(axis, x.rank(), "topk");
  check(k >= 0 && k <= x.shape()[at], "topk: wants ", k, " of axis ", axis, " of ", x.shape());
  const Tensor positions = slice(sort(detach(x), at, largest).second, at, 0, k);
  return {gather(x, at, positions), positions};
}

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right) {
  check_same_dtype("searchsorted", sorted, values);
  bool fits = sorted.rank() >= 1 && (sorted.rank() == 1 || sorted.rank() == values.rank());
  for (int i = 0; fits && i + 1 < sorted.rank(); ++i) fits = sorted.shape()[i] == values.shape()[i];
  check(fits, "searchsorted: values of shape ", values.shape(), " do not fit rows of ",
        sorted.shape());
  const Tensor y = empty(values.shape(), {.dtype = DType::i64, .device = values.device()});
  if (values.numel() > 0)
    kernels(values).index.searchsorted(right, row_major(widened(sorted)).view(),
                                       row_major(widened(values)).view(), y.view());
  return y;
}

Tensor bincount(const Tensor& x, int64_t minlength) {
  check(x.rank() == 1, "bincount: wants rank 1, got ", x.shape());
  const int64_t largest = x.numel() == 0 ? -1 : max(x).to_vector<int64_t>().front();
  constexpr int64_t kMost = int64_t{1} << 40;  // counts of 8 bytes each
  check(largest < kMost && minlength <= kMost, "bincount: wants numbers below 2^40, got ",
        std::max(largest, minlength));
  const TensorOptions options{.dtype = DType::i64, .device = x.device()};
  return index_add(zeros({std::max(largest + 1, minlength)}, options), 0, x,
                   ones(x.shape(), options));
}

}  // namespace brume
