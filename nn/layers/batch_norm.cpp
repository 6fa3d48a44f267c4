#include <brume/nn/layers/batch_norm.h>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

BatchNorm::BatchNorm(const Config& c) : config_(c) {
  check(c.num_features > 0, "BatchNorm: num_features must be positive, got ", c.num_features);
  check(c.eps >= 0, "BatchNorm: eps must not be negative, got ", c.eps);
  weight_ = param("weight", {c.num_features}, Init::constant(1));
  bias_ = param("bias", {c.num_features}, Init::constant(0));
  running_mean_ = buffer("running_mean", {c.num_features}, Init::constant(0));
  running_var_ = buffer("running_var", {c.num_features}, Init::constant(1));
  num_batches_tracked_ = buffer("num_batches_tracked", zeros({}, {.dtype = DType::i64}));
}

Tensor BatchNorm::operator()(const Tensor& x) const {
  check(x.rank() >= 2 && x.size(1) == config_.num_features, "BatchNorm: wants [B, ",
        config_.num_features, ", ...], got ", x.shape());
  Shape channels = Shape::filled(x.rank(), 1);
  channels[1] = config_.num_features;
  const auto per_channel = [&](const Tensor& v) { return reshape(as_dtype(v, x), channels); };
  Tensor average = per_channel(running_mean_), variance = per_channel(running_var_);
  if (training()) {
    std::vector<int64_t> axes{0};
    for (int a = 2; a < x.rank(); ++a) axes.push_back(a);
    const int64_t values = x.numel() / config_.num_features;  // of a channel
    const auto count = static_cast<double>(values);
    check(count > 1, "BatchNorm: one value per channel has no variance, x is ", x.shape());
    average = mean(x, axes, keep_axis);
    variance = var(x, axes, 0, keep_axis);
    const NoGrad no_grad;
    const auto move = [&](const Tensor& running, const Tensor& seen) {
      copy_(running,
            lerp(running, as_dtype(reshape(seen, running.shape()), running), config_.momentum));
    };
    move(running_mean_, average);
    move(running_var_, variance * (count / (count - 1)));
    copy_(num_batches_tracked_, num_batches_tracked_ + 1);
  }
  return (x - average) * rsqrt(variance + config_.eps) * per_channel(weight_) + per_channel(bias_);
}

}  // namespace brume::nn
