#pragma once
// Module: named parameters, buffers and children in order, and what follows from the names.

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>
#include <brume/nn/config.h>
#include <brume/nn/init.h>
#include <brume/nn/ref.h>

namespace brume::nn {

namespace detail {
template <class M>
Ref<M> construct(typename M::Config config);
/// Makes every holder of `x` see the memory and dtype of `y`, which has its shape.
void replace_memory(const Tensor& x, const Tensor& y);
}  // namespace detail

struct NamedTensor {
  std::string name;
  Tensor tensor;
};
using NamedTensors = std::vector<NamedTensor>;

/// How keys of older files read today, relative to the module that says so.
struct LegacyKeys {
  std::vector<std::pair<std::string, std::string>>
      renamed{};                        // beginning of a key -> new beginning
  std::vector<std::string> may_miss{};  // older files lack them; the module's own value stays
  std::vector<std::string> dropped{};   // beginnings of keys that mean nothing here
};

/// Of buffers. `transient` ones are computed by the constructor and never saved; `fixed` ones too,
/// but files have them, and one with other values was written with other arguments.
enum class Persistence { transient, persistent, fixed };
using enum Persistence;

/// `weight` in the dtype of the input it meets; itself if they agree or it is undefined.
Tensor as_dtype(const Tensor& weight, const Tensor& x);

/// Base class of layers and models. A module is held by Ref, is neither copied nor moved, and its
/// members share their tensors with the lists kept here: loading or moving it is seen by both.
/// operator() is not virtual; in evaluation mode it must not write to the module, so that several
/// threads may call one module at the same time.
class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module();

  struct Named {
    std::string path;  // "" for the module itself
    Module* module;
  };
  /// This module and all below, each before its children, in order of registration. A module that
  /// is shared appears under each of its names.
  /// @throws Error below a depth of 64
  std::vector<Named> modules() const;

  /// All parameters, each once, under its first name.
  NamedTensors parameters() const;
  /// All buffers, each once.
  NamedTensors buffers() const;
  NamedTensors fixed_buffers() const;
  /// What a file keeps: parameters and buffers that are not transient under every name, per module
  /// its own parameters, its own buffers, then its children.
  NamedTensors state() const;
  /// Elements in parameters(), frozen ones included.
  int64_t parameter_count() const;

  /// Training mode (as after construction) or evaluation mode, for all modules below too.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Moves or converts all floating tensors in place; gradients so far are dropped.
  void to(Device device);
  void to(DType dtype);

  /// Parameters whose name matches the pattern ('*' stands for any text) ask for no gradient.
  /// Returns how many. @throws Error if none matches
  int64_t freeze(std::string_view pattern = "*");
  int64_t unfreeze(std::string_view pattern = "*");

  /// Where dropout and other draws of training come from: by default the thread's generator.
  void set_generator(std::shared_ptr<Generator> rng);
  /// set_generator with a new generator.
  void seed(uint64_t seed);
  Generator& generator() const { return rng_ ? *rng_ : default_generator(); }

  /// The name it is registered under, else that of its C++ class.
  std::string class_name() const;
  /// Shows the arguments it was made with to a walk. @throws Error if they are not known
  void visit_config(Fields& v) const;
  std::string config_json(int indent = -1) const;

  virtual LegacyKeys legacy_keys() const { return {}; }

  /// Of a module that was constructed from shapes alone: computes the `wanted` ones of the buffers
  /// that its arguments determine.
  void compute_buffers(const std::function<bool(const Tensor&)>& wanted);

