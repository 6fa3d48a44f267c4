#include <brume/nn/registry.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/nn/config_json.h>
#include <brume/nn/nearest.h>

#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace brume::nn {
namespace {

struct Table {
  std::mutex mutex;
  std::map<std::string, RegisteredClass> classes;
  std::map<std::type_index, std::string> names;

  Table() {
    for (RegisteredClass& entry : builtin_classes()) add(std::move(entry));
  }
  void add(RegisteredClass entry) {
    const auto [at, is_new] = classes.emplace(entry.name, entry);
    check<Error>(is_new || at->second.type == entry.type, "register_class: '", entry.name,
                 "' stands for another class already");
    names.emplace(entry.type, entry.name);
  }
};

Table& table() {
  static Table t;
  return t;
}

}  // namespace

void register_class(RegisteredClass entry) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  t.add(std::move(entry));
}

std::vector<std::string> class_names() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> names;
  for (const auto& [name, entry] : t.classes) names.push_back(name);
  return names;
}

std::string registered_name(std::type_index type) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const auto found = t.names.find(type);
  return found == t.names.end() ? "" : found->second;
}

std::string qualified_name(const std::type_info& type) {
  std::string name = type.name();
#if __has_include(<cxxabi.h>)
  int status = 0;
  if (char* readable = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status)) {
    name = readable;
    std::free(readable);
  }
#endif
  return name;
}

std::vector<std::string> overridable_arguments(const std::string& class_name) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const auto found = t.classes.find(class_name);
  return found == t.classes.end() ? std::vector<std::string>() : found->second.overridable;
}

Ref<Module> construct_once(const std::string& class_name, const Json& arguments) {
  Ref<Module> (*factory)(Fields&) = nullptr;
  {
    Table& t = table();
    const std::lock_guard lock(t.mutex);
    const auto found = t.classes.find(class_name);
    if (found != t.classes.end()) factory = found->second.construct;
  }
  if (!factory) {
    const std::vector<std::string> names = class_names();
    const std::vector<std::string_view> known(names.begin(), names.end());
    throw FormatError(
        cat("construct: no class is registered as ", io::quote(class_name),
            " (files with diffusion models are read by diffusion::load; a class of your own needs "
            "nn::register_class first, a diffusion model diffusion::register_model)",
            suggestion(class_name, known)));
  }
  const detail::ConstructionDepth depth;
  Ref<Module> module;
  read_config(
      arguments, class_name, [&](Fields& v) { module = factory(v); }, kLargestSize);
  return module;
}

Ref<Module> construct(const std::string& class_name, std::string_view json) {
  const Json arguments = parse_json(json, class_name);
  {
    const Construction trial(Construction::Mode::shapes_only);
    construct_once(class_name, arguments);
  }
  return construct_once(class_name, arguments);
}

}  // namespace brume::nn
