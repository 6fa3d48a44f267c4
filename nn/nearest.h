#pragma once

#include <span>
#include <string>
#include <string_view>

namespace brume::nn {

/// "; did you mean 'bias'?" if a name is close to `wanted`, else the names, or how many they are.
std::string suggestion(std::string_view wanted, std::span<const std::string_view> names);

}  // namespace brume::nn
