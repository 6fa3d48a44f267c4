#pragma once
// The protocol: a model predicts from (x, t, condition); a predictor is a model with the condition
// bound; a denoiser is what a solver integrates.

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <typeindex>

#include <brume/core/tensor.h>
#include <brume/diffusion/builtin.h>
#include <brume/diffusion/condition.h>
#include <brume/nn/module.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

namespace brume::diffusion {

/// @shape  x and the result [B, ...], t [B]
template <class M>
concept Model = requires(M& m, const Tensor& x, const Tensor& t, const Condition& c) {
  { m(x, t, c) } -> std::convertible_to<Tensor>;
};

/// (x, t) -> prediction. @shape x and the result [B, ...], t [B]
using Predictor = std::function<Tensor(const Tensor& x, const Tensor& t)>;

/// What a denoiser gives: dx/dt of the probability-flow ODE, the drift of the reverse SDE (for a
/// solver of one's own that adds the noise beside it), or the prediction of x0.
enum class DenoisingType { ode, sde, x0 };

class LinearGaussianNoiseScheduler;

/// (x, t) -> what a solver integrates. Any callable; one that denoiser() made knows what it gives,
/// and of which noise process, so that solvers can refuse what they were not made for.
class Denoiser {
 public:
  Denoiser() = default;
  template <class F>
  requires(std::convertible_to<F, Predictor> && !std::same_as<std::remove_cvref_t<F>, Denoiser>)
      Denoiser(F f)
      : call_(std::move(f)) {}
  /// The process must outlive it.
  Denoiser(Predictor call, DenoisingType type, const LinearGaussianNoiseScheduler& process)
      : call_(std::move(call)), type_(type), process_(&process) {}

  explicit operator bool() const { return static_cast<bool>(call_); }
  Tensor operator()(const Tensor& x, const Tensor& t) const { return call_(x, t); }
  /// Null if it is not known.
  const LinearGaussianNoiseScheduler* process() const { return process_; }
  /// @throws ShapeError naming `who` if it is known to give something that is not `wanted`
  void check_gives(DenoisingType wanted, const char* who) const;

 private:
  Predictor call_;
  std::optional<DenoisingType> type_;
  const LinearGaussianNoiseScheduler* process_ = nullptr;
};

using ModelCall = std::function<Tensor(const Tensor& x, const Tensor& t, const Condition& c)>;

/// Whether AnyModel takes a module whose type is known at run time alone.
bool is_model(const nn::Module& module);

/// Any model, its type erased. Remembers the module, if there is one, so parameters, train() and
/// saving reach through it.
class AnyModel {
 public:
  AnyModel() = default;
  /// A lambda or functor: (x, t, condition) -> Tensor.
  template <class F>
  requires(Model<F> && !std::derived_from<F, nn::Module> &&
           !std::same_as<std::remove_cvref_t<F>, AnyModel>) AnyModel(F f)
      : call_([f = std::move(f)](const Tensor& x, const Tensor& t, const Condition& c) mutable {
          return Tensor(f(x, t, c));
        }) {}
  /// A module whose class is a model.
  template <class M>
  requires(Model<M>&& std::derived_from<M, nn::Module>) AnyModel(nn::Ref<M> module)
      : module_(module),
        call_([m = module.get()](const Tensor& x, const Tensor& t, const Condition& c) {
          return Tensor((*m)(x, t, c));
        }) {}
  /// A module of a class that is known by name only: how to call it stands in register_model.
  /// @throws Error if its class is no model
  AnyModel(nn::Ref<nn::Module> module);
  template <class M>
  requires(!Model<M> && std::derived_from<M, nn::Module> && !std::same_as<M, nn::Module>)
      AnyModel(const nn::Ref<M>& module)
      : AnyModel(nn::Ref<nn::Module>(module)) {}
  /// A module that is called in a way of its own; `call` need not keep it alive.
  AnyModel(nn::Ref<nn::Module> module, ModelCall call)
      : module_(std::move(module)), call_(std::move(call)) {}

  explicit operator bool() const { return static_cast<bool>(call_); }
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;
  /// The module behind it; empty for a lambda.
  const nn::Ref<nn::Module>& module() const { return module_; }

 private:
  nn::Ref<nn::Module> module_;
  ModelCall call_;
};

/// The model with its condition fixed; one row of it serves all samples.
/// @throws ShapeError in a call whose x has another batch than the condition
Predictor bind(AnyModel model, Condition condition = {});

/// @throws ShapeError naming `who` unless t [B] has one time for each sample of x [B, ...]
void check_times(const char* who, const Tensor& t, const Shape& x);
/// t [B] shaped to multiply x [B, ...].
Tensor per_sample(const Tensor& t, const Tensor& x);
/// [B, 1, ...] for x [B, ...].
Shape one_per_sample(const Shape& x);

namespace detail {
using CallModule = Tensor (*)(nn::Module& m, const Tensor& x, const Tensor& t, const Condition& c);
void register_call(std::type_index type, CallModule call);
}  // namespace detail

/// Registers a class with nn (loading by name) and notes how to call it as (x, t, condition).
template <class M>
requires Model<M>
void register_model(const std::string& name) {
  nn::register_class<M>(name);
  detail::register_call(typeid(M),
                        [](nn::Module& m, const Tensor& x, const Tensor& t, const Condition& c) {
                          return Tensor(static_cast<M&>(m)(x, t, c));
                        });
}

/// Rebuilds a module from a file that save() wrote; knows the classes of nn and of diffusion.
nn::Ref<nn::Module> load(const std::string& path, const nn::LoadOptions& options = {});
template <class M>
nn::Ref<M> load(const std::string& path, const nn::LoadOptions& options = {}) {
  register_builtin();
  return nn::load<M>(path, options);
}

}  // namespace brume::diffusion
