// Reductions. What is innermost in memory decides the form (reduce_plan.h): RowsForm adds up runs,
// ColumnsForm adds whole rows to each other element by element.

#include <algorithm>
#include <limits>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/reduce_sums.h>
#include <brume/core/cpu/scan.h>
#include <brume/core/reduce_plan.h>

namespace brume {
namespace cpu {
namespace {

// What is reduced (E: the element after conversion), in which type partial results are kept (P).
template <class E, class P>
struct Reducer {
  P identity;
  P (*combine)(P, P);
  P (*row)(const E* x, int64_t n);
  // out[c] = combine(out[c], x[r * stride + c]) over r
  void (*columns)(const E* x, int64_t rows, int64_t stride, int64_t columns, P* out);
};

template <class E, class P, class Op>
P reduce_row(const E* x, int64_t n) {
  constexpr int kLanes = 8;
  P lanes[kLanes];
  std::fill(lanes, lanes + kLanes, Op::template identity<P>());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] = Op::apply(lanes[j], static_cast<P>(x[i + j]));
  P total = Op::template identity<P>();
  for (; i < n; ++i) total = Op::apply(total, static_cast<P>(x[i]));
  for (P lane : lanes) total = Op::apply(total, lane);
  return total;
}

template <class E, class P, class Op>
void reduce_columns(const E* x, int64_t rows, int64_t stride, int64_t columns, P* out) {
  for (int64_t r = 0; r < rows; ++r, x += stride)
    for (int64_t c = 0; c < columns; ++c) out[c] = Op::apply(out[c], static_cast<P>(x[c]));
}

struct Sum {
  template <class P>
  static P identity() {
    return P(0);
  }
  template <class P>
  static P apply(P a, P b) {
    return a + b;
  }
};
struct Product {
  template <class P>
  static P identity() {
    return P(1);
  }
  template <class P>
  static P apply(P a, P b) {
    return a * b;
  }
};
template <class P>
constexpr P kLargest = std::numeric_limits<P>::has_infinity ? std::numeric_limits<P>::infinity()
                                                            : std::numeric_limits<P>::max();
struct Max {
  template <class P>
  static P identity() {
    return std::is_integral_v<P> ? std::numeric_limits<P>::min() : -kLargest<P>;
  }
  template <class P>
  static P apply(P a, P b) {
    return b > a || b != b ? b : a;
  }
};
struct Min {
  template <class P>
  static P identity() {
    return kLargest<P>;
  }
  template <class P>
  static P apply(P a, P b) {
    return b < a || b != b ? b : a;
  }
};

template <class E, class P, class Op>
Reducer<E, P> reducer_of() {
  return {Op::template identity<P>(), &Op::template apply<P>, &reduce_row<E, P, Op>,
          &reduce_columns<E, P, Op>};
}

// Converts n elements, `stride` apart, into `out`.
template <class E>
using Gather = void (*)(const void* x, int64_t first, int64_t stride, int64_t n, E* out);

template <class X, class E>
void gather(const void* x, int64_t first, int64_t stride, int64_t n, E* out) {
  const X* from = static_cast<const X*>(x) + first;
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<E>(from[i * stride]);
}
// any and all ask whether an element is zero.
template <class X>
void gather_truth(const void* x, int64_t first, int64_t stride, int64_t n, int64_t* out) {
  const X* from = static_cast<const X*>(x) + first;
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_arithmetic_v<X>)
      out[i] = from[i * stride] != X(0);
    else
      out[i] = static_cast<float>(from[i * stride]) != 0;
  }
}

// Everything about one call that the two forms need.
template <class E, class P>
struct Job {
  const void* x;
  void* y;
  Reducer<E, P> reducer;
  Gather<E> load;
  bool direct;  // x holds E itself
  void (*store)(void* y, int64_t at, P value, double divisor);
  double divisor;

  const E* elements(int64_t first) const { return static_cast<const E*>(x) + first; }
  void put(int64_t at, P value) const { store(y, at, value, divisor); }
};

constexpr int64_t kGrain = 32768;  // elements below which a second thread is no gain

int64_t pieces_of(int64_t n, int64_t size) { return std::max<int64_t>((n + size - 1) / size, 1); }

// For each place of y the runs of all reduced axes, in pieces that are added in order: parts of a
// long run, or groups of short ones.
template <class E, class P>
class RowsForm {
 public:
  RowsForm(const Job<E, P>& job, const ReducePlan& plan)
      : job_(job),
        plan_(plan),
        cuts_(pieces_of(plan.run.size, kPiece)),
        group_(std::max<int64_t>(kPiece / std::max<int64_t>(plan.run.size, 1), 1)),
        pieces_(pieces_of(plan.reduced_count, group_) * cuts_) {}

