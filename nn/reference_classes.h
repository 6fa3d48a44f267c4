#pragma once
// How the reference calls the classes that its files name: Python names and modules, versions, and
// what older versions wrote.

#include <string>
#include <string_view>

#include <brume/core/json.h>

namespace brume::nn {

struct ReferenceClass {
  std::string name;         // ours
  std::string python_name;  // the reference's
  std::string module;       // that defines it there
  std::string version;      // that its files have today
};

/// By our name. A class that the reference lacks is of the module "brume".
ReferenceClass reference_class(const std::string& name);
/// By what a file says. A class of a module that is not the reference's, or that the table lacks,
/// keeps its name and module.
ReferenceClass reference_class(const std::string& python_name, std::string_view module);

/// Rewrites arguments that `version` of the class wrote into today's.
/// @throws FormatError naming `who` if that version is not read
void update_arguments(const ReferenceClass& its_class, const std::string& version,
                      const std::string& who, Json& arguments);

}  // namespace brume::nn
