#include <brume/diffusion/adapters.h>

#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor call_song_unet(const nn::SongUNet& net, const Tensor& x, const Tensor& t,
                      const Condition& c) {
  if (c.empty() || c.is_tensor()) return net(x, t, c.tensor());
  return net(x, t, c.find("class_labels"), c.find("augment_labels"));
}

}  // namespace

Tensor SongUNetAdapter::operator()(const Tensor& x, const Tensor& t, const Condition& c) const {
  return call_song_unet(*net, x, t, c);
}

ConcatConditionWrapper::ConcatConditionWrapper(const Config& config)
    : image_key_(config.image_cond_key), vector_key_(config.vector_cond_key) {
  const nn::Ref<nn::Module> model = child("model", config.model);
  if (const auto unet = model.as<nn::SongUNet>())
    model_ = [net = unet.get()](const Tensor& x, const Tensor& t, const Condition& c) {
      return call_song_unet(*net, x, t, c);
    };
  else
    model_ = AnyModel(model);
}

Tensor ConcatConditionWrapper::operator()(const Tensor& x, const Tensor& t,
                                          const Condition& condition) const {
  check(t.shape() == Shape{x.size(0)}, "ConcatConditionWrapper: t is ", t.shape(),
        ", but the batch size of x is ", x.size(0));
  condition.check_batch(x.size(0), "ConcatConditionWrapper");
  Tensor image, vector;
  if (condition.is_tensor()) {
    image = condition.tensor();
  } else if (!condition.empty()) {
    image = condition.find(image_key_);
    vector = condition.find(vector_key_);
    check(image.defined() || vector.defined(),
          "ConcatConditionWrapper: the condition has neither '", image_key_, "' nor '", vector_key_,
          "'");
  }
  check(!vector.defined() || vector.rank() == 2,
        "ConcatConditionWrapper: a vector condition is [B, D], got ",
        vector.defined() ? vector.shape() : Shape{});
  if (!image.defined()) return model_(x, t, vector);
  Shape wanted = x.shape();
  if (image.rank() == x.rank()) wanted[1] = image.size(1);
  check(image.shape() == wanted, "ConcatConditionWrapper: an image condition of ", image.shape(),
        " does not fit x of ", x.shape(), "; all axes but the channels must agree");
  return model_(cat({x, image}, 1), t, vector);
}

}  // namespace brume::diffusion
