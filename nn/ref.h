#pragma once
// Ref<M>: the handle by which modules are held, shared and called.

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include <brume/core/error.h>

namespace brume::nn {

/// A shared handle to a module. Copying it means the same module; calling it calls the module.
template <class M>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(std::shared_ptr<M> module) : module_(std::move(module)) {}
  template <class D>
  requires std::convertible_to<D*, M*> Ref(const Ref<D>& other) : module_(other.shared()) {}

  explicit operator bool() const { return module_ != nullptr; }
  M* get() const { return module_.get(); }
  const std::shared_ptr<M>& shared() const { return module_; }

  /// @throws Error if the handle is empty
  M& operator*() const {
    check<Error>(module_ != nullptr, "Ref: holds no module; make one with nn::make");
    return *module_;
  }
  M* operator->() const { return &**this; }
  template <class... A>
  requires std::invocable<M&, A...>
  decltype(auto) operator()(A&&... arguments) const {
    return (**this)(std::forward<A>(arguments)...);
  }

  /// The same module as a class further down, or an empty handle if it is none.
  template <class D>
  Ref<D> as() const {
    return Ref<D>(std::dynamic_pointer_cast<D>(module_));
  }

  friend bool operator==(const Ref& a, const Ref& b) { return a.module_ == b.module_; }

 private:
  std::shared_ptr<M> module_;
};

}  // namespace brume::nn
