// Family reduce. A place of y is the fold of a set of elements of x; one kernel serves every
// layout.
//
// 256 threads work on 256 / down places, `down` threads on each: neighbouring threads read
// neighbouring elements, whether those belong to one place (rows) or to neighbouring places
// (columns). Four loads of a thread are under way at once. A thread folds at most 64 elements; more
// are cut into chunks, whose results [chunk][place] the same kernel folds again: no atomics, and
// bits that follow from the shapes alone. x is read once; the bound is memory bandwidth, beside
// which sums in f64 cost nothing.

#include <brume/core/kernels/reduce.h>

#include <limits>

#include <brume/core/math/ceil_div.h>
#include <brume/core/reduce_plan.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/kernels/scan.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/element.cuh>
#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {
namespace {

constexpr uint32_t kThreads = 256, kLoads = 4, kPerThread = 64;

// ---- what is folded

struct Sum {
  template <class P>
  static constexpr P kIdentity = 0;
  template <class P>
  __device__ static P join(P a, P b) {
    return a + b;
  }
};
struct Product {
  template <class P>
  static constexpr P kIdentity = 1;
  template <class P>
  __device__ static P join(P a, P b) {
    return a * b;
  }
};
template <class P>
constexpr P kLargest = std::numeric_limits<P>::has_infinity ? std::numeric_limits<P>::infinity()
                                                            : std::numeric_limits<P>::max();
struct Max {
  template <class P>
  static constexpr P kIdentity = std::is_integral_v<P> ? std::numeric_limits<P>::min()
                                                       : -kLargest<P>;
  template <class P>
  __device__ static P join(P a, P b) {
    return b > a || b != b ? b : a;
  }
};
struct Min {
  template <class P>
  static constexpr P kIdentity = kLargest<P>;
  template <class P>
  __device__ static P join(P a, P b) {
    return b < a || b != b ? b : a;
  }
};

struct AnyTrue {
  template <class P>
  static constexpr P kIdentity = 0;
  template <class P>
  __device__ static P join(P a, P b) {
    return a | b;
  }
};
struct AllTrue {
  template <class P>
  static constexpr P kIdentity = 1;
  template <class P>
  __device__ static P join(P a, P b) {
    return a & b;
  }
};

// How an element is read: as X, as whatever the view says, or as its truth.
template <class X>
struct As {
  template <class P>
  __device__ static P load(const void* x, DType, int64_t i) {
    return load_as<P>(x, dtype_of<X>, i);
  }
};
struct AsIs {
  template <class P>
  __device__ static P load(const void* x, DType dtype, int64_t i) {
    return load_as<P>(x, dtype, i);
  }
};
struct Truth {
  template <class P>
  __device__ static P load(const void* x, DType dtype, int64_t i) {
    return load_as<double>(x, dtype, i) != 0;
  }
};

/// What a reduction keeps of the elements that it has seen.
template <class Join, class Read, class P>
struct Fold {
  using Partial = P;
  __device__ static P identity() { return Join::template kIdentity<P>; }
  __device__ static P load(const void* x, DType dtype, int64_t i, uint32_t) {
    return Read::template load<P>(x, dtype, i);
  }
  __device__ static P join(P a, P b) { return Join::join(a, b); }
  __device__ static void store(void* y, DType dtype, int64_t i, P value, double divisor) {
    if constexpr (std::is_integral_v<P>)
      store_as(y, dtype, i, value);
    else
      store_as(y, dtype, i, value / divisor);
  }
};

template <class T>
struct Found {
  T value;
  int64_t at;  // -1: nothing yet
};
/// The position of the first extremum; NaN is more extreme than any number.
template <class T, bool kLargestWins>
struct FirstExtremum {
  using Partial = Found<T>;
  __device__ static Partial identity() { return {T(0), -1}; }
  __device__ static Partial load(const void* x, DType, int64_t i, uint32_t element) {
    return {static_cast<const T*>(x)[i], static_cast<int64_t>(element)};
  }
  __device__ static bool beats(const Partial& a, const Partial& b) {
    if (b.at < 0 || a.at < 0) return b.at < 0;
    return (kLargestWins ? a.value > b.value : a.value < b.value) ||
           (a.value != a.value && b.value == b.value);
  }
  __device__ static Partial join(const Partial& a, const Partial& b) {
    if (beats(a, b)) return a;
    if (beats(b, a)) return b;
    return a.at < b.at ? a : b;
  }
  __device__ static void store(void* y, DType, int64_t i, const Partial& best, double) {
    static_cast<int64_t*>(y)[i] = best.at;
  }
};

// ---- the kernel

struct Cut {
  uint32_t down;   // threads on a place, a power of two
  bool along;      // neighbouring threads share a place
  uint32_t chunk;  // elements
  uint32_t chunks;
  bool partial;  // y is [chunk][place]
  double divisor;
};

// places: y, x. elements: x, from the place on.
template <class F>
__global__ void __launch_bounds__(kThreads, 4) fold(Cut cut, Steps<2> places, Steps<1> elements) {
  using P = typename F::Partial;
  SHARED(P, board, [kThreads]);
  const uint32_t t = threadIdx.x, side = kThreads / cut.down;
  const uint32_t d = cut.along ? t % cut.down : t / side, p = cut.along ? t / cut.down : t % side;
  const uint32_t step = cut.along ? 1 : side;
  const uint32_t blocks = gridDim.x / cut.chunks, chunk = blockIdx.x / blocks;
  const uint32_t place = (blockIdx.x - chunk * blocks) * side + p;
  int64_t at[2] = {0, 0};
  P total = F::identity();
  if (place < places.count) {
    places.locate<1>(place, at);
    const uint32_t begin = chunk * cut.chunk;
    const uint32_t end = elements.count - begin < cut.chunk ? elements.count : begin + cut.chunk;
#pragma unroll 1
    for (uint32_t e = begin + d; e < end; e += kLoads * cut.down) {
      P x[kLoads];
#pragma unroll
      for (uint32_t u = 0; u < kLoads; ++u) {
        const uint32_t element = e + u * cut.down;
        int64_t offset[1];
        x[u] = F::identity();
        if (element >= end) continue;
        elements.locate<1>(element, offset);
        x[u] = F::load(places.data[1], places.dtype[1], at[1] + offset[0], element);
      }
#pragma unroll
      for (uint32_t u = 0; u < kLoads; ++u) total = F::join(total, x[u]);
    }
  }
  board[t] = total;
  for (uint32_t half = cut.down / 2; half > 0; half /= 2) {
    __syncthreads();
    if (d < half) board[t] = F::join(board[t], board[t + half * step]);
  }
  if (d == 0 && place < places.count)
    F::store(places.data[0], places.dtype[0],
             cut.partial ? static_cast<int64_t>(chunk) * places.count + place : at[0], board[t],
             cut.divisor);
}

// ---- the launches

uint32_t power_of_two_from(int64_t n, uint32_t most) {
  uint32_t p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

Cut cut_of(uint32_t places, uint32_t elements, bool along, double divisor) {
  Cut cut{};
  cut.along = along;
  if (along)
    cut.down = elements > 1024 ? kThreads : power_of_two_from(ceil_div(elements, kLoads), 32);
  else
    cut.down = kThreads / power_of_two_from(places, 32);
  cut.chunk = cut.down * kPerThread;
  cut.chunks = static_cast<uint32_t>(ceil_div(elements, cut.chunk));
  if (cut.chunks == 0) cut.chunks = 1;
  cut.divisor = divisor;
  return cut;
}

template <class F>
void launch_fold(const char* op, const Cut& cut, const Steps<2>& places, const Steps<1>& elements) {
  const int64_t blocks = ceil_div(places.count, kThreads / cut.down) * cut.chunks;
  launch(fold<F>, count32(op, blocks), kThreads, 0, stream(op), cut, places, elements);
}

/// A reduction's places (in y and in x), and the elements of a place (in x).
struct Job {
  const char* op;
  Steps<2> places{};
  Steps<1> elements{};
  bool along;

  Job(const char* op_, const View& x, const View& y) : op(op_) {
    const ReducePlan plan = reduce_plan(x, y);
    along = !plan.innermost_stays;
    places.count = count32(op, plan.kept_count * plan.columns.size);
    elements.count = count32(op, plan.reduced_count * plan.run.size);
    places.data[0] = y.data;
    places.dtype[0] = y.dtype;
    places.data[1] = x.data;
    places.dtype[1] = x.dtype;
    if (places.count == 0) return;
    add_axis(places, plan.columns.size, {plan.columns.y, plan.columns.x});
    for (int i = plan.kept.count(); i-- > 0;)
      add_axis(places, plan.kept[i].size, {plan.kept[i].y, plan.kept[i].x});
    if (elements.count == 0) return;
    add_axis(elements, plan.run.size, {plan.run.x});
    for (int i = plan.reduced.count(); i-- > 0;)
      add_axis(elements, plan.reduced[i].size, {plan.reduced[i].x});
  }
};

// The last pass writes to y, those before it to [chunk][place].
template <class First, class Next>
void fold_in_passes(Job job, double divisor) {
  using P = typename First::Partial;
  if (job.places.count == 0) return;
  Cut cut = cut_of(job.places.count, job.elements.count, job.along, divisor);
  if (cut.chunks == 1) return launch_fold<First>(job.op, cut, job.places, job.elements);
  Scratch scratch;
  Steps<2> partials = job.places;
  partials.data[0] = scratch.take<P>(int64_t{job.places.count} * cut.chunks);
  partials.dtype[0] = dtype_of<P>;
  cut.partial = true;
  launch_fold<First>(job.op, cut, partials, job.elements);
  job.places.data[1] = partials.data[0];
  job.places.dtype[1] = dtype_of<P>;
  int64_t dense = 1;
  for (int axis = 0; axis < job.places.rank; ++axis) {
    job.places.stride[1][axis] = dense;
    dense *= job.places.size[axis].divisor();
  }
  job.elements = {};
  job.elements.count = cut.chunks;
  add_axis(job.elements, cut.chunks, {static_cast<int64_t>(job.places.count)});
  job.along = job.places.count == 1;
  fold_in_passes<Next, Next>(job, divisor);
}

template <class Op>
void fold_as(const Job& job, double divisor, DType dtype) {
  const auto over = [&]<class X>(Type<X>) {
    fold_in_passes<Fold<Op, As<X>, double>, Fold<Op, As<double>, double>>(job, divisor);
  };
  if (is_floating(dtype)) return dispatch<float, double, bf16, f16>(dtype, job.op, over);
  fold_in_passes<Fold<Op, AsIs, int64_t>, Fold<Op, AsIs, int64_t>>(job, divisor);
}

void reduce(ReduceOp op, double divisor, const View& x, const View& y) {
  const Job job("reduce", x, y);
  switch (op) {
    case ReduceOp::sum:
      return fold_as<Sum>(job, divisor, x.dtype);
    case ReduceOp::product:
      return fold_as<Product>(job, 1, x.dtype);
    case ReduceOp::max:
      return fold_as<Max>(job, 1, x.dtype);
    case ReduceOp::min:
      return fold_as<Min>(job, 1, x.dtype);
    case ReduceOp::any:
      return fold_in_passes<Fold<AnyTrue, Truth, int64_t>, Fold<AnyTrue, AsIs, int64_t>>(job, 1);
    case ReduceOp::all:
      return fold_in_passes<Fold<AllTrue, Truth, int64_t>, Fold<AllTrue, AsIs, int64_t>>(job, 1);
  }
}

void arg_extremum(bool largest, int, const View& x, const View& y) {
  const Job job("arg_extremum", x, y);
  if (job.places.count == 0) return;
  Cut cut = cut_of(job.places.count, job.elements.count, job.along, 1);
  cut.chunk = job.elements.count;  // a position cannot be carried from pass to pass
  cut.chunks = 1;
  dispatch<float, double, int32_t, int64_t, uint8_t>(x.dtype, job.op, [&]<class T>(Type<T>) {
    (largest ? launch_fold<FirstExtremum<T, true>>
             : launch_fold<FirstExtremum<T, false>>)(job.op, cut, job.places, job.elements);
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const ReduceKernels cuda_reduce{
    .reduce = cuda::reduce, .arg_extremum = cuda::arg_extremum, .scan = cuda::scan};

}  // namespace brume
