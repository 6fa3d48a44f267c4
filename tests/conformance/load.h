#pragma once
// A case's parameters and buffers, put into the module it builds.

#include <string>

#include <brume/nn/module.h>

#include "tests/conformance/case_file.h"

namespace brume::conformance {

/// Gives the module the values under param/<prefix>* and buffer/<prefix>*.
/// @throws Error unless names and shapes are exactly the module's; the case's `tied` parameters are
///         one tensor, its `frozen` ones and no others ask for no gradient; `derived_buffers` that
///         the module has are what it computed itself
void load(const CaseFile& file, const nn::Module& module, const std::string& prefix = "");

}  // namespace brume::conformance
