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

// The call, apart from the name: nvcc's front end cannot match a partial specialisation over a
// template argument that is a string.
template <class Signature>
class KernelCall;

template <class R, class... A>
class KernelCall<R(A...)> {
 public:
  constexpr KernelCall(const char* name, R (*function)(A...)) : name_(name), function_(function) {}
  explicit operator bool() const { return function_ != nullptr; }
  R operator()(A... args) const {
    check<DeviceError>(function_ != nullptr, name_,
                       ": no kernel on this device; move the tensors to the CPU");
    return function_(static_cast<A>(args)...);
  }

 private:
  const char* name_;
  R (*function_)(A...);
};

template <KernelName kName, class Signature>
struct Kernel : KernelCall<Signature> {
  constexpr Kernel(Signature* function = nullptr) : KernelCall<Signature>(kName.text, function) {}
  static constexpr const char* name() { return kName.text; }
};

}  // namespace brume
