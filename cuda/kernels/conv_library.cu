// Convolutions by cuDNN, and what it does not do of them: weights in the order of the depth, the
// epilogue. The latter reads y again, so in bf16 and f16 the sum has been rounded once before.

#include <brume/cuda/kernels/conv_library.h>

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/lib/conv_library.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/kernels/conv_terms.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

// A thread takes the channels of 16 bytes of one pixel of y.
template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_pixels(uint32_t threads, PixelIndex pixels, Divider packs, int channels,
                  ImageStrides strides, Epilogue<T> epilogue, T* y) {
  constexpr int kWidth = Pack<T>::kCount;
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= threads) return;
  const uint32_t number = packs.quotient(i);
  const int channel = static_cast<int>(i - number * packs.divisor()) * kWidth;
  const int left = channels - channel, count = left < kWidth ? left : kWidth;
  const Pixel pixel = pixels(number);
  T* at = y + strides.of(pixel.sample, pixel.at) + channel;
  Wide<T> sums[kWidth] = {};
  add_run(sums, static_cast<const T*>(at), count);
  epilogue(sums, count, pixel, channel);
  store_run(at, sums, count);
}

void finish(const char* op, const ConvEpilogue& e, const View& y) {
  if (!e.bias && !e.per_sample && !e.residual && e.scale == 1) return;
  dispatch<float, bf16, f16>(y.dtype, op, [&]<class T>(Type<T>) {
    const auto packs = static_cast<uint32_t>(ceil_div(y.size(1), Pack<T>::kCount));
    const int64_t pixels = y.size(0) * product_of(sizes_of(y));
    const uint32_t threads = count32(op, pixels * packs);
    launch(finish_pixels<T>, count32(op, ceil_div(threads, kThreads)), kThreads, 0, stream(op),
           threads, PixelIndex{static_cast<uint32_t>(pixels), Unravel(sizes_of(y))}, Divider(packs),
           static_cast<int>(y.size(1)), strides_of(y), Epilogue<T>(e), y.as<T>());
  });
}

/// Memory for weights in the order [co][tap][channel].
View ordered(const View& w, Scratch& scratch) {
  Strides strides = dense_strides(w.shape);
  int64_t step = w.size(1);
  for (int i = w.rank(); i-- > 2; step *= w.size(i)) strides[i] = step;
  strides[1] = 1;
  const int64_t bytes = numel(w.shape) * item_size(w.dtype);
  return {scratch.take<unsigned char>(bytes), w.dtype, w.shape, strides};
}

bool is_for_library(const View& w, const View& to) {
  return has_conv_library() && to.dtype != DType::f64 && numel(to.shape) > 0 && numel(w.shape) > 0;
}

}  // namespace

bool conv_by_library(const char* op, bool adjoint, const View& from, const View& w,
                     const ConvParams& params, const ConvEpilogue& epilogue, const View& to) {
  if (!is_for_library(w, to)) return false;
  Scratch scratch;
  const View weights = ordered(w, scratch);
  cuda_pointwise.copy(w, weights);
  const auto pass = adjoint ? LibraryConv::Pass::input_gradient : LibraryConv::Pass::forward;
  if (!convolve_by_library({.pass = pass,
                            .x = adjoint ? to : from,
                            .w = weights,
                            .y = adjoint ? from : to,
                            .params = params,
                            .mode = f32_mode()},
                           stream(op)))
    return false;
  finish(op, epilogue, to);
  return true;
}

bool conv_weight_gradient_by_library(const char* op, const View& x, const View& gy,
                                     const ConvParams& params, const View& gw) {
  if (!is_for_library(gw, gw) || numel(gy.shape) == 0) return false;
  Scratch scratch;
  const View weights = ordered(gw, scratch);
  if (!convolve_by_library({.pass = LibraryConv::Pass::weight_gradient,
                            .x = x,
                            .w = weights,
                            .y = gy,
                            .params = params,
                            .mode = f32_mode()},
                           stream(op)))
    return false;
  cuda_pointwise.copy(weights, gw);
  return true;
}

}  // namespace brume::cuda
