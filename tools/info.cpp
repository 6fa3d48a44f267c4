#include "info.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include <brume/core/io/safetensors.h>
#include <brume/core/json.h>

namespace brume::tools {

int info(const std::string& path, bool json) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  Json out{{"file", path}, {"metadata", Json::object()}, {"tensors", Json::array()}};
  int64_t elements = 0, bytes = 0;
  size_t width = 4;
  for (const auto& [key, value] : file.metadata()) out["metadata"][key] = value;
  for (const auto& entry : file.entries()) {
    const int64_t count = numel(entry.array.shape);
    const int64_t size = count * item_size(entry.array.dtype());
    elements += count;
    bytes += size;
    width = std::max(width, entry.name.size());
    Json shape = Json::array();
    for (int64_t n : entry.array.shape) shape.push_back(n);
    out["tensors"].push_back({{"name", entry.name},
                              {"dtype", to_string(entry.array.dtype())},
                              {"shape", shape},
                              {"bytes", size}});
  }
  out["elements"] = elements;
  out["bytes"] = bytes;
  if (json) {
    std::printf("%s\n", dump_json(out, 2).c_str());
    return 0;
  }
  for (const auto& [key, value] : file.metadata())
    std::printf("%-16s %s\n", key.c_str(), value.c_str());
  for (const Json& t : out["tensors"])
    std::printf("%-*s  %-5s %s\n", static_cast<int>(width), t["name"].get<std::string>().c_str(),
                t["dtype"].get<std::string>().c_str(), t["shape"].dump().c_str());
  std::printf("%zu tensors, %lld elements, %lld bytes\n", file.entries().size(),
              static_cast<long long>(elements), static_cast<long long>(bytes));
  return 0;
}

}  // namespace brume::tools
