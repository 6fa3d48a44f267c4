#pragma once
// What running one case found out.

#include <string>
#include <string_view>

#include "tests/conformance/case_file.h"
#include "tests/conformance/compare.h"

namespace brume::conformance {

enum class Verdict { passed, failed, skipped };

struct Outcome {
  std::string name, target;  // "module/songunet_ddpmpp", "SongUNet"
  Verdict verdict = Verdict::passed;
  double ratio = 0;       // the largest error / tolerance
  std::string key = {};   // of the tensor it belongs to
  std::string text = {};  // why it failed or was skipped
  double seconds = 0;
};

/// Collects the comparisons of one case; the worst one tells.
class Findings {
 public:
  Findings(const CaseFile& file, const Value& tolerances) : file_(file), tolerances_(tolerances) {}

  /// Compares with the file's tensor of that key.
  void compare(const Tensor& actual, const std::string& key);
  /// Rows of statistics (section 1.5) with the file's.
  void compare_statistics(const Tensor& actual, const std::string& key);
  /// A thing that must hold and is no comparison of numbers.
  void require(bool holds, const std::string& key, std::string text);

  void write_to(Outcome& outcome) const;

 private:
  void add(const Agreement& agreement, const std::string& key);
  const CaseFile& file_;
  const Value& tolerances_;
  Agreement worst_;
  std::string key_;
};

}  // namespace brume::conformance
