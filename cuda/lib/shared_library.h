#pragma once
// Libraries of functions that brume has too: opened on first use, where the user asks for them.

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <brume/core/error.h>

namespace brume::cuda {

/// Whether the environment's `variable` says `library`; "own", as without it, means brume's own
/// kernels. @throws Error if it says anything else
inline bool asks_for(const char* variable, std::string_view library) {
  const char* text = std::getenv(variable);
  const std::string_view wanted = text ? text : "own";
  check<Error>(wanted == "own" || wanted == library, variable, ": wants own or ", library, ", got ",
               wanted);
  return wanted == library;
}

/// A shared library that may be missing, or may lack functions. It stays open.
class SharedLibrary {
 public:
  explicit SharedLibrary(const std::string& file)
      : opened_(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (!opened_) reason_ = "is not on this machine";
  }
  template <class F>
  void find(const char* name, F*& function) {
    if (!opened_) return;
    function = reinterpret_cast<F*>(dlsym(opened_, name));
    if (!function) reason_ = cat("lacks ", name);
  }
  /// Why it is not usable; empty if it is.
  const std::string& reason() const { return reason_; }

 private:
  void* opened_;
  std::string reason_;
};

}  // namespace brume::cuda
