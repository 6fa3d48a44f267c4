// Family index: elements chosen and placed by integer tensors. A thread makes one element of the
// result and adds what belongs there in order, so there are no atomics and results repeat; whatever
// is added by index is first sorted by where it goes.

#include <brume/core/kernels/index.h>

#include <algorithm>
#include <string>
#include <vector>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/core/recording.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/kernels/sort.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/bound.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

template <class... P, class... A>
void launch_each(void (*kernel)(P...), const char* op, int64_t threads, A&&... args) {
  launch(kernel, count32(op, ceil_div(threads, kThreads)), kThreads, 0, stream(op),
         std::forward<A>(args)...);
}
__device__ inline int64_t thread_number() { return int64_t{blockIdx.x} * kThreads + threadIdx.x; }

/// f(Type<T>) with an unsigned T as wide as the dtype: for kernels that only move elements.
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

/// A row-major tensor around one axis: [outer, size, inner].
struct Around {
  int64_t outer = 1, size, inner = 1;
  Around(const View& x, int axis) : size(x.size(axis)) {
    for (int i = 0; i < axis; ++i) outer *= x.size(i);
    for (int i = axis + 1; i < x.rank(); ++i) inner *= x.size(i);
  }
};

// ---- check_indices, confine_indices

__global__ void __launch_bounds__(kThreads)
    find_outside(Steps<1> steps, int64_t limit, int* found) {
  const int64_t i = thread_number();
  if (i >= steps.count) return;
  int64_t offset[1];
  steps.locate<1>(static_cast<uint32_t>(i), offset);
  const int64_t at = static_cast<const int64_t*>(steps.data[0])[offset[0]];
  if (at < 0 || at >= limit) *found = 1;  // whoever comes last: the same value
}

// The one place where the host waits for the device: the error has to be raised here.
void check_indices(const char* who, int64_t limit, const View& index) {
  const int64_t n = numel(index.shape);
  if (n == 0) return;
  const View* views[] = {&index};
  Scratch scratch;
  int* found = scratch.take<int>(1);
  memory.fill_bytes(found, 0, sizeof(int));
  for_each_launch(Walk(views, index), views, 1, [&](const Steps<1>& steps) {
    launch_each(find_outside, who, steps.count, steps, limit, found);
  });
  int outside = 0;
  memory.to_host(&outside, found, sizeof outside);
  if (outside == 0) return;
  std::vector<int64_t> values(static_cast<size_t>(n));
  const View copy{scratch.take<int64_t>(n), DType::i64, index.shape, dense_strides(index.shape)};
  cuda_pointwise.copy(index, copy);
  memory.to_host(values.data(), copy.data, values.size() * sizeof(int64_t));
  for (const int64_t at : values) check_in_range(who, limit, at);
}

// steps: y, index. As an unsigned number a negative one is larger than all others, and none that is
// outside is 0.
__global__ void __launch_bounds__(kThreads)
    confine(Steps<2> steps, int64_t limit, unsigned long long* outside) {
  const int64_t i = thread_number();
  if (i >= steps.count) return;
  int64_t offset[2];
  steps.locate<1>(static_cast<uint32_t>(i), offset);
  const int64_t at = static_cast<const int64_t*>(steps.data[1])[offset[1]];
  const bool inside = at >= 0 && at < limit;
  static_cast<int64_t*>(steps.data[0])[offset[0]] = inside ? at : 0;
  if (!inside) atomicMax(outside, static_cast<unsigned long long>(at));
}

void confine_indices(const char* who, int64_t limit, const View& index, const View& y) {
  Recording& recording = *Recording::current();
  if (recording.phase() == Recording::Phase::rehearsing) {
    check_indices(who, limit, index);
    cuda_pointwise.copy(index, y);
    return;
  }
  const auto raise = [who = std::string(who), limit](uint64_t at) {
    check_in_range(who.c_str(), limit, static_cast<int64_t>(at));
  };
  auto* const outside = reinterpret_cast<unsigned long long*>(recording.note(raise));
  const View* views[] = {&y, &index};
  for_each_launch(Walk(views, y), views, 1, [&](const Steps<2>& steps) {
    launch_each(confine, who, steps.count, steps, limit, outside);
  });
}

// ---- index_select, gather

template <class T>
__global__ void __launch_bounds__(kThreads)
    select_rows(int64_t n, Around from, Around to, const T* x, const int64_t* index, T* y) {
  const int64_t i = thread_number();
  if (i >= n) return;
  const int64_t c = i % to.inner, row = i / to.inner % to.size, outer = i / to.inner / to.size;
  y[i] = x[(outer * from.size + index[row]) * from.inner + c];
}

