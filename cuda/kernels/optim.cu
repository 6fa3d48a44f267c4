// Family optim: one launch for a whole list of parameters. A launch takes up to 40 tensors as
// kernel arguments (nothing is uploaded, nothing waits); a block takes 4,096 elements of one of
// them, in 16-byte loads where all arrays allow it. Adam with an average moves 36 bytes per f32
// parameter; the bound is memory bandwidth.

#include <brume/core/kernels/optim.h>

#include <array>
#include <cmath>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/core/recording.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/math.cuh>
#include <brume/cuda/device/reduce.cuh>
#include <brume/cuda/device/shared.cuh>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256, kArrays = 6, kMostItems = 40;
constexpr int64_t kChunk = 4096;

/// Arrays of one parameter that are walked together; null for one that is not there.
template <class T>
struct Item {
  T* array[kArrays];
  int64_t n;
};

template <class T>
struct List {
  int count;
  bool packs;  // every array begins on a 16-byte boundary
  uint32_t first_block[kMostItems + 1];
  Item<T> item[kMostItems];

  /// The item that a block works on.
  __device__ int item_of(uint32_t block) const {
    int i = 0;
#pragma unroll 1
    while (block >= first_block[i + 1]) ++i;
    return i;
  }
};

// ---- what happens to an element: x[k] is array k's, `has` tells which are there

template <class T>
__device__ inline T towards(T a, T b, T rest) {
  return (b - a) * rest + a;
}

enum : int { kParam, kGrad, kFirst, kSecond, kMost, kAverage };

template <class T>
struct Adam {
  static constexpr unsigned kWritten =
      1U << kParam | 1U << kFirst | 1U << kSecond | 1U << kMost | 1U << kAverage;
  // Formed in f64 and then rounded: in f32, 1 - beta2 and the corrections would be off by 2e-5.
  T grad_scale, weight_decay, keep, beta1_rest, beta2, beta2_rest, correction, eps, step_size,
      average_rest;

  __device__ void operator()(T (&x)[kArrays], const bool (&has)[kArrays]) const {
    const T g = x[kParam] * weight_decay + x[kGrad] * grad_scale;
    x[kFirst] = towards(x[kFirst], g, beta1_rest);
    x[kSecond] = x[kSecond] * beta2 + g * g * beta2_rest;
    T v = x[kSecond];
    if (has[kMost]) v = x[kMost] = x[kMost] > v || x[kMost] != x[kMost] ? x[kMost] : v;
    x[kParam] = x[kFirst] / (root_of(v) * correction + eps) * -step_size + x[kParam] * keep;
    if (has[kAverage]) x[kAverage] = towards(x[kAverage], x[kParam], average_rest);
  }
};

template <class T>
struct Sgd {
  static constexpr unsigned kWritten = 1U << kParam | 1U << kFirst | 1U << kAverage;
  T grad_scale, weight_decay, momentum, rest, lr, average_rest;
  bool nesterov, first;

  __device__ void operator()(T (&x)[kArrays], const bool (&has)[kArrays]) const {
    T g = x[kParam] * weight_decay + x[kGrad] * grad_scale;
    if (has[kFirst]) {
      const T b = first ? g : x[kFirst] * momentum + g * rest;
      x[kFirst] = b;
      g = nesterov ? b * momentum + g : b;
    }
    x[kParam] -= g * lr;
    if (has[kAverage]) x[kAverage] = towards(x[kAverage], x[kParam], average_rest);
  }
};

template <class T>
struct Average {
  static constexpr unsigned kWritten = 1U << kAverage;
  T rest;
  __device__ void operator()(T (&x)[kArrays], const bool (&)[kArrays]) const {
    x[kAverage] = towards(x[kAverage], x[kParam], rest);
  }
};

template <class T>
struct Scaled {
  static constexpr unsigned kWritten = 1U << kParam;
  T factor;
  __device__ void operator()(T (&x)[kArrays], const bool (&)[kArrays]) const {
    x[kParam] *= factor;
  }
};

