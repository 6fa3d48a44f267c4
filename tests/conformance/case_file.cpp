#include "tests/conformance/case_file.h"

#include <brume/core/io/safetensors.h>

namespace brume::conformance {

CaseFile::CaseFile(const std::string& path, Device device)
    : folder_(io::folder_of(path)), device_(device) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  const auto text = file.metadata().find("case");
  check<Error>(text != file.metadata().end(), path, ": has no metadata 'case'");
  description_ = parse(text->second, path);
  check<Error>(description_.at("format").integer("format") == 1, path, ": wanted format 1");
  for (const io::SafetensorsEntry& entry : file.entries())
    tensors_[entry.name] = transfer(file.read(entry), device);
  if (const Value* keys = description_.find("complex"))
    for (const Value& key : keys->list("complex")) complex_.insert(key.text("complex"));
}

Array CaseFile::tensor(std::string_view key) const {
  const auto found = tensors_.find(std::string(key));
  check<Error>(found != tensors_.end(), "the case lacks the tensor '", key, "'");
  return {found->second, complex_.count(found->first) != 0};
}

std::vector<std::string> CaseFile::keys(std::string_view prefix) const {
  std::vector<std::string> out;
  for (const auto& [key, tensor] : tensors_)
    if (key.starts_with(prefix)) out.push_back(key.substr(prefix.size()));
  return out;
}

bool is_case(const std::string& path) {
  return io::open_safetensors(path).metadata().count("case") != 0;
}

}  // namespace brume::conformance
