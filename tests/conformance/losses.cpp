// Losses: element by element, and of classes.

#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

Reduction reduction(Arguments& a) {
  const std::string name = a.text("reduction", "mean");
  if (name == "none") return Reduction::none;
  if (name == "sum") return Reduction::sum;
  check<Error>(name == "mean", a.target(), ": reduction ", name, " is not served");
  return Reduction::mean;
}

Tensor reduce(const Tensor& x, Reduction how) {
  return how == Reduction::none ? x : how == Reduction::sum ? sum(x) : mean(x);
}

// Element by element, with the weight that the reference's losses of this kind take: a weighted
// mean divides by the sum of the weights.
Value weighted(Arguments& a, const Tensor& loss) {
  if (!a.has("weight")) return reduce(loss, reduction(a));
  const Tensor w = a.tensor("weight"), product = loss * w;
  if (reduction(a) == Reduction::mean) return sum(product) / sum(expand(w, loss.shape()));
  return reduce(product, reduction(a));
}

Value squared(Arguments& a) {
  Tensor x = a.tensor("input"), y = a.tensor("target");
  if (x.shape() != y.shape()) {
    const Shape common = broadcast_shapes(x.shape(), y.shape(), "mse_loss");
    x = expand(x, common);
    y = expand(y, common);
  }
  if (!a.has("weight")) return mse_loss(x, y, reduction(a));
  return weighted(a, mse_loss(x, y, Reduction::none));
}

Value absolute(Arguments& a) { return weighted(a, abs(a.tensor("input") - a.tensor("target"))); }

// Quadratic below delta, linear above.
Value huber(Arguments& a) {
  const double delta = a.number("delta", 1);
  const Tensor d = a.tensor("input") - a.tensor("target"), size = abs(d);
  const Tensor far = (size - 0.5 * delta) * delta;
  Tensor loss = where(le(size, delta), square(d) * 0.5, far);
  if (a.has("weight")) loss = loss * a.tensor("weight");  // whose mean is a plain one
  return reduce(loss, reduction(a));
}

Value smooth_absolute(Arguments& a) {
  const double beta = a.number("beta", 1);
  const Tensor d = a.tensor("input") - a.tensor("target"), size = abs(d);
  if (beta == 0) return reduce(size, reduction(a));
  return reduce(where(lt(size, beta), square(d) * (0.5 / beta), size - 0.5 * beta), reduction(a));
}

// (1 - y) x + (1 + (p - 1) y) softplus(-x) for weights p of the positive class.
Value binary_cross_entropy(Arguments& a) {
  const Tensor x = a.tensor("input"), y = a.tensor("target");
  Tensor positive = -logsigmoid(x);
  if (a.has("pos_weight")) positive = positive * ((a.tensor("pos_weight") - 1.0) * y + 1.0);
  Tensor loss = (1.0 - y) * x + positive;
  if (a.has("weight")) loss = loss * a.tensor("weight");
  return reduce(loss, reduction(a));
}

Value divergence(Arguments& a) {
  const Tensor x = a.tensor("input"), y = a.tensor("target");
  Tensor loss;
  if (a.flag("log_target", false)) {
    loss = exp(y) * (y - x);
  } else {  // y log y is 0 at 0
    loss = where(gt(y, 0.0), y * log(where(gt(y, 0.0), y, 1.0)), 0.0 * y) - y * x;
  }
  if (a.text("reduction", "mean") == "batchmean") return sum(loss) / static_cast<double>(x.size(0));
  return reduce(loss, reduction(a));
}

// Logits or log-probabilities as [N, classes], whatever axes stand behind the classes.
struct Classes {
  Tensor x;         // [N, C]
  Shape unreduced;  // of a loss per sample
};

Classes classes(const Tensor& x) {
  if (x.rank() == 1) return {reshape(x, {1, -1}), {}};
  Shape outer = x.shape();
  outer.erase(1);
  return {reshape(move_axis(x, 1, -1), {numel(outer), x.size(1)}), outer};
}

// -w[target] log p[target], without the samples to be ignored.
Value of_targets(Arguments& a, const Classes& logp, const Tensor& target, double smoothing) {
  const int64_t ignored = a.integer("ignore_index", -100), n = logp.x.size(0), c = logp.x.size(1);
  const Tensor index = reshape(target, {n});
  const Tensor kept = ne(index, static_cast<double>(ignored));
  const Tensor safe =
      where(kept, index, scalar(0, {.dtype = DType::i64, .device = index.device()}));
  const Tensor w = a.has("weight") ? a.tensor("weight")
                                   : ones({c}, {.dtype = logp.x.dtype(), .device = index.device()});
  const Tensor mask = cast(kept, logp.x.dtype());
  const Tensor of_sample = index_select(w, 0, safe) * mask;
  const Tensor picked = reshape(gather(logp.x, 1, reshape(safe, {n, 1})), {n});
  Tensor loss = -picked * of_sample;
  if (smoothing > 0) {
    const Tensor all = -sum(logp.x * w, 1) * mask;
    loss = loss * (1 - smoothing) + all * (smoothing / static_cast<double>(c));
  }
  const Reduction how = reduction(a);
  if (how == Reduction::none) return reshape(loss, logp.unreduced);
  if (how == Reduction::sum) return sum(loss);
  // Without any sample the mean is NaN, and the gradient zero.
  const Tensor total = sum(of_sample), none = eq(total, 0.0);
  return where(none, std::nan(""), sum(loss) / where(none, 1.0, total));
}

Value negative_log_likelihood(Arguments& a) {
  return of_targets(a, classes(a.tensor("input")), a.tensor("target"), 0);
}

Value cross_entropies(Arguments& a) {
  const Tensor x = a.tensor("input"), target = a.tensor("target");
  const double smoothing = a.number("label_smoothing", 0);
  const bool plain = x.rank() == 2 && !a.has("weight") && !a.has("ignore_index") &&
                     smoothing == 0 && !is_floating(target.dtype());
  if (plain && any(lt(target, 0.0)).item() == 0) return cross_entropy(x, target, reduction(a));
  const Classes logits = classes(x);
  const Classes logp{log_softmax(logits.x), logits.unreduced};
  if (!is_floating(target.dtype())) return of_targets(a, logp, target, smoothing);

  Tensor p = classes(target).x;  // the probability of every class
  const double c = static_cast<double>(p.size(1));
  if (smoothing > 0) p = p * (1 - smoothing) + smoothing / c;
  Tensor terms = -logp.x * p;
  if (a.has("weight")) terms = terms * a.tensor("weight");
  const Tensor loss = sum(terms, 1);
  const Reduction how = reduction(a);
  if (how == Reduction::none) return reshape(loss, logp.unreduced);
  return reduce(loss, how);
}

}  // namespace

void add_losses(Functions& t) {
  t["torch.nn.functional.mse_loss"] = squared;
  t["torch.nn.functional.l1_loss"] = absolute;
  t["torch.nn.functional.huber_loss"] = huber;
  t["torch.nn.functional.smooth_l1_loss"] = smooth_absolute;
  t["torch.nn.functional.binary_cross_entropy_with_logits"] = binary_cross_entropy;
  t["torch.nn.functional.kl_div"] = divergence;
  t["torch.nn.functional.nll_loss"] = negative_log_likelihood;
  t["torch.nn.functional.cross_entropy"] = cross_entropies;
}

}  // namespace brume::conformance
