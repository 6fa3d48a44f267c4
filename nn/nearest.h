#pragma once

#include <span>
#include <string>
#include <string_view>

namespace brume::nn {

/// "; did you mean 'bias'?" if one of the names is close to `wanted`, or several contain it: "; did
/// you mean one of 'Conv2d', 'Conv3D'?", else the names, or how many they are.
std::string suggestion(std::string_view wanted, std::span<const std::string_view> names);

}  // namespace brume::nn