void index_select(int axis, const View& x, const View& index, const View& y) {
  const int64_t n = numel(y.shape);
  dispatch_size(x.dtype, [&]<class T>(Type<T>) {
    launch_each(select_rows<T>, "index_select", n, n, Around(x, axis), Around(y, axis), x.as<T>(),
                index.as<int64_t>(), y.as<T>());
  });
}

// steps: y, x without its axis, index.
template <class T>
__global__ void __launch_bounds__(kThreads) gather_elements(Steps<3> steps, int64_t x_stride) {
  const int64_t i = thread_number();
  if (i >= steps.count) return;
  int64_t at[3];
  steps.locate<1>(static_cast<uint32_t>(i), at);
  const int64_t from = static_cast<const int64_t*>(steps.data[2])[at[2]];
  static_cast<T*>(steps.data[0])[at[0]] =
      static_cast<const T*>(steps.data[1])[at[1] + from * x_stride];
}

void gather(int axis, const View& x, const View& index, const View& y) {
  if (numel(y.shape) == 0) return;
  Steps<3> steps;
  steps.count = count32("gather", numel(y.shape));
  steps.data[0] = y.data;
  steps.data[1] = x.data;
  steps.data[2] = index.data;
  for (int i = y.rank(); i-- > 0;)
    add_axis(steps, y.size(i), {y.stride(i), i == axis ? 0 : x.stride(i), index.stride(i)});
  dispatch_size(x.dtype, [&]<class T>(Type<T>) {
    launch_each(gather_elements<T>, "gather", steps.count, steps, x.stride(axis));
  });
}

// ---- sums of rows

/// Row i of y takes the rows members[first[i]] .. members[first[i + 1] - 1] of x.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_rows(int64_t n, int64_t from_size, Around to, const T* x, const int64_t* first,
             const int64_t* members, bool add, T* y) {
  const int64_t i = thread_number();
  if (i >= n) return;
  const int64_t c = i % to.inner, row = i / to.inner % to.size, outer = i / to.inner / to.size;
  const T* in = x + outer * from_size * to.inner + c;
  T sum = add ? y[i] : T(0);
#pragma unroll 1
  for (int64_t k = first[row]; k < first[row + 1]; ++k) sum += in[members[k] * to.inner];
  y[i] = sum;
}

void segment_sum(const View& x, const View& offsets, const View& members, const View& y) {
  const int64_t n = numel(y.shape);
  dispatch<float, double>(y.dtype, "segment_sum", [&]<class T>(Type<T>) {
    launch_each(sum_rows<T>, "segment_sum", n, n, int64_t{0}, Around(y, 0), x.as<T>(),
                offsets.as<int64_t>(), members.as<int64_t>(), false, y.as<T>());
  });
}

// first[r] = how many of the sorted indices are below r.
__global__ void __launch_bounds__(kThreads)
    find_groups(int64_t groups, int64_t n, const int64_t* index, const int64_t* members,
                int64_t* first) {
  const int64_t r = thread_number();
  if (r > groups) return;
  first[r] = first_not(0, n, [&](int64_t k) { return index[members[k]] < r; });
}

void index_add(int axis, const View& index, const View& source, const View& y) {
  constexpr const char* kOp = "index_add";
  const Around from(source, axis), to(y, axis);
  const int64_t n = numel(y.shape);
  if (n == 0 || from.size == 0) return;
  Scratch scratch;
  auto *members = scratch.take<int64_t>(from.size), *first = scratch.take<int64_t>(to.size + 1);
  const View flat{index.data, DType::i64, {from.size}, {1}};
  argsort(0, false, flat, {members, DType::i64, {from.size}, {1}});
  launch_each(find_groups, kOp, to.size + 1, to.size, from.size, index.as<int64_t>(), members,
              first);
  dispatch<float, double, int64_t>(y.dtype, kOp, [&]<class T>(Type<T>) {
    launch_each(sum_rows<T>, kOp, n, n, from.size, to, source.as<T>(), first, members, true,
                y.as<T>());
  });
}

// ---- scatter

struct Line {
  int64_t n;  // indices
  int64_t index_stride, source_stride;
  ScatterReduce reduce;
  bool include_self;
};

