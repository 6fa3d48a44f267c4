#pragma once
// Numbers as people read them.

#include <cstdint>
#include <string>

namespace brume {

/// Four significant digits, the same under every locale: 0.1235, 1.235e-07.
std::string short_number(double x);
/// At least `digits` digits, so that names sort as their numbers do: 000500.
std::string zero_padded(int64_t n, size_t digits);

}  // namespace brume
