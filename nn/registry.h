#pragma once
// Class name -> construct from JSON. Built-in classes are listed in builtin.cpp; a program adds its
// own with register_class before it loads them.

#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include <brume/nn/module.h>

namespace brume::nn {

/// Reads the arguments and constructs.
using Factory = Ref<Module> (*)(Fields& arguments);

/// Adds a class. @throws Error if the name stands for another class
void register_class(const std::string& name, const std::type_info& type, Factory factory);

template <class M>
void register_class(const std::string& name) {
  register_class(name, typeid(M), [](Fields& v) -> Ref<Module> {
    typename M::Config config;
    v.value(config);
    return make<M>(std::move(config));
  });
}

/// A new module from its class name and its arguments as JSON text. It is built without memory
/// first, so that absurd sizes are refused before anything is allocated.
/// @throws FormatError if the class is unknown (the known ones are listed) or the JSON is not its
///         config; what the constructor throws
Ref<Module> construct(const std::string& class_name, std::string_view json);

/// All names, sorted.
std::vector<std::string> class_names();
/// The name a class is registered under, or "".
std::string registered_name(const std::type_info& type);

}  // namespace brume::nn
