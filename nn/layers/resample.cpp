#include <brume/nn/layers/resample.h>

#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Images are channels-last in memory, so this is a view of dense rows of channels.
Tensor channels_behind(const Tensor& x) {
  return permute(contiguous(x, Layout::channels_last), {0, 2, 3, 1});  // [B, H, W, C]
}
Tensor channels_in_front(const Tensor& x) { return permute(x, {0, 3, 1, 2}); }

}  // namespace

Tensor repeat_2x2(const Tensor& x) {
  const int64_t b = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const Tensor pixels = reshape(channels_behind(x), {b, h, 1, w, 1, c});
  return channels_in_front(reshape(expand(pixels, {b, h, 2, w, 2, c}), {b, 2 * h, 2 * w, c}));
}

Tensor average_2x2(const Tensor& x) {
  const int64_t b = x.size(0), c = x.size(1), h = x.size(2) / 2, w = x.size(3) / 2;
  Tensor even = channels_behind(x);
  if (x.size(2) % 2 != 0) even = slice(even, 1, 0, 2 * h);
  if (x.size(3) % 2 != 0) even = slice(even, 2, 0, 2 * w);
  return channels_in_front(mean(reshape(even, {b, h, 2, w, 2, c}), {2, 4}));
}

}  // namespace brume::nn
