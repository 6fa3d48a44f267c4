#pragma once
// Configs as JSON values, for the sources that hold JSON already; everybody else uses text.

#include <functional>
#include <limits>
#include <string>

#include <brume/core/json.h>
#include <brume/nn/config.h>

namespace brume::nn {

/// Integers that describe a module lie below this, either way: what a constructor multiplies of
/// them does not overflow.
inline constexpr int64_t kLargestSize = int64_t{1} << 31;

/// As the functions of config.h on text; integers beyond +-`largest` are refused.
void read_config(const Json& json, const std::string& who,
                 const std::function<void(Fields&)>& visit,
                 int64_t largest = std::numeric_limits<int64_t>::max());
Json write_config_json(const std::function<void(Fields&)>& visit);

/// As construct on text, but without building it first without memory.
Ref<Module> construct_once(const std::string& class_name, const Json& arguments);

}  // namespace brume::nn
