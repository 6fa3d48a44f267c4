#pragma once
// What a case is written in: JSON, extended by tensors and by what the case builds.

#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <brume/autograd/node.h>
#include <brume/core/tensor.h>

namespace brume::conformance {

class Value;
using List = std::vector<Value>;
using Map = std::vector<std::pair<std::string, Value>>;  // in the order of the text

/// A tensor of a case. A complex one has a last axis of 2 (real, imaginary) which the reference
/// does not count.
struct Array {
  Tensor tensor;
  bool complex = false;
};

class Arguments;
struct Object;
using Method = Value (*)(const Object& self, Arguments& arguments);
/// Name -> method; the name "" is the call of the object itself.
using Methods = std::map<std::string, Method, std::less<>>;

/// Something built: a module, a scheduler, a function.
struct Object {
  std::any content;
  std::string type;  // for messages
  const Methods* methods = nullptr;

  template <class T>
  const T& as() const {
    const T* found = std::any_cast<T>(&content);
    check<Error>(found, type, " cannot be used here");
    return *found;
  }
};

class Value {
 public:
  using Data =
      std::variant<std::nullptr_t, bool, int64_t, double, std::string, List, Map, Array, Object>;

  Value() : data_(nullptr) {}
  Value(bool b) : data_(b) {}
  Value(int64_t i) : data_(i) {}
  Value(double x) : data_(x) {}
  Value(std::string s) : data_(std::move(s)) {}
  Value(List list) : data_(std::move(list)) {}
  Value(Map map) : data_(std::move(map)) {}
  Value(Array array) : data_(std::move(array)) {}
  Value(Tensor x) : data_(Array{std::move(x), false}) {}
  Value(const Tensors& xs) : data_(List(xs.begin(), xs.end())) {}
  Value(Object object) : data_(std::move(object)) {}

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* get_if() {
    return std::get_if<T>(&data_);
  }
  bool is_null() const { return data_.index() == 0; }
  bool is_number() const { return get_if<int64_t>() || get_if<double>(); }

  // The value as the type asked for. @throws Error naming `who` if it is another
  double number(std::string_view who) const;
  int64_t integer(std::string_view who) const;
  bool boolean(std::string_view who) const;
  const std::string& text(std::string_view who) const;
  const List& list(std::string_view who) const;
  const Map& map(std::string_view who) const;
  const Array& array(std::string_view who) const;
  const Object& object(std::string_view who) const;
  /// One integer, or a list of them.
  std::vector<int64_t> integers(std::string_view who) const;

  /// The member of a map, or null if this is no map or lacks it.
  const Value* find(std::string_view key) const;
  /// @throws Error if it is missing
  const Value& at(std::string_view key) const;

 private:
  Data data_;
};

/// What kind of value it is, for messages.
std::string describe(const Value& value);

/// JSON text, in which {"float": "inf"} is a number. @throws FormatError if it is not JSON
Value parse(std::string_view text, std::string_view who);

/// JSON text that the library's configs read: tensors become lists of numbers, {"activation":
/// "silu"} and {"enum": "Kind.MEMBER"} the bare name, infinities {"float": "inf"}.
std::string to_json(const Value& value);

}  // namespace brume::conformance
