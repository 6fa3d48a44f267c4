#include <brume/autograd/ops/loss.h>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume {
namespace {

Tensor reduced(const Tensor& each, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean:
      return mean(each);
    case Reduction::sum:
      return sum(each);
    default:
      return each;
  }
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& y, Reduction reduction) {
  check(x.shape() == y.shape(), "mse_loss: shapes differ: ", x.shape(), " and ", y.shape());
  const Tensor one = scalar(1, {.dtype = x.dtype(), .device = x.device()});
  return reduced(weighted_square_error(one, x, y), reduction);
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target, Reduction reduction) {
  check(logits.rank() == 2 && target.shape() == Shape{logits.shape()[0]}, "cross_entropy: logits ",
        logits.shape(), " and target ", target.shape(), " are not [N, classes] and [N]");
  const Tensor places = checked_index("cross_entropy", target, logits.shape()[1]);
  const Tensor chosen = gather(log_softmax(logits), 1, unsqueeze(places, 1));
  return reduced(-squeeze(chosen, 1), reduction);
}

}  // namespace brume
