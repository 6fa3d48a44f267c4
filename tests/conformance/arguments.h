#pragma once
// The named arguments of a call. Each must be read by whoever serves the call: an argument that
// nobody looks at is an error, not a default.

#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/value.h"

namespace brume::conformance {

class Arguments {
 public:
  Arguments(std::string target, Map values);

  const std::string& target() const { return target_; }

  /// Whether an argument was given, and not as null.
  bool has(std::string_view name);
  /// @throws Error if it was not given
  const Value& at(std::string_view name);
  /// The argument, or null.
  const Value* find(std::string_view name);

  /// A tensor that may be complex.
  const Array& array(std::string_view name);
  /// Whether an argument was given and is a complex tensor.
  bool is_complex(std::string_view name);
  bool is_tensor(std::string_view name);
  /// A tensor that is not complex.
  Tensor tensor(std::string_view name);
  /// Undefined if it was not given.
  Tensor optional_tensor(std::string_view name);
  Tensors tensors(std::string_view name);
  double number(std::string_view name);
  double number(std::string_view name, double otherwise);
  int64_t integer(std::string_view name);
  int64_t integer(std::string_view name, int64_t otherwise);
  bool flag(std::string_view name, bool otherwise);
  std::string text(std::string_view name, std::string_view otherwise);
  /// The reference's name of a dtype, as in {"dtype": "float32"}. @throws Error if we have none
  /// such
  DType dtype(std::string_view name, DType otherwise);
  std::vector<int64_t> integers(std::string_view name);
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> otherwise);

  /// Accepts an argument that cannot change a result, whatever its value.
  void ignore(std::string_view name) { find(name); }
  /// Takes the rest, in order.
  Map take_rest();
  /// @throws Error naming an argument that nobody has read
  void finish() const;

 private:
  std::string who(std::string_view name) const;
  std::string target_;
  Map values_;
  std::vector<bool> read_;
};

}  // namespace brume::conformance
