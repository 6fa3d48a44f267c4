#include "tests/conformance/value.h"

#include <charconv>
#include <cmath>
#include <limits>

#include <brume/core/json.h>

namespace brume::conformance {
namespace {

double number_named(const std::string& name) {
  if (name == "inf") return std::numeric_limits<double>::infinity();
  if (name == "-inf") return -std::numeric_limits<double>::infinity();
  check<Error>(name == "nan", "unknown float ", name);
  return std::numeric_limits<double>::quiet_NaN();
}

// Builds a Value from the events of a JSON text.
class Builder final : public JsonEvents {
 public:
  Value take() { return std::move(root_); }

  void begin_object() override { open_.push_back(place(Map())); }
  void key(std::string& name) override { key_ = std::move(name); }
  void end_object() override {
    Value& closed = *open_.back();
    open_.pop_back();
    const Map& members = *closed.get_if<Map>();
    if (members.size() == 1 && members[0].first == "float")
      closed = number_named(members[0].second.text("float"));
  }
  void begin_array() override { open_.push_back(place(List())); }
  void end_array() override { open_.pop_back(); }
  void string(std::string& value) override { place(std::move(value)); }
  void signed_integer(int64_t value) override { place(value); }
  void unsigned_integer(uint64_t value) override { place(static_cast<int64_t>(value)); }
  void number(double value) override { place(value); }
  void boolean(bool value) override { place(value); }
  void null() override { place(Value()); }

 private:
  // An open container does not move while its members are built: they are appended to it alone.
  Value* place(Value value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (Map* map = open_.back()->get_if<Map>())
      return &map->emplace_back(std::move(key_), std::move(value)).second;
    return &open_.back()->get_if<List>()->emplace_back(std::move(value));
  }

  Value root_;
  std::vector<Value*> open_;
  std::string key_;
};

template <class T>
const T& expect(const Value& value, std::string_view who, const char* wanted) {
  const T* found = value.get_if<T>();
  check<Error>(found, who, ": wanted ", wanted, ", got ", describe(value));
  return *found;
}

void append_quoted(std::string& out, const std::string& text) {
  constexpr char hex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_number(std::string& out, double x) {
  if (!std::isfinite(x)) {
    out += cat("{\"float\": \"", std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf", "\"}");
    return;
  }
  const size_t start = out.size();
  out += cat(x);
  if (out.find_first_of(".e", start) == out.npos) out += ".0";
}

void append_json(std::string& out, const Value& value);

// The values of a tensor from `offset` on, nested as its axes are.
void append_nested(std::string& out, const std::vector<double>& values, const Shape& shape,
                   int axis, size_t& next) {
  if (axis == shape.rank()) return append_number(out, values[next++]);
  out += '[';
  for (int64_t i = 0; i < shape[axis]; ++i) {
    if (i > 0) out += ", ";
    append_nested(out, values, shape, axis + 1, next);
  }
  out += ']';
}

void append_map(std::string& out, const Map& map) {
  if (map.size() == 1 && map[0].first == "activation") return append_json(out, map[0].second);
  if (map.size() == 1 && map[0].first == "enum") {
    const std::string& member = map[0].second.text("enum");
    return append_quoted(out, member.substr(member.rfind('.') + 1));
  }
  out += '{';
  for (size_t i = 0; i < map.size(); ++i) {
    if (i > 0) out += ", ";
    append_quoted(out, map[i].first);
    out += ": ";
    append_json(out, map[i].second);
  }
  out += '}';
}

void append_json(std::string& out, const Value& value) {
  if (value.is_null()) {
    out += "null";
  } else if (const bool* b = value.get_if<bool>()) {
    out += *b ? "true" : "false";
  } else if (const int64_t* i = value.get_if<int64_t>()) {
    out += cat(*i);
  } else if (const double* x = value.get_if<double>()) {
    append_number(out, *x);
  } else if (const std::string* s = value.get_if<std::string>()) {
    append_quoted(out, *s);
  } else if (const List* list = value.get_if<List>()) {
    out += '[';
    for (size_t k = 0; k < list->size(); ++k) {
      if (k > 0) out += ", ";
      append_json(out, (*list)[k]);
    }
    out += ']';
  } else if (const Map* map = value.get_if<Map>()) {
    append_map(out, *map);
  } else if (const Array* array = value.get_if<Array>()) {
    size_t next = 0;
    append_nested(out, array->tensor.to_vector<double>(), array->tensor.shape(), 0, next);
  } else {
    throw Error(cat("to_json: ", describe(value), " cannot be written as JSON"));
  }
}

}  // namespace

double Value::number(std::string_view who) const {
  if (const int64_t* i = get_if<int64_t>()) return static_cast<double>(*i);
  return expect<double>(*this, who, "a number");
}
int64_t Value::integer(std::string_view who) const {
  if (const double* x = get_if<double>(); x && *x == std::trunc(*x))
    return static_cast<int64_t>(*x);
  return expect<int64_t>(*this, who, "an integer");
}
bool Value::boolean(std::string_view who) const { return expect<bool>(*this, who, "a bool"); }
const std::string& Value::text(std::string_view who) const {
  return expect<std::string>(*this, who, "a string");
}
const List& Value::list(std::string_view who) const { return expect<List>(*this, who, "a list"); }
const Map& Value::map(std::string_view who) const { return expect<Map>(*this, who, "an object"); }
const Array& Value::array(std::string_view who) const {
  return expect<Array>(*this, who, "a tensor");
}
const Object& Value::object(std::string_view who) const {
  return expect<Object>(*this, who, "something built");
}

std::vector<int64_t> Value::integers(std::string_view who) const {
  if (!get_if<List>()) return {integer(who)};
  std::vector<int64_t> out;
  for (const Value& v : list(who)) out.push_back(v.integer(who));
  return out;
}

const Value* Value::find(std::string_view key) const {
  if (const Map* members = get_if<Map>())
    for (const auto& [name, value] : *members)
      if (name == key) return &value;
  return nullptr;
}
const Value& Value::at(std::string_view key) const {
  const Value* found = find(key);
  check<Error>(found, "the case lacks '", key, "'");
  return *found;
}

std::string describe(const Value& value) {
  if (const Array* array = value.get_if<Array>())
    return cat(array->complex ? "a complex" : "a", " tensor ", array->tensor.shape());
  if (const Object* object = value.get_if<Object>()) return object->type;
  if (value.get_if<List>()) return "a list";
  if (value.get_if<Map>()) return "an object";
  std::string text;
  append_json(text, value);
  return text;
}

Value parse(std::string_view text, std::string_view who) {
  Builder builder;
  scan_json(text, who, builder);
  return builder.take();
}

std::string to_json(const Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

}  // namespace brume::conformance