// ---- kernels

/// f(index of a thread's first element, how many) for this block's chunk.
template <class T, class F>
__device__ inline void for_steps(int64_t first, int64_t n, int width, F&& f) {
  const int64_t end = first + kChunk < n ? first + kChunk : n;
#pragma unroll 1
  for (int64_t i = first + int64_t{threadIdx.x} * width; i < end; i += int64_t{kThreads} * width)
    f(i, end - i < width ? static_cast<int>(end - i) : width);
}

template <class T, int kWidth, class F>
__device__ inline void update(const Item<T>& item, int64_t first, const F& f) {
  bool has[kArrays];
#pragma unroll
  for (int k = 0; k < kArrays; ++k) has[k] = item.array[k] != nullptr;
  for_steps<T>(first, item.n, kWidth, [&](int64_t i, int n) {
    Pack<T> x[kArrays];
#pragma unroll
    for (int k = 0; k < kArrays; ++k)
      if (has[k]) {
        if constexpr (kWidth == 1)
          x[k].at[0] = item.array[k][i];
        else
          x[k] = load_step(item.array[k] + i, 1, n);
      }
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      T at[kArrays];
#pragma unroll
      for (int k = 0; k < kArrays; ++k) at[k] = has[k] ? x[k].at[j] : T(0);
      f(at, has);
#pragma unroll
      for (int k = 0; k < kArrays; ++k) x[k].at[j] = at[k];
    }
#pragma unroll
    for (int k = 0; k < kArrays; ++k)
      if (has[k] && (F::kWritten >> k & 1) != 0) {
        if constexpr (kWidth == 1)
          item.array[k][i] = x[k].at[0];
        else
          store_step(item.array[k] + i, x[k], n);
      }
  });
}

// In a step that is replayed, what changes from one replay to the next is read from `renewed`; the
// factor of clipped gradients is the device's own.
template <class T, class F>
__global__ void __launch_bounds__(kThreads)
    update_list(List<T> list, F given, const F* renewed, const double* grad_factor) {
  F f = renewed ? *renewed : given;
  if constexpr (requires { f.grad_scale; }) {
    if (grad_factor) {
      const double factor = *grad_factor;
      if (factor != factor) return;
      f.grad_scale *= static_cast<T>(factor);
    }
  }
  const int i = list.item_of(blockIdx.x);
  const int64_t first = int64_t{blockIdx.x - list.first_block[i]} * kChunk;
  if (list.packs)
    update<T, Pack<T>::kCount>(list.item[i], first, f);
  else
    update<T, 1>(list.item[i], first, f);
}

