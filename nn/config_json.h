#pragma once
// Configs as JSON values, for the sources that hold JSON already; everybody else uses text.

#include <functional>
#include <string>

#include <brume/core/json.h>
#include <brume/nn/config.h>

namespace brume::nn {

/// As the functions of config.h on text.
void read_config(const Json& json, const std::string& who,
                 const std::function<void(Fields&)>& visit);
Json write_config_json(const std::function<void(Fields&)>& visit);

/// As construct on text, but without building it first without memory.
Ref<Module> construct_once(const std::string& class_name, const Json& arguments);

}  // namespace brume::nn
