#pragma once
// Classes that options or a file name and brume does not have: said here, since the library's text
// speaks to people who program.

#include <optional>
#include <string>

#include <brume/core/json.h>

namespace brume::tools {

struct UnknownClass {
  std::string place, name;  // "model.args.model.module", what stands there
};

/// The first in `json`, which holds modules as {"module": class, "args": {...}} at any depth.
std::optional<UnknownClass> unknown_class(const Json& json);

/// "; did you mean 'SongUNet'?", or which there are.
std::string nearest_class(const std::string& name);

}  // namespace brume::tools
