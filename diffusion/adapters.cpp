#include <brume/diffusion/adapters.h>

#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/backbones.h>

namespace brume::diffusion {
Tensor SongUNetAdapter::operator()(const Tensor& x, const Tensor& t, const Condition& c) const {
  return call_backbone(*net, x, t, c);
}

ConcatConditionWrapper::ConcatConditionWrapper(const Config& config)
    : model_(child("model", config.model)),
      image_key_(config.image_cond_key),
      vector_key_(config.vector_cond_key) {}

Tensor ConcatConditionWrapper::operator()(const Tensor& x, const Tensor& t,
                                          const Condition& condition) const {
  check(t.shape() == Shape{x.size(0)}, "ConcatConditionWrapper: t is ", t.shape(),
        ", but the batch size of x is ", x.size(0));
  condition.check_batch(x.size(0), "ConcatConditionWrapper");
  Tensor image, vector;
  Condition others;
  if (condition.is_tensor()) {
    image = condition.tensor();
  } else if (!condition.empty()) {
    image = condition.find(image_key_);
    vector = condition.find(vector_key_);
    check(image.defined() || vector.defined(),
          "ConcatConditionWrapper: the condition has neither '", image_key_, "' nor '", vector_key_,
          "'");
    others = condition.without(image_key_).without(vector_key_);
  }
  const Condition passed = others.empty() ? Condition(vector) : others.with("class_labels", vector);
  check(!vector.defined() || vector.rank() == 2,
        "ConcatConditionWrapper: a vector condition is [B, D], got ",
        vector.defined() ? vector.shape() : Shape{});
  if (!image.defined()) return model_(x, t, passed);
  Shape wanted = x.shape();
  if (image.rank() == x.rank()) wanted[1] = image.size(1);
  check(image.shape() == wanted, "ConcatConditionWrapper: an image condition of ", image.shape(),
        " does not fit x of ", x.shape(), "; all axes but the channels must agree");
  return model_(cat({x, nn::as_dtype(image, x)}, 1), t, passed);
}

}  // namespace brume::diffusion
