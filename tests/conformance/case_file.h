#pragma once
// One file of cases: its description and its tensors.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/value.h"

namespace brume::conformance {

class CaseFile {
 public:
  /// @throws IoError, FormatError; Error if the file describes no case of format 1
  CaseFile(const std::string& path, Device device);
  /// A case without tensors, described elsewhere.
  explicit CaseFile(std::string folder) : folder_(std::move(folder)) {}

  const Value& description() const { return description_; }
  Device device() const { return device_; }
  /// Where it lies, for the files that it names.
  const std::string& folder() const { return folder_; }
  bool has(std::string_view key) const { return tensors_.count(std::string(key)) != 0; }
  /// The same tensor every time, on the device. @throws Error if there is none
  Array tensor(std::string_view key) const;
  /// Keys that begin with `prefix`, in order, without it.
  std::vector<std::string> keys(std::string_view prefix) const;

 private:
  std::string folder_;
  Device device_ = kCpu;
  Value description_;
  std::map<std::string, Tensor> tensors_;
  std::set<std::string> complex_;
};

/// Whether a file has the metadata of a case.
bool is_case(const std::string& path);

}  // namespace brume::conformance
