#include "unknown_class.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/nn/nearest.h>
#include <brume/nn/registry.h>

namespace brume::tools {
namespace {

// Depth is limited by what JSON may have.
std::optional<UnknownClass> find_unknown(const Json& json, const std::vector<std::string>& known,
                                         const std::string& place) {
  if (!json.is_object()) return {};
  const auto at = [&](const std::string& key) { return cat(place, place.empty() ? "" : ".", key); };
  const auto name = json.find("module");
  if (name != json.end() && name->is_string() && json.contains("args")) {
    std::string text = name->get<std::string>();
    if (std::find(known.begin(), known.end(), text) == known.end())
      return UnknownClass{at("module"), std::move(text)};
  }
  for (const auto& entry : json.items())
    if (auto found = find_unknown(entry.value(), known, at(entry.key()))) return found;
  return {};
}

}  // namespace

std::optional<UnknownClass> unknown_class(const Json& json) {
  return find_unknown(json, nn::class_names(), "");
}

std::string nearest_class(const std::string& name) {
  const std::vector<std::string> names = nn::class_names();
  return nn::suggestion(name, std::vector<std::string_view>(names.begin(), names.end()));
}

}  // namespace brume::tools
