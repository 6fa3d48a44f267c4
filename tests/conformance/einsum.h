#pragma once
// Einstein summation, composed of products and sums: the library has no such function.

#include <string>
#include <vector>

#include "tests/conformance/value.h"

namespace brume::conformance {

/// torch.einsum's equation: letters, "...", and with or without "->". Complex operands are allowed.
Value einsum(const std::string& equation, const std::vector<Array>& operands);

}  // namespace brume::conformance
