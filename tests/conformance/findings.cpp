#include "tests/conformance/findings.h"

#include <limits>

namespace brume::conformance {

void Findings::compare(const Tensor& actual, const std::string& key) {
  add(conformance::compare(actual, file_.tensor(key).tensor, tolerances_.at(key)), key);
}
void Findings::compare_statistics(const Tensor& actual, const std::string& key) {
  add(conformance::compare_statistics(actual, file_.tensor(key).tensor, tolerances_.at(key)), key);
}
void Findings::require(bool holds, const std::string& key, std::string text) {
  if (!holds) add({std::numeric_limits<double>::infinity(), std::move(text)}, key);
}

void Findings::add(const Agreement& agreement, const std::string& key) {
  if (!key_.empty() && agreement.ratio <= worst_.ratio) return;
  worst_ = agreement;
  key_ = key;
}

void Findings::write_to(Outcome& outcome) const {
  outcome.ratio = worst_.ratio;
  outcome.key = key_;
  outcome.text = worst_.text;
  outcome.verdict = worst_ ? Verdict::passed : Verdict::failed;
}

}  // namespace brume::conformance
