#pragma once
// How a case of each kind runs: section 2 of the format. Each compares what it finds; what it
// throws is the case's failure.

#include <brume/nn/module.h>

#include "tests/conformance/findings.h"
#include "tests/conformance/scope.h"

namespace brume::conformance {

/// One sub-case of a bundle.
void run_op(const CaseFile& file, const Value& description, Findings& findings);
/// Saves the module into the folder `save_to`, unless that is "".
void run_module(const CaseFile& file, const std::string& save_to, Findings& findings);
void run_scheduler(const CaseFile& file, Findings& findings);
/// Losses and samplers: several objects, and a call.
void run_objects(const CaseFile& file, Findings& findings);
void run_optim(const CaseFile& file, Findings& findings);
void run_training(const CaseFile& file, Findings& findings);
/// A file in another format.
void run_checkpoint(const CaseFile& file, Findings& findings);
/// A file that must be refused with an error, described by an entry of bad/index.json.
void run_refusal(const std::string& path, const Value& description, Findings& findings);

/// The modules of a case, made and loaded; then its objects; then what is called in the end, which
/// is an instance made for it if the case has target_args.
struct Built {
  explicit Built(const CaseFile& file);
  void make_objects(const Value& description);
  void make_target(const Value& description);

  Scope scope;
  nn::NamedTensors parameters = {};  // "<id>.<key>"
  std::string target = {};           // for scope.call
};

/// Serves the case's recorded draws from the default generator while it lives.
class Draws {
 public:
  explicit Draws(const CaseFile& file);
  ~Draws();
  Draws(const Draws&) = delete;
  Draws& operator=(const Draws&) = delete;
  /// Whether all of them were used.
  void check_used(Findings& findings) const;

 private:
  size_t count_ = 0;
};

}  // namespace brume::conformance
