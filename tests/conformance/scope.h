#pragma once
// The names of a case: its tensors, the objects made so far, and the functions that it may call.

#include <map>
#include <string>
#include <string_view>

#include "tests/conformance/arguments.h"
#include "tests/conformance/case_file.h"

namespace brume::conformance {

/// A case names a class or function that is not served.
class UnknownTarget : public Error {
 public:
  explicit UnknownTarget(std::string_view target) : Error(cat("unknown target ", target)) {}
};

class Scope {
 public:
  explicit Scope(const CaseFile& file) : file_(file) {}

  /// Gives a value the name that {"ref": id} and targets know it by.
  void define(std::string id, Value value) { objects_[std::move(id)] = std::move(value); }
  /// Which row {"per_step": key} takes.
  void set_step(int64_t step) { step_ = step; }

  /// Replaces the forms of section 1.3 by what they stand for, all the way down.
  Value decode(const Value& form) const;
  /// The arguments of an ordered list of {"name": n, ...}.
  Map decode_call(const Value& call) const;

  /// Calls a function, makes an instance of a class, or calls an object or its method.
  /// @throws UnknownTarget
  Value call(const std::string& target, Map arguments) const;

 private:
  Value resolve(const std::string& reference) const;

  const CaseFile& file_;
  std::map<std::string, Value, std::less<>> objects_;
  int64_t step_ = 0;
};

/// Calls what can be called: an object, a bound method, a partial.
Value invoke(const Value& callable, Map arguments);
/// Calls a method. @throws UnknownTarget if the object lacks it
Value invoke(const Object& object, std::string_view method, Map arguments);

/// The tensors of a result: lists in order, dictionaries by sorted keys.
Tensors flatten(const Value& result);

}  // namespace brume::conformance
