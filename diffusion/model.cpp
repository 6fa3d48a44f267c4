#include <brume/diffusion/model.h>

#include <array>
#include <mutex>
#include <unordered_map>

#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/builtin.h>

namespace brume::diffusion {
namespace {

struct Calls {
  std::mutex mutex;
  std::unordered_map<std::type_index, detail::CallModule> by_type;
};
Calls& calls() {
  static Calls instance;
  return instance;
}

detail::CallModule find_call(const nn::Module& module) {
  register_builtin();
  const std::scoped_lock lock(calls().mutex);
  const auto found = calls().by_type.find(typeid(module));
  return found == calls().by_type.end() ? nullptr : found->second;
}

}  // namespace

void detail::register_call(std::type_index type, CallModule call) {
  const std::scoped_lock lock(calls().mutex);
  calls().by_type[type] = call;
}

bool is_model(const nn::Module& module) { return find_call(module) != nullptr; }

AnyModel::AnyModel(nn::Ref<nn::Module> module) : module_(std::move(module)) {
  const detail::CallModule call = find_call(*module_);
  check<Error>(call != nullptr, "AnyModel: ", module_->class_name(),
               " is not known as an (x, t, condition) model; if it has that operator(), call "
               "diffusion::register_model first, else wrap it in an adapter");
  call_ = [m = module_.get(), call](const Tensor& x, const Tensor& t, const Condition& c) {
    return call(*m, x, t, c);
  };
}

Tensor AnyModel::operator()(const Tensor& x, const Tensor& t, const Condition& condition) const {
  check<Error>(static_cast<bool>(call_), "AnyModel: holds no model");
  return call_(x, t, condition);
}

void Denoiser::check_gives(DenoisingType wanted, const char* who) const {
  check<Error>(static_cast<bool>(call_), who, ": the denoiser is empty");
  if (!type_ || *type_ == wanted) return;
  constexpr std::array kGives{"dx/dt of the ODE (DenoisingType::ode)",
                              "the drift of the SDE (DenoisingType::sde)",
                              "the prediction of x0 (DenoisingType::x0)"};
  const auto name = [&](DenoisingType type) { return kGives[static_cast<size_t>(type)]; };
  throw ShapeError(cat(who, ": wants ", name(wanted), ", but the denoiser gives ", name(*type_),
                       "; choose its type in denoiser(scheduler, {.type = ...})"));
}

Predictor bind(AnyModel model, Condition condition) {
  return [model = std::move(model), condition = std::move(condition)](const Tensor& x,
                                                                      const Tensor& t) {
    check(x.rank() >= 1, "bind: wants x of shape [B, ...], got ", x.shape());
    return model(x, t, condition.for_batch(x.size(0), "bind"));
  };
}

void check_times(const char* who, const Tensor& t, const Shape& x) {
  check(t.rank() == 1 && x.rank() >= 1 && t.size(0) == x[0], who,
        ": wants t of one value per sample, got ", t.shape(), " for x of ", x);
}

Tensor per_sample(const Tensor& t, const Tensor& x) {
  check_times("per_sample", t, x.shape());
  return reshape(t, one_per_sample(x.shape()));
}

Shape one_per_sample(const Shape& x) {
  Shape shape = Shape::filled(x.rank(), 1);
  shape[0] = x[0];
  return shape;
}

nn::Ref<nn::Module> load(const std::string& path, const nn::LoadOptions& options) {
  register_builtin();
  return nn::load(path, options);
}

}  // namespace brume::diffusion