  void run() const {
    const int64_t work = std::min(plan_.run.size, kPiece) * std::min(group_, plan_.reduced_count);
    const int64_t grain = std::max<int64_t>(kGrain / std::max<int64_t>(work, 1), 1);
    if (pieces_ == 1) {
      parallel_for(plan_.kept_count, grain, [&](int64_t begin, int64_t end) {
        ReduceWalk at(plan_.kept, begin);
        for (int64_t k = begin; k < end; ++k, at.next())
          job_.put(at.y, runs(at.x, 0, plan_.reduced_count, plan_.run.size));
      });
      return;
    }
    const int64_t items = plan_.kept_count * pieces_;
    std::vector<P> partial(static_cast<size_t>(items));
    parallel_for(items, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        partial[static_cast<size_t>(i)] = piece(i / pieces_, i % pieces_);
    });
    ReduceWalk at(plan_.kept, 0);
    for (int64_t k = 0; k < plan_.kept_count; ++k, at.next()) {
      P total = partial[static_cast<size_t>(k * pieces_)];
      for (int64_t p = 1; p < pieces_; ++p)
        total = job_.reducer.combine(total, partial[static_cast<size_t>(k * pieces_ + p)]);
      job_.put(at.y, total);
    }
  }

 private:
  static constexpr int64_t kPiece = 65536, kBuffer = 1024;

  P piece(int64_t kept, int64_t number) const {
    const int64_t first = number / cuts_ * group_, cut = number % cuts_ * kPiece;
    return runs(ReduceWalk(plan_.kept, kept).x + cut * plan_.run.x, first,
                std::min(first + group_, plan_.reduced_count),
                std::min(plan_.run.size - cut, kPiece));
  }

  // The first n elements of the runs first .. last-1. Long runs straight from memory, short or
  // strided ones through a buffer.
  P runs(int64_t x, int64_t first, int64_t last, int64_t n) const {
    const Reducer<E, P>& reducer = job_.reducer;
    const int64_t stride = plan_.run.x;
    const bool straight = job_.direct && stride == 1 && (n >= kBuffer / 8 || last - first == 1);
    P total = reducer.identity;
    E buffer[kBuffer];
    int64_t filled = 0;
    const auto flush = [&] {
      total = reducer.combine(total, reducer.row(buffer, filled));
      filled = 0;
    };
    ReduceWalk at(plan_.reduced, first);
    for (int64_t r = first; r < last; ++r, at.next()) {
      const int64_t from = x + at.x;
      if (straight) {
        total = reducer.combine(total, reducer.row(job_.elements(from), n));
        continue;
      }
      for (int64_t i = 0; i < n;) {
        const int64_t take = std::min(n - i, kBuffer - filled);
        job_.load(job_.x, from + i * stride, stride, take, buffer + filled);
        filled += take;
        i += take;
        if (filled == kBuffer) flush();
      }
    }
    if (filled > 0) flush();
    return total;
  }

  const Job<E, P>& job_;
  const ReducePlan& plan_;
  int64_t cuts_, group_, pieces_;
};

// Tiles of whole rows, added up over pieces of rows. Narrow rows without gaps are taken `fold` at a
// time, and the copies folded at the end.
template <class E, class P>
class ColumnsForm {
 public:
  ColumnsForm(const Job<E, P>& job, const ReducePlan& plan) : job_(job), plan_(plan) {
    rows_ = plan_.reduced.take_last();
    outer_ = rows_.size == 0 ? 0 : plan_.reduced_count / rows_.size;
    const bool gapless = job.direct && plan_.columns.x == 1 && rows_.x == plan_.columns.size;
    fold_ = gapless ? std::max<int64_t>(std::min(64 / plan_.columns.size, rows_.size), 1) : 1;
    tiles_ = pieces_of(plan_.columns.size, kTile);
    row_pieces_ = pieces_of(rows_.size, kRows * fold_);
    pieces_ = std::max<int64_t>(outer_, 1) * row_pieces_;
  }

  void run() const {
    const int64_t width = std::min(plan_.columns.size, kTile) * fold_;
    const int64_t work = std::min(rows_.size, kRows) * width;
    std::vector<P> partial(static_cast<size_t>(plan_.kept_count * pieces_ * plan_.columns.size));
    parallel_for(plan_.kept_count * pieces_ * tiles_,
                 std::max<int64_t>(kGrain / std::max<int64_t>(work, 1), 1),
                 [&](int64_t begin, int64_t end) {
                   std::vector<P> sums(static_cast<size_t>(width));
                   for (int64_t i = begin; i < end; ++i)
                     piece(i / tiles_ / pieces_, i / tiles_ % pieces_, i % tiles_, sums.data(),
                           partial.data());
                 });
    for (int64_t k = 0; k < plan_.kept_count; ++k) combine(k, partial.data());
  }

 private:
  static constexpr int64_t kRows = 512, kTile = 1024;

  void piece(int64_t kept, int64_t number, int64_t tile, P* sums, P* partial) const {
    const int64_t first_column = tile * kTile;
    const int64_t n = std::min(plan_.columns.size - first_column, kTile);
    const int64_t first = number % row_pieces_ * kRows * fold_;
    std::fill(sums, sums + n * fold_, job_.reducer.identity);
    if (outer_ > 0)
      add_rows(ReduceWalk(plan_.kept, kept).x + ReduceWalk(plan_.reduced, number / row_pieces_).x +
                   first * rows_.x + first_column * plan_.columns.x,
               std::min(kRows * fold_, rows_.size - first), n, sums);
    std::copy(sums, sums + n,
              partial + (kept * pieces_ + number) * plan_.columns.size + first_column);
  }

