#pragma once

#include <string>

#include <brume/core/error.h>

namespace brume {

/// What f says when it throws; "" if it does not.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace brume
