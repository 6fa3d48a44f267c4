#pragma once
// Class name -> construct from JSON. Built-in classes are listed in builtin.cpp; a program adds its
// own with register_class before it loads them.

#include <string>
#include <string_view>
#include <typeindex>
#include <vector>

#include <brume/nn/module.h>

namespace brume::nn {

struct RegisteredClass {
  std::string name;
  std::type_index type;
  /// Reads the arguments and constructs.
  Ref<Module> (*construct)(Fields& arguments);
};

/// A class made from its Config.
template <class M>
RegisteredClass class_entry(std::string name) {
  return {std::move(name), typeid(M), [](Fields& v) -> Ref<Module> {
            typename M::Config config;
            v.value(config);
            return make<M>(std::move(config));
          }};
}

/// Adds a class; again is no error. @throws Error if the name stands for another class
void register_class(RegisteredClass entry);
template <class M>
void register_class(std::string name) {
  register_class(class_entry<M>(std::move(name)));
}

/// A new module from its class name and its arguments as JSON text. It is built without memory
/// first, so that absurd sizes are refused before anything is allocated.
/// @throws FormatError if the class is unknown (the known ones are listed) or the JSON is not its
///         config; what the constructor throws
Ref<Module> construct(const std::string& class_name, std::string_view json);

/// All names, sorted.
std::vector<std::string> class_names();
/// The name a class is registered under, or "".
std::string registered_name(std::type_index type);

/// The classes of nn, listed in builtin.cpp.
std::vector<RegisteredClass> builtin_classes();

}  // namespace brume::nn
