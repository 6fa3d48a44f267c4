#pragma once
// A slot of a kernel table: a function pointer that knows its name. An empty slot is legal.

#include <cstddef>

#include <brume/core/error.h>
#include <brume/core/view.h>

namespace brume {

template <size_t N>
struct KernelName {
  char text[N]{};
  constexpr KernelName(const char (&s)[N]) {
    for (size_t i = 0; i < N; ++i) text[i] = s[i];
  }
};

template <KernelName name, class Signature>
struct Kernel;

template <KernelName kName, class R, class... A>
struct Kernel<kName, R(A...)> {
  R (*function)(A...) = nullptr;

  constexpr Kernel() = default;
  constexpr Kernel(R (*f)(A...)) : function(f) {}

  static constexpr const char* name() { return kName.text; }
  explicit operator bool() const { return function != nullptr; }
  R operator()(A... args) const {
    check<DeviceError>(function != nullptr, kName.text,
                       ": no kernel on this device; move the tensors to the CPU");
    return function(static_cast<A>(args)...);
  }
};

}  // namespace brume
