#pragma once
// The JSON header of a safetensors file: text to checked records.

#include <string>
#include <string_view>
#include <vector>

#include <brume/core/io/safetensors.h>

namespace brume::io {

inline constexpr std::string_view kSafetensorsMetadata = "__metadata__";

struct SafetensorsHeader {
  Metadata metadata;
  std::vector<SafetensorsEntry> entries;  // in the order of the text
  std::vector<uint32_t> by_name;          // indices of entries, sorted by name
};

/// `data_begin` is where the data start in the file, `data_bytes` how many follow.
/// @throws FormatError unless every entry is sound and together they cover the data once
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path,
                                           uint64_t data_begin, uint64_t data_bytes,
                                           const SafetensorsOptions& options);

/// "F32" of DType::f32.
const char* safetensors_name(DType dtype);

}  // namespace brume::io
