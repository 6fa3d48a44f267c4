// Family pointwise: chooses the kernel of a function and lays out its launches; copy and fill.

#include <brume/core/kernels/pointwise.h>

#include <cstddef>
#include <cstring>
#include <type_traits>

#include <brume/core/walk.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/kernels/pointwise_functions.cuh>

namespace brume::cuda {
namespace {

const FunctionKernels& kernels_of(const PointwiseFn& fn) {
  check<DeviceError>(fn.id >= 0, fn.name,
                     ": no kernel on this device, which has those of the functions in "
                     "core/math/pointwise_list.h; move the tensors to the CPU");
  static_assert(kParts == 4);
  const int element = fn.id / kParts;
  switch (fn.id % kParts) {
    case 0:
      return kernels_of_part<0>(element);
    case 1:
      return kernels_of_part<1>(element);
    case 2:
      return kernels_of_part<2>(element);
    default:
      return kernels_of_part<3>(element);
  }
}

Constants constants_of(const PointwiseFn& fn) {
  Constants constants;
  check<Error>(fn.functor_bytes <= sizeof constants.bytes, fn.name, ": constants of ",
               fn.functor_bytes, " bytes are too many for a CUDA kernel");
  std::memcpy(constants.bytes, fn.functor, fn.functor_bytes);
  return constants;
}

template <int K>
bool all_f32(const View* const (&views)[K]) {
  for (const View* view : views)
    if (present(view) && view->dtype != DType::f32) return false;
  return true;
}

unsigned blocks_for(uint32_t steps, unsigned steps_per_block) {
  return (steps + steps_per_block - 1) / steps_per_block;
}

template <int K>
void run(void (*kernel)(Constants, Steps<K>), const PointwiseFn& fn, const Walk& walk,
         const View* const (&views)[K], int width, int steps_per_thread) {
  check<GradError>(kernel != nullptr, fn.name, ": a predicate has no gradient");
  const Constants constants = constants_of(fn);
  const Stream on = stream(fn.name);
  for_each_launch(walk, views, width, [&](const Steps<K>& steps) {
    launch(kernel, blocks_for(steps.count, static_cast<unsigned>(kThreads * steps_per_thread)),
           kThreads, 0, on, constants, steps);
  });
}

void forward(const PointwiseFn& fn, const View* x, const View& y) {
  const View* views[5] = {&y};
  for (int k = 0; k < fn.arity; ++k) views[1 + k] = &x[k];
  const Walk walk(views, y);
  const FunctionKernels& kernels = kernels_of(fn);
  if (all_f32(views) && fits_packs(walk, views, 1, sizeof(float)))
    run(kernels.forward_packs, fn, walk, views, kPack, packs_per_thread(fn.arity));
  else
    run(computes_in_f64(x, fn.arity) ? kernels.forward_f64 : kernels.forward_f32, fn, walk, views,
        1, 1);
}

void backward(const PointwiseFn& fn, const View& g, const View* x, const View* gx) {
  const int n = fn.arity;
  const View* views[9] = {};
  const View* order = nullptr;
  views[n] = &g;
  for (int k = 0; k < n; ++k) {
    views[k] = &gx[k];
    views[n + 1 + k] = &x[k];
    if (!order && gx[k]) order = &gx[k];
  }
  if (!order) return;
  const Walk walk(views, *order);
  const FunctionKernels& kernels = kernels_of(fn);
  if (all_f32(views) && fits_packs(walk, views, n, sizeof(float)))
    run(kernels.backward_packs, fn, walk, views, kPack, 1);
  else
    run(computes_in_f64(x, fn.arity) ? kernels.backward_f64 : kernels.backward_f32, fn, walk, views,
        1, 1);
}

void backward2(const PointwiseFn& fn, const View& g, const View* x, const View* h, const View& gg,
               const View* gx) {
  const int n = fn.arity;
  const View* views[14] = {&gg};
  const View* order = gg ? &gg : nullptr;
  views[n + 1] = &g;
  for (int k = 0; k < n; ++k) {
    views[1 + k] = &gx[k];
    views[n + 2 + k] = &x[k];
    views[2 * n + 2 + k] = &h[k];
    if (!order && gx[k]) order = &gx[k];
  }
  if (!order) return;
  const Walk walk(views, *order);
  const FunctionKernels& kernels = kernels_of(fn);
  run(computes_in_f64(x, fn.arity) ? kernels.backward2_f64 : kernels.backward2_f32, fn, walk, views,
      1, 1);
}

// ---- copy and fill

// Elements of one size are moved as words of that size; kWidth of them are 16 bytes, or one.
template <class Word, int kWidth>
__global__ void __launch_bounds__(kThreads) copy_words(Steps<2> steps) {
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[2];
  const int n = steps.locate<kWidth>(step, offset);
  Word* to = static_cast<Word*>(steps.data[0]) + offset[0];
  const Word* from = static_cast<const Word*>(steps.data[1]) + offset[1];
  if constexpr (kWidth == 1)
    *to = *from;
  else
    store_step(to, load_step(from, steps.stride[1][0], n), n);
}

template <class T>
__global__ void __launch_bounds__(kThreads) convert(Steps<2> steps) {
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[2];
  steps.locate<1>(step, offset);
  store_operand(steps, 0, offset[0], load_operand<T>(steps, 1, offset[1]));
}

template <class Word, int kWidth>
__global__ void __launch_bounds__(kThreads) fill_words(Word value, Steps<1> steps) {
  const uint32_t step = blockIdx.x * kThreads + threadIdx.x;
  if (step >= steps.count) return;
  int64_t offset[1];
  const int n = steps.locate<kWidth>(step, offset);
  Word* to = static_cast<Word*>(steps.data[0]) + offset[0];
  if constexpr (kWidth == 1)
    *to = value;
  else
    store_step(to, load_step(&value, 0, n), n);
}

template <int K, class... P, class... A>
void run_plain(void (*kernel)(P...), const char* op, const Walk& walk,
               const View* const (&views)[K], int width, A... first) {
  for_each_launch(walk, views, width, [&](const Steps<K>& steps) {
    launch(kernel, blocks_for(steps.count, kThreads), kThreads, 0, stream(op), first..., steps);
  });
}

/// f(word) with an unsigned integer as large as an element.
template <class F>
void with_word_of(DType dtype, F&& f) {
  switch (item_size(dtype)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

void copy(const View& x, const View& y) {
  const View* views[] = {&y, &x};
  const Walk walk(views, y);
  if (x.dtype != y.dtype) {
    const bool f32 = fits_f32(x.dtype) && fits_f32(y.dtype);
    run_plain(f32 ? convert<float> : convert<double>, "copy", walk, views, 1);
    return;
  }
  with_word_of(x.dtype, [&]<class Word>(Word) {
    constexpr int kWidth = Pack<Word>::kCount;
    if (fits_packs(walk, views, 1, sizeof(Word)))
      run_plain(copy_words<Word, kWidth>, "copy", walk, views, kWidth);
    else
      run_plain(copy_words<Word, 1>, "copy", walk, views, 1);
  });
}

void fill(double value, const View& y) {
  const View* views[] = {&y};
  const Walk walk(views, y);
  alignas(8) std::byte element[8];
  store_as(element, y.dtype, 0, value);
  with_word_of(y.dtype, [&]<class Word>(Word word) {
    std::memcpy(&word, element, sizeof word);
    constexpr int kWidth = Pack<Word>::kCount;
    if (fits_packs(walk, views, 1, sizeof(Word)))
      run_plain(fill_words<Word, kWidth>, "fill", walk, views, kWidth, word);
    else
      run_plain(fill_words<Word, 1>, "fill", walk, views, 1, word);
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const PointwiseKernels cuda_pointwise{.forward = cuda::forward,
                                      .backward = cuda::backward,
                                      .backward2 = cuda::backward2,
                                      .copy = cuda::copy,
                                      .fill = cuda::fill};

}  // namespace brume