template <class T>
__global__ void __launch_bounds__(kThreads) square_chunks(List<T> list, double* parts) {
  const int i = list.item_of(blockIdx.x);
  const Item<T>& item = list.item[i];
  double sum = 0;
  for_steps<T>(int64_t{blockIdx.x - list.first_block[i]} * kChunk, item.n, 1, [&](int64_t at, int) {
    const auto v = static_cast<double>(item.array[kParam][at]);
    sum += v * v;
  });
  sum = block_reduce<Sum>(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block per item adds up its chunks.
template <class T>
__global__ void __launch_bounds__(kThreads)
    join_chunks(List<T> list, const double* parts, double* sums) {
  const uint32_t end = list.first_block[blockIdx.x + 1];
  double sum = 0;
  for (uint32_t i = list.first_block[blockIdx.x] + threadIdx.x; i < end; i += kThreads)
    sum += parts[i];
  sum = block_reduce<Sum>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Terms in their order, as the host would add them; 256 at a time are fetched.
__global__ void __launch_bounds__(kThreads)
    join_norm(const double* sums, int64_t n, double max_norm, double* norm, double* factor) {
  SHARED(double, term, [kThreads]);
  double total = 0;
  for (int64_t first = 0; first < n; first += kThreads) {
    const int64_t left = n - first;
    const int count = left < kThreads ? static_cast<int>(left) : kThreads;
    const int mine = static_cast<int>(threadIdx.x);
    if (mine < count) term[mine] = sums[first + mine];
    __syncthreads();
    if (mine == 0)
      for (int i = 0; i < count; ++i) total += term[i];
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  *norm = sqrt(total);
  *factor = clip_factor(*norm, max_norm);
}

// ---- lists

/// f(list, number of its first item) for one launch after the other, of the items for which
/// item_of(i, item) is true; they are of one dtype and `alike(i, j)`.
template <class T, class ItemOf, class Alike, class F>
void for_lists(const char* op, size_t items, ItemOf item_of, Alike alike, F f) {
  for (size_t begin = 0; begin < items;) {
    List<T> list{};
    list.packs = true;
    int64_t blocks = 0;
    size_t i = begin;
    for (; i < items && list.count < kMostItems && alike(begin, i); ++i) {
      Item<T>& item = list.item[list.count++];
      item_of(i, item);
      for (const T* array : item.array) list.packs &= reinterpret_cast<uintptr_t>(array) % 16 == 0;
      blocks += ceil_div(item.n, kChunk);
      list.first_block[list.count] = count32(op, blocks);
    }
    f(list, begin);
    begin = i;
  }
}

/// f(begin, end) for each run of entries of one dtype.
template <class DTypeOf, class F>
void for_runs(size_t entries, DTypeOf dtype, F f) {
  for (size_t begin = 0, end = 0; begin < entries; begin = end) {
    while (end < entries && dtype(end) == dtype(begin)) ++end;
    f(begin, end);
  }
}

/// Updates entries with make(Type<T>, entry), those of one dtype that are `alike` at a time.
template <class Entry, class Views, class Make, class Alike>
void update_all(const char* op, std::span<const Entry> entries, const View& grad_factor,
                Views views, Make make, Alike alike) {
  const auto dtype = [&](size_t i) { return views(entries[i])[kParam]->dtype; };
  for_runs(entries.size(), dtype, [&](size_t begin, size_t end) {
    const std::span<const Entry> run = entries.subspan(begin, end - begin);
    dispatch<float, double>(dtype(begin), op, [&]<class T>(Type<T>) {
      const auto item_of = [&](size_t i, Item<T>& item) {
        const auto arrays = views(run[i]);
        for (size_t k = 0; k < arrays.size(); ++k)
          if (arrays[k]) item.array[k] = arrays[k]->template as<T>();
        item.n = numel(arrays[kParam]->shape);
      };
      const auto same = [&](size_t i, size_t j) { return alike(run[i], run[j]); };
      for_lists<T>(op, run.size(), item_of, same, [&](const List<T>& list, size_t first) {
        const auto f = make(Type<T>{}, run[first]);
        Recording* const recording = Recording::current();
        launch(update_list<T, std::remove_const_t<decltype(f)>>, list.first_block[list.count],
               kThreads, 0, stream(op), list, f, recording ? recording->place(f) : nullptr,
               grad_factor.as<double>());
      });
    });
  });
}

using Views = std::array<const View*, kArrays>;

void adam(std::span<const AdamEntry> entries, const AdamParams& p) {
  update_all(
      "adam", entries, p.grad_factor,
      [](const AdamEntry& e) {
        return Views{&e.param, &e.grad, &e.exp_avg, &e.exp_avg_sq, &e.max_exp_avg_sq, &e.average};
      },
      [&]<class T>(Type<T>, const AdamEntry& e) {
        const double correction1 = 1 - std::pow(p.beta1, static_cast<double>(e.step));
        const double correction2 = 1 - std::pow(p.beta2, static_cast<double>(e.step));
        return Adam<T>{.grad_scale = static_cast<T>(p.maximize ? -p.grad_scale : p.grad_scale),
                       .weight_decay = static_cast<T>(p.decoupled ? 0 : p.weight_decay),
                       .keep = static_cast<T>(p.decoupled ? 1 - p.lr * p.weight_decay : 1),
                       .beta1_rest = static_cast<T>(1 - p.beta1),
                       .beta2 = static_cast<T>(p.beta2),
                       .beta2_rest = static_cast<T>(1 - p.beta2),
                       .correction = static_cast<T>(1 / std::sqrt(correction2)),
                       .eps = static_cast<T>(p.eps),
                       .step_size = static_cast<T>(p.lr / correction1),
                       .average_rest = static_cast<T>(1 - p.average_decay)};
      },
      [](const AdamEntry& a, const AdamEntry& b) { return a.step == b.step; });
}

void sgd(std::span<const SgdEntry> entries, const SgdParams& p) {
  update_all(
      "sgd", entries, p.grad_factor,
      [](const SgdEntry& e) {
        return Views{&e.param, &e.grad, &e.momentum_buffer, nullptr, nullptr, &e.average};
      },
      [&]<class T>(Type<T>, const SgdEntry& e) {
        return Sgd<T>{.grad_scale = static_cast<T>(p.maximize ? -p.grad_scale : p.grad_scale),
                      .weight_decay = static_cast<T>(p.weight_decay),
                      .momentum = static_cast<T>(p.momentum),
                      .rest = static_cast<T>(1 - p.dampening),
                      .lr = static_cast<T>(p.lr),
                      .average_rest = static_cast<T>(1 - p.average_decay),
                      .nesterov = p.nesterov,
                      .first = e.first};
      },
      [](const SgdEntry& a, const SgdEntry& b) { return a.first == b.first; });
}

void average(std::span<const AverageEntry> entries, double decay) {
  update_all(
      "average", entries, {},
      [](const AverageEntry& e) {
        return Views{&e.param, nullptr, nullptr, nullptr, nullptr, &e.average};
      },
      [&]<class T>(Type<T>, const AverageEntry&) { return Average<T>{static_cast<T>(1 - decay)}; },
      [](const AverageEntry&, const AverageEntry&) { return true; });
}

void scale(std::span<const View> list, double factor) {
  update_all(
      "scale", list, {}, [](const View& x) { return Views{&x}; },
      [&]<class T>(Type<T>, const View&) { return Scaled<T>{static_cast<T>(factor)}; },
      [](const View&, const View&) { return true; });
}

void sums_of_squares(std::span<const View> list, const View& sums) {
  const char* op = "sums_of_squares";
  const auto dtype = [&](size_t i) { return list[i].dtype; };
  for_runs(list.size(), dtype, [&](size_t begin, size_t end) {
    dispatch<float, double>(dtype(begin), op, [&]<class T>(Type<T>) {
      const auto item_of = [&](size_t i, Item<T>& item) {
        item.array[kParam] = list[begin + i].as<T>();
        item.n = numel(list[begin + i].shape);
      };
      const auto same = [](size_t, size_t) { return true; };
      for_lists<T>(op, end - begin, item_of, same, [&](const List<T>& part, size_t first) {
        const uint32_t blocks = part.first_block[part.count];
        Scratch scratch;
        double* sums_of_blocks = scratch.take<double>(blocks);
        launch(square_chunks<T>, blocks, kThreads, 0, stream(op), part, sums_of_blocks);
        launch(join_chunks<T>, static_cast<unsigned>(part.count), kThreads, 0, stream(op), part,
               sums_of_blocks, sums.as<double>() + begin + first);
      });
    });
  });
}

void grad_norm(const View& sums, double max_norm, const View& norm, const View& factor) {
  launch(join_norm, 1, kThreads, 0, stream("grad_norm"), sums.as<double>(), numel(sums.shape),
         max_norm, norm.as<double>(), factor.as<double>());
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const OptimKernels cuda_optim{.adam = cuda::adam,
                              .sgd = cuda::sgd,
                              .average = cuda::average,
                              .scale = cuda::scale,
                              .sums_of_squares = cuda::sums_of_squares,
                              .grad_norm = cuda::grad_norm};

}  // namespace brume
