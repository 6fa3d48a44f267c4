#pragma once
// Modules by their class names: made through the registry, called by the reference's argument
// names.

#include <string>

#include <brume/diffusion/condition.h>
#include <brume/nn/module.h>

#include "tests/conformance/arguments.h"

namespace brume::conformance {

/// How the older preconditioners and models of patches are called.
extern const Methods kLegacyNetwork, kPatchModel;

bool is_module(const std::string& class_name);

/// A new module from its constructor's arguments.
Value make_module(const std::string& class_name, Map arguments);

/// A module, called as those of the class are.
Value module_value(const std::string& class_name, const nn::Ref<nn::Module>& module);

/// The module that a value holds. @throws Error if it is another thing
nn::Ref<nn::Module> module_of(const Value& value);

/// The argument `condition`: nothing, a tensor or a dictionary of them.
diffusion::Condition condition(Arguments& arguments);

}  // namespace brume::conformance