 protected:
  /// A new parameter, filled by the law. @throws Error if the name is taken or has no characters
  Tensor param(std::string name, const Shape& shape, const Init& init);
  /// Gives a parameter of another module a name here too: one tensor under two names.
  Tensor param(std::string name, Tensor shared);
  /// Registers a tensor that is not trained.
  Tensor buffer(std::string name, Tensor value, Persistence persistence = persistent);
  Tensor buffer(std::string name, const Shape& shape, const Init& init);
  /// One that the arguments determine, computed once there is to be memory: at once, or by
  /// compute_buffers. @throws ShapeError if it is transient and beyond kMaxComputed
  Tensor buffer(std::string name, const Shape& shape, std::function<Tensor()> compute,
                Persistence persistence = persistent, DType dtype = DType::f32);
  /// A new module, or one that exists. The name may have dots: "enc.16x16_conv".
  /// @throws Error as param, if it contains this module, or if the tree gets deeper than 64
  template <class M>
  Ref<M> child(std::string name, typename M::Config config);
  template <class M>
  Ref<M> child(std::string name, Ref<M> module) {
    add_child(std::move(name), module);
    return module;
  }
  /// For a constructor that takes more than M's Config: the Config that would build the same. What
  /// make() was called with is noted by itself.
  template <class M>
  void made_from(typename M::Config config);
  /// For a constructor that was given what no file can hold: what is said of the module when it is
  /// to be saved or cloned, such as "holds a lambda and cannot be saved".
  void made_from_no_config(std::string why) { no_config_ = std::move(why); }

 private:
  /// What a module was made from.
  struct Recipe {
    virtual ~Recipe() = default;
    virtual void visit(Fields& v) const = 0;
    /// A new module from these arguments after `edit` has walked over a copy of them.
    virtual Ref<Module> build(Fields& edit) const = 0;
  };
  template <class M>
  struct RecipeOf;

  struct Slot {
    std::string name;
    Tensor tensor;
    Persistence persistence;
    std::function<Tensor()> compute;  // what compute_buffers has yet to do
  };
  struct Child {
    std::string name;
    Ref<Module> module;
  };
  void add_child(std::string name, Ref<Module> module);
  void take_name(const std::string& name);
  template <class F>
  void convert_all(F&& f);
  int64_t set_frozen(std::string_view pattern, bool frozen);

  template <class M>
  friend Ref<M> detail::construct(typename M::Config config);
  friend Ref<Module> clone_module(const Module& module);

  std::vector<Slot> parameters_, buffers_;
  std::vector<Child> children_;
  std::unordered_set<std::string> names_;  // of all of these
  bool training_ = true;
  std::shared_ptr<Generator> rng_;
  void check_recipe() const;
  std::shared_ptr<const Recipe> recipe_;
  std::string no_config_;
};

template <class M>
struct Module::RecipeOf final : Module::Recipe {
  explicit RecipeOf(typename M::Config c) : config(std::move(c)) {}
  void visit(Fields& v) const override {
    typename M::Config copy = config;
    v.value(copy);
  }
  Ref<Module> build(Fields& edit) const override {
    typename M::Config copy = config;
    edit.value(copy);
    return detail::construct<M>(std::move(copy));
  }
  typename M::Config config;
};

template <class M>
void Module::made_from(typename M::Config config) {
  static_assert(HasFields<typename M::Config>);
  recipe_ = std::make_shared<RecipeOf<M>>(std::move(config));
}

template <class M>
Ref<M> detail::construct(typename M::Config config) {
  const ConstructionDepth depth;
  Ref<M> module(std::make_shared<M>(config));
  Module& base = *module;
  if constexpr (HasFields<typename M::Config>) {
    if (!base.recipe_) base.made_from<M>(std::move(config));
  }
  return module;
}

/// A new module: make<Linear>({.in_features = 2, .out_features = 3}). Parameters are drawn from
/// the thread's default generator unless a Construction says otherwise.
template <class M>
requires std::derived_from<M, Module> Ref<M> make(typename M::Config config = {}) {
  return detail::construct<M>(std::move(config));
}

/// For constructors with other arguments than one Config.
template <class M, class... A>
requires(std::derived_from<M, Module>&& std::constructible_from<M, A...> &&
         sizeof...(A) > 1) Ref<M> make(A&&... arguments) {
  const detail::ConstructionDepth depth;
  return Ref<M>(std::make_shared<M>(std::forward<A>(arguments)...));
}

template <class M>
Ref<M> Module::child(std::string name, typename M::Config config) {
  return child(std::move(name), make<M>(std::move(config)));
}

Ref<Module> clone_module(const Module& module);

/// A new module of the same class and arguments with copies of all tensors (also of modules given
/// as arguments), in the same mode, with the same parameters frozen.
/// @throws Error if the arguments are not known (a class whose Config has no fields)
template <class M>
Ref<M> clone(const Ref<M>& module) {
  return clone_module(*module).template as<M>();
}

}  // namespace brume::nn