  void add_rows(int64_t x, int64_t rows, int64_t n, P* sums) const {
    const Reducer<E, P>& reducer = job_.reducer;
    if (job_.direct && plan_.columns.x == 1) {
      const int64_t folded = rows / fold_, rest = rows % fold_;
      reducer.columns(job_.elements(x), folded, rows_.x * fold_, n * fold_, sums);
      reducer.columns(job_.elements(x + folded * fold_ * rows_.x), 1, 0, n * rest, sums);
      for (int64_t j = 1; j < fold_; ++j)
        for (int64_t c = 0; c < n; ++c) sums[c] = reducer.combine(sums[c], sums[j * n + c]);
      return;
    }
    E buffer[kTile];
    for (int64_t r = 0; r < rows; ++r) {
      job_.load(job_.x, x + r * rows_.x, plan_.columns.x, n, buffer);
      reducer.columns(buffer, 1, 0, n, sums);
    }
  }

  void combine(int64_t kept, P* partial) const {
    const int64_t n = plan_.columns.size, y = ReduceWalk(plan_.kept, kept).y;
    P* total = partial + kept * pieces_ * n;
    for (int64_t p = 1; p < pieces_; ++p)
      for (int64_t c = 0; c < n; ++c) total[c] = job_.reducer.combine(total[c], total[p * n + c]);
    for (int64_t c = 0; c < n; ++c) job_.put(y + c * plan_.columns.y, total[c]);
  }

  const Job<E, P>& job_;
  ReducePlan plan_;
  ReduceAxis rows_;
  int64_t outer_, fold_, tiles_, row_pieces_, pieces_;
};

template <class E, class P>
void run(const Job<E, P>& job, const View& x, const View& y) {
  const ReducePlan plan = reduce_plan(x, y);
  if (plan.columns.size == 0 || plan.kept_count == 0) return;
  if (plan.innermost_stays)
    ColumnsForm<E, P>(job, plan).run();
  else
    RowsForm<E, P>(job, plan).run();
}

template <class Y, class P>
void store_as(void* y, int64_t at, P value, double divisor) {
  if constexpr (std::is_same_v<P, double>)
    static_cast<Y*>(y)[at] = static_cast<Y>(static_cast<float>(value / divisor));
  else
    static_cast<Y*>(y)[at] = static_cast<Y>(value);
}
template <>
void store_as<double, double>(void* y, int64_t at, double value, double divisor) {
  static_cast<double*>(y)[at] = value / divisor;
}
void store_truth(void* y, int64_t at, int64_t value, double) {
  static_cast<bool*>(y)[at] = value > 0;
}

template <class Op>
void reduce_with(double divisor, const View& x, const View& y) {
  dispatch<float, double, bf16, f16, int32_t, int64_t, uint8_t, bool>(
      x.dtype, "reduce", [&](auto type) {
        using X = typename decltype(type)::type;
        using E = std::conditional_t<std::is_integral_v<X>, int64_t,
                                     std::conditional_t<std::is_same_v<X, double>, double, float>>;
        using P = std::conditional_t<std::is_integral_v<X>, int64_t, double>;
        Job<E, P> job{x.data,
                      y.data,
                      reducer_of<E, P, Op>(),
                      &gather<X, E>,
                      std::is_same_v<X, E>,
                      y.dtype == x.dtype ? &store_as<X, P> : &store_as<int64_t, P>,
                      divisor};
        if constexpr (std::is_same_v<E, float> && std::is_same_v<Op, Sum>) {
          job.reducer.row = reduce_sums().row;
          job.reducer.columns = reduce_sums().columns;
        }
        run(job, x, y);
      });
}

template <class Op>
void test_with(const View& x, const View& y) {
  dispatch<float, double, bf16, f16, int32_t, int64_t, uint8_t, bool>(
      x.dtype, "any", [&](auto type) {
        using X = typename decltype(type)::type;
        const Job<int64_t, int64_t> job{
            x.data,       y.data, reducer_of<int64_t, int64_t, Op>(), &gather_truth<X>, false,
            &store_truth, 1};
        run(job, x, y);
      });
}

void reduce(ReduceOp op, double divisor, const View& x, const View& y) {
  switch (op) {
    case ReduceOp::sum:
      return reduce_with<Sum>(divisor, x, y);
    case ReduceOp::product:
      return reduce_with<Product>(1, x, y);
    case ReduceOp::max:
      return reduce_with<Max>(1, x, y);
    case ReduceOp::min:
      return reduce_with<Min>(1, x, y);
    case ReduceOp::any:
      return test_with<Max>(x, y);
    case ReduceOp::all:
      return test_with<Min>(x, y);
  }
}

}  // namespace
}  // namespace cpu

const ReduceKernels cpu_reduce = {
    .reduce = &cpu::reduce, .arg_extremum = &cpu::arg_extremum, .scan = &cpu::scan};

}  // namespace brume
