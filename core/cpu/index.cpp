// Choosing and placing by indices. Whatever is added into one place is added in the order of the
// indices, so results do not depend on threads.

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/lines.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/simd.h>

namespace brume {
namespace cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements per piece of work

// A row-major tensor around one axis: [outer, size, inner].
struct Around {
  int64_t outer = 1, size, inner = 1;
  Around(const View& x, int axis) : size(x.size(axis)) {
    for (int i = 0; i < axis; ++i) outer *= x.size(i);
    for (int i = axis + 1; i < x.rank(); ++i) inner *= x.size(i);
  }
};

// sum[c] += x[c] for c < n
template <class T>
void add_row(const T* x, int64_t n, T* sum) {
  using V = math::Wide<T>;
  int64_t c = 0;
  for (; c + V::kLanes <= n; c += V::kLanes) (V::load(sum + c) + V::load(x + c)).store(sum + c);
  for (; c < n; ++c) sum[c] += x[c];
}

// f(Type<T>) with an unsigned T as wide as the dtype: for kernels that only move elements.
template <class F>
void dispatch_size(DType dtype, const F& f) {
  switch (item_size(dtype)) {
    case 1:
      return f(Type<uint8_t>{});
    case 2:
      return f(Type<uint16_t>{});
    case 4:
      return f(Type<uint32_t>{});
    default:
      return f(Type<uint64_t>{});
  }
}

void check_indices(const char* who, int64_t limit, const View& index) {
  for_each_line(index, index.rank() - 1, kGrain, [&](const Line& line) {
    const int64_t* at = index.as<int64_t>() + line.offset(index);
    const int64_t step = index.stride(-1);
    for (int64_t i = 0; i < index.size(-1); ++i) check_in_range(who, limit, at[i * step]);
  });
}

void index_select(int axis, const View& x, const View& index, const View& y) {
  const Around from(x, axis), to(y, axis);
  const int64_t* rows = index.as<int64_t>();
  const int64_t bytes = to.inner * item_size(x.dtype);
  const char* in = x.as<char>();
  char* out = y.as<char>();
  parallel_for(to.outer * to.size, std::max<int64_t>(kGrain / std::max<int64_t>(to.inner, 1), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   std::memcpy(out + i * bytes,
                               in + (i / to.size * from.size + rows[i % to.size]) * bytes,
                               static_cast<size_t>(bytes));
               });
}

// The positions of `index` grouped by where they point, in their own order within a group.
struct Groups {
  std::vector<int64_t> first, members;  // group r: members[first[r]] .. members[first[r + 1] - 1]
  Groups(const int64_t* index, int64_t count, int64_t targets)
      : first(static_cast<size_t>(targets) + 1, 0), members(static_cast<size_t>(count)) {
    for (int64_t j = 0; j < count; ++j) ++first[static_cast<size_t>(index[j]) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (int64_t j = 0; j < count; ++j)
      members[static_cast<size_t>(next[static_cast<size_t>(index[j])]++)] = j;
  }
};

void index_add(int axis, const View& index, const View& source, const View& y) {
  const Around from(source, axis), to(y, axis);
  const Groups groups(index.as<int64_t>(), from.size, to.size);
  dispatch<float, double, int64_t>(y.dtype, "index_add", [&](auto type) {
    using T = typename decltype(type)::type;
    const T* in = source.as<T>();
    T* out = y.as<T>();
    parallel_for(to.outer * to.size, std::max<int64_t>(kGrain / std::max<int64_t>(to.inner, 1), 1),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const auto row = static_cast<size_t>(i % to.size);
                     for (int64_t m = groups.first[row]; m < groups.first[row + 1]; ++m) {
                       const int64_t j = groups.members[static_cast<size_t>(m)];
                       const T* addend = in + (i / to.size * from.size + j) * to.inner;
                       add_row(addend, to.inner, out + i * to.inner);
                     }
                   }
                 });
  });
}

void gather(int axis, const View& x, const View& index, const View& y) {
  dispatch_size(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    for_each_line(index, axis, kGrain, [&](const Line& line) {
      const T* in = x.as<T>() + line.offset(x);
      const int64_t* at = index.as<int64_t>() + line.offset(index);
      T* out = y.as<T>() + line.offset(y);
      for (int64_t i = 0; i < index.size(axis); ++i)
        out[i * y.stride(axis)] = in[at[i * index.stride(axis)] * x.stride(axis)];
    });
  });
}

void segment_sum(const View& x, const View& offsets, const View& members, const View& y) {
  const Around rows(y, 0);
  const int64_t *first = offsets.as<int64_t>(), *member = members.as<int64_t>();
  dispatch<float, double>(y.dtype, "segment_sum", [&](auto type) {
    using T = typename decltype(type)::type;
    const T* in = x.as<T>();
    T* out = y.as<T>();
    parallel_for(rows.size, std::max<int64_t>(kGrain / std::max<int64_t>(rows.inner, 1), 1),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     T* sum = out + i * rows.inner;
                     std::fill_n(sum, rows.inner, T(0));
                     for (int64_t k = first[i]; k < first[i + 1]; ++k)
                       add_row(in + member[k] * rows.inner, rows.inner, sum);
                   }
                 });
  });
}

