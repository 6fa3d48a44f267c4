#include <brume/nn/layers/resample.h>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Images are channels-last in memory, so this is a view of dense rows of channels.
Tensor channels_behind(const Tensor& x) {
  return permute(contiguous(x, Layout::channels_last), {0, 2, 3, 1});  // [B, H, W, C]
}
Tensor channels_in_front(const Tensor& x) { return permute(x, {0, 3, 1, 2}); }

// Sums of blocks times `scale`, for even sizes: pairs of rows first, whose pixels are adjacent.
// It and repeat_2x2 are each other's gradients.
Tensor sum_2x2(const Tensor& x, double scale) {
  const int64_t b = x.size(0), c = x.size(1), h = x.size(2) / 2, w = x.size(3) / 2;
  Tensor y;
  {
    const NoGrad no_grad;
    const Tensor rows = reshape(channels_behind(x), {b, h, 2, w * 2 * c});
    const Tensor sums = select(rows, 2, 0) + select(rows, 2, 1);
    const Tensor columns = reshape(sums, {b, h, w, 2, c});
    y = channels_in_front(skip_add_scale(select(columns, 3, 0), select(columns, 3, 1), scale));
  }
  return record("sum_2x2", y, {x},
                [scale](const Tensor& g) { return Grads{repeat_2x2(scale == 1 ? g : g * scale)}; });
}

}  // namespace

Tensor repeat_2x2(const Tensor& x) {
  const int64_t b = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  Tensor y;
  {
    const NoGrad no_grad;
    const Tensor pixels = reshape(channels_behind(x), {b, h, 1, w, 1, c});
    y = channels_in_front(reshape(expand(pixels, {b, h, 2, w, 2, c}), {b, 2 * h, 2 * w, c}));
  }
  return record("repeat_2x2", y, {x}, [](const Tensor& g) { return Grads{sum_2x2(g, 1)}; });
}

Tensor average_2x2(const Tensor& x) {
  const int64_t h = x.size(2) / 2 * 2, w = x.size(3) / 2 * 2;
  const Tensor even = h == x.size(2) && w == x.size(3) ? x : slice(slice(x, 2, 0, h), 3, 0, w);
  return sum_2x2(even, 0.25);
}

}  // namespace brume::nn
