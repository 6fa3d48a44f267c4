#pragma once
// How modules are called by the reference's argument names, by class. One function per file adds
// its classes.

#include <map>
#include <string>

#include "tests/conformance/arguments.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {

/// Class -> its methods; the method "" is the call.
using ModuleCalls = std::map<std::string, Methods, std::less<>>;

void add_unet_calls(ModuleCalls& calls);
void add_transformer_calls(ModuleCalls& calls);
void add_operator_calls(ModuleCalls& calls);
void add_conv_net_calls(ModuleCalls& calls);

template <class M>
M& of(const Object& self) {
  return *module_of(self).as<M>();
}

/// The many modules that take one tensor.
template <class M>
Value of_x(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("x"));
}

}  // namespace brume::conformance