template <class T>
T joined(ScatterReduce reduce, T held, T value) {
  switch (reduce) {
    case ScatterReduce::max:
      return value > held || value != value ? value : held;
    case ScatterReduce::min:
      return value < held || value != value ? value : held;
    case ScatterReduce::replace:
      return value;
    default:
      return held + value;  // sum; mean divides at the end
  }
}

template <class T>
void scatter_line(ScatterReduce reduce, bool include_self, int axis, const View& index,
                  const View& source, const View& y, const Line& line,
                  std::vector<int64_t>& counts) {
  const int64_t* at = index.as<int64_t>() + line.offset(index);
  const T* in = source.as<T>() + line.offset(source);
  T* out = y.as<T>() + line.offset(y);
  std::fill(counts.begin(), counts.end(), include_self ? 1 : 0);
  for (int64_t i = 0; i < index.size(axis); ++i) {
    const int64_t to = at[i * index.stride(axis)];
    T& place = out[to * y.stride(axis)];
    const T value = in[i * source.stride(axis)];
    place = counts[static_cast<size_t>(to)]++ == 0 ? value : joined(reduce, place, value);
  }
  if (reduce != ScatterReduce::mean) return;
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 1) out[static_cast<int64_t>(i) * y.stride(axis)] /= static_cast<T>(counts[i]);
}

void scatter(ScatterReduce reduce, bool include_self, int axis, const View& index,
             const View& source, const View& y) {
  dispatch<float, double, int64_t>(y.dtype, "scatter", [&](auto type) {
    using T = typename decltype(type)::type;
    for_each_line(index, axis, kGrain, [&](const Line& line) {
      thread_local std::vector<int64_t> counts;
      counts.resize(static_cast<size_t>(y.size(axis)));
      scatter_line<T>(reduce, include_self, axis, index, source, y, line, counts);
    });
  });
}

void argsort(int axis, bool descending, const View& x, const View& positions) {
  dispatch<float, double, int32_t, int64_t, uint8_t>(x.dtype, "sort", [&](auto type) {
    using T = typename decltype(type)::type;
    const int64_t n = x.size(axis), step = x.stride(axis);
    for_each_line(x, axis, kGrain / 8, [&](const Line& line) {
      const T* in = x.as<T>() + line.offset(x);
      int64_t* out = positions.as<int64_t>() + line.offset(positions);
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        const T a = in[(descending ? j : i) * step], b = in[(descending ? i : j) * step];
        return a < b || (b != b && a == a);
      });
      for (int64_t i = 0; i < n; ++i)
        out[i * positions.stride(axis)] = order[static_cast<size_t>(i)];
    });
  });
}

// One thread: each position is known only when those before it are counted.
void nonzero(const View& mask, const View& y) {
  const bool* in = mask.as<bool>();
  int64_t* out = y.as<int64_t>();
  Dims index = Dims::filled(mask.rank(), 0);
  const int64_t count = numel(mask.shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (int axis = 0; axis < mask.rank(); ++axis) at += index[axis] * mask.strides[axis];
    if (in[at]) out = std::copy(index.begin(), index.end(), out);
    for (int axis = mask.rank() - 1; axis >= 0 && ++index[axis] == mask.size(axis); --axis)
      index[axis] = 0;
  }
}

void searchsorted(bool right, const View& sorted, const View& values, const View& y) {
  const int64_t n = sorted.size(-1);
  const int64_t m = sorted.rank() == 1 ? numel(values.shape) : values.size(-1);
  dispatch<float, double, int32_t, int64_t>(values.dtype, "searchsorted", [&](auto type) {
    using T = typename decltype(type)::type;
    parallel_for(numel(values.shape), kGrain / 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = sorted.as<T>() + i / m * n;
        const T value = values.as<T>()[i];
        y.as<int64_t>()[i] = (right ? std::upper_bound(row, row + n, value)
                                    : std::lower_bound(row, row + n, value)) -
                             row;
      }
    });
  });
}

}  // namespace
}  // namespace cpu

const IndexKernels cpu_index = {.check_indices = &cpu::check_indices,
                                .index_select = &cpu::index_select,
                                .index_add = &cpu::index_add,
                                .segment_sum = &cpu::segment_sum,
                                .gather = &cpu::gather,
                                .scatter = &cpu::scatter,
                                .argsort = &cpu::argsort,
                                .nonzero = &cpu::nonzero,
                                .searchsorted = &cpu::searchsorted};

}  // namespace brume
