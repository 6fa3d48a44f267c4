#include "info.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/core/json.h>
#include <brume/nn/model_file.h>

#include "run_folder.h"

namespace brume::tools {
namespace {

Json describe(const nn::ModelFile& file) {
  Json out{{"file", file.path}, {"format", to_string(file.format)}};
  if (!file.class_name.empty()) {
    out["class"] = file.class_name;
    out["config"] = parse_json(file.config, file.path);
  }
  out["notes"] = Json::object();
  for (const auto& [key, value] : file.notes) out["notes"][key] = value;
  out["tensors"] = Json::array();
  int64_t elements = 0, bytes = 0;
  for (const nn::StoredTensor& t : file.tensors) {
    const int64_t count = numel(t.shape), size = count * item_size(t.dtype);
    elements += count;
    bytes += size;
    Json shape = Json::array();
    for (int64_t n : t.shape) shape.push_back(n);
    out["tensors"].push_back(
        {{"name", t.name}, {"dtype", to_string(t.dtype)}, {"shape", shape}, {"bytes", size}});
  }
  out["elements"] = elements;
  out["bytes"] = bytes;
  return out;
}

void print(const Json& all) {
  constexpr size_t kLongest = 2000;  // texts of a file are shown as far as a terminal bears them
  const auto line = [](const std::string& key, const std::string& value) {
    std::printf("%-16s %s\n", io::printable(key, kLongest).c_str(),
                io::printable(value, kLongest).c_str());
  };
  line("format", all["format"].get<std::string>());
  if (all.contains("class")) {
    line("class", all["class"].get<std::string>());
    line("config", dump_json(all["config"]));
  }
  for (const auto& note : all["notes"].items()) line(note.key(), note.value().get<std::string>());
  size_t width = 4;
  for (const Json& t : all["tensors"])
    width = std::max(width, io::printable(t["name"].get<std::string>(), kLongest).size());
  for (const Json& t : all["tensors"])
    std::printf("%-*s  %-5s %s\n", static_cast<int>(width),
                io::printable(t["name"].get<std::string>(), kLongest).c_str(),
                t["dtype"].get<std::string>().c_str(), t["shape"].dump().c_str());
  std::printf("%zu tensors, %lld elements, %lld bytes\n", all["tensors"].size(),
              static_cast<long long>(all["elements"].get<int64_t>()),
              static_cast<long long>(all["bytes"].get<int64_t>()));
}

}  // namespace

int info(const std::string& path, bool json) {
  const Json all = describe(nn::open_model_file(model_of(path)));
  if (json)
    std::printf("%s\n", dump_json(all, 2).c_str());
  else
    print(all);
  return 0;
}

}  // namespace brume::tools