// steps: y, index and source without their axis; a thread looks through its line for what goes to
// its place.
template <class T>
__global__ void __launch_bounds__(kThreads) scatter_places(Steps<3> steps, Line line) {
  const int64_t i = thread_number();
  if (i >= steps.count) return;
  int64_t at[3];
  steps.locate<1>(static_cast<uint32_t>(i), at);
  const int64_t place = i % steps.size[0].divisor();
  const int64_t* index = static_cast<const int64_t*>(steps.data[1]) + at[1];
  const T* source = static_cast<const T*>(steps.data[2]) + at[2];
  T* y = static_cast<T*>(steps.data[0]) + at[0];
  T held = *y;
  int64_t count = line.include_self ? 1 : 0;
#pragma unroll 1
  for (int64_t k = 0; k < line.n; ++k) {
    if (index[k * line.index_stride] != place) continue;
    const T value = source[k * line.source_stride];
    if (count++ == 0 || line.reduce == ScatterReduce::replace)
      held = value;
    else if (line.reduce == ScatterReduce::max)
      held = value > held || value != value ? value : held;
    else if (line.reduce == ScatterReduce::min)
      held = value < held || value != value ? value : held;
    else
      held += value;
  }
  if (line.reduce == ScatterReduce::mean && count > 1) held /= static_cast<T>(count);
  *y = held;
}

void scatter(ScatterReduce reduce, bool include_self, int axis, const View& index,
             const View& source, const View& y) {
  int64_t n = y.size(axis);
  for (int i = 0; i < index.rank(); ++i)
    if (i != axis) n *= index.size(i);
  if (n == 0) return;
  Steps<3> steps;
  steps.count = count32("scatter", n);
  steps.data[0] = y.data;
  steps.data[1] = index.data;
  steps.data[2] = source.data;
  add_axis(steps, y.size(axis), {y.stride(axis), 0, 0});
  for (int i = y.rank(); i-- > 0;)
    if (i != axis) add_axis(steps, index.size(i), {y.stride(i), index.stride(i), source.stride(i)});
  const Line line{index.size(axis), index.stride(axis), source.stride(axis), reduce, include_self};
  dispatch<float, double, int64_t>(y.dtype, "scatter", [&]<class T>(Type<T>) {
    launch_each(scatter_places<T>, "scatter", n, steps, line);
  });
}

// ---- nonzero, searchsorted

// axes: the mask's, without strides.
__global__ void __launch_bounds__(kThreads)
    unravel_positions(int64_t count, Steps<1> axes, const int64_t* position, int64_t* y) {
  const int64_t i = thread_number();
  if (i >= count) return;
  auto rest = static_cast<uint32_t>(position[i]);
#pragma unroll 1
  for (int axis = 0; axis < axes.rank; ++axis) {
    const uint32_t next = axes.size[axis].quotient(rest);
    y[(i + 1) * axes.rank - 1 - axis] = rest - next * axes.size[axis].divisor();
    rest = next;
  }
}

// A stable sort brings the true elements to the front, in their order.
void nonzero(const View& mask, const View& y) {
  const int64_t n = numel(mask.shape), count = y.size(0);
  if (count == 0) return;
  Scratch scratch;
  const View truth{scratch.take<uint8_t>(n), DType::u8, mask.shape, dense_strides(mask.shape)};
  auto* positions = scratch.take<int64_t>(n);
  cuda_pointwise.copy(mask, truth);
  argsort(0, true, {truth.data, DType::u8, {n}, {1}}, {positions, DType::i64, {n}, {1}});
  Steps<1> axes;
  for (int i = mask.rank(); i-- > 0;) add_axis(axes, mask.size(i), {0});
  launch_each(unravel_positions, "nonzero", count, count, axes, positions, y.as<int64_t>());
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    find_places(int64_t count, bool right, int64_t n, int64_t per_row, const T* sorted,
                const T* values, int64_t* y) {
  const int64_t i = thread_number();
  if (i >= count) return;
  const T *row = sorted + i / per_row * n, value = values[i];
  y[i] = first_not(0, n, [&](int64_t k) { return right ? !(value < row[k]) : row[k] < value; });
}

void searchsorted(bool right, const View& sorted, const View& values, const View& y) {
  const int64_t count = numel(values.shape);
  const int64_t per_row = sorted.rank() == 1 ? count : values.size(-1);
  dispatch<float, double, int32_t, int64_t>(values.dtype, "searchsorted", [&]<class T>(Type<T>) {
    launch_each(find_places<T>, "searchsorted", count, count, right, sorted.size(-1), per_row,
                sorted.as<T>(), values.as<T>(), y.as<int64_t>());
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const IndexKernels cuda_index{.check_indices = cuda::check_indices,
                              .confine_indices = cuda::confine_indices,
                              .index_select = cuda::index_select,
                              .index_add = cuda::index_add,
                              .segment_sum = cuda::segment_sum,
                              .gather = cuda::gather,
                              .scatter = cuda::scatter,
                              .argsort = cuda::argsort,
                              .nonzero = cuda::nonzero,
                              .searchsorted = cuda::searchsorted};

}  // namespace brume
