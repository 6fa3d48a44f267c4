#pragma once
// Class name -> construct from JSON. Built-in classes are listed in builtin.cpp; a program adds its
// own with register_class before it saves or loads them.

#include <string>
#include <string_view>
#include <typeindex>
#include <typeinfo>
#include <vector>

#include <brume/nn/module.h>

namespace brume::nn {

struct RegisteredClass {
  std::string name;
  std::type_index type;
  /// Reads the arguments and constructs.
  Ref<Module> (*construct)(Fields& arguments);
  /// Arguments that loading a file may change: Config::kOverridable, if there is such a list.
  std::vector<std::string> overridable{};
};

/// A class made from its Config.
template <class M>
RegisteredClass class_entry(std::string name) {
  static_assert(HasFields<typename M::Config>,
                "a class is read from a file by its Config's method fields() (nn/config.h)");
  RegisteredClass entry{std::move(name), typeid(M), [](Fields& v) -> Ref<Module> {
                          typename M::Config config;
                          v.value(config);
                          return make<M>(std::move(config));
                        }};
  if constexpr (requires { M::Config::kOverridable; })
    entry.overridable.assign(M::Config::kOverridable.begin(), M::Config::kOverridable.end());
  return entry;
}

/// Adds a class; again is no error. @throws Error if the name stands for another class
void register_class(RegisteredClass entry);
template <class M>
void register_class(std::string name) {
  register_class(class_entry<M>(std::move(name)));
}

/// A new module from its class name and its arguments as JSON text. It is built without memory
/// first, so that absurd sizes are refused before anything is allocated.
/// @throws FormatError if the class is unknown (the nearest is named) or the JSON is not its
///         config; what the constructor throws
Ref<Module> construct(const std::string& class_name, std::string_view json);

/// All names, sorted.
std::vector<std::string> class_names();
/// The name a class is registered under, or "".
std::string registered_name(std::type_index type);
/// The name of a class in C++, readable where the compiler can say it so: "brume::nn::Linear".
std::string qualified_name(const std::type_info& type);
/// See RegisteredClass; nothing for a name that is not registered.
std::vector<std::string> overridable_arguments(const std::string& class_name);

/// The classes of nn, listed in builtin.cpp.
std::vector<RegisteredClass> builtin_classes();

}  // namespace brume::nn
