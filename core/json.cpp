#include <brume/core/json.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume {
namespace {

void check_depth(int depth, std::string_view who) {
  check<FormatError>(depth <= kMaxJsonDepth, who, ": JSON nested deeper than ", kMaxJsonDepth,
                     " levels is not accepted");
}

// Hands the parser's events on. The parser itself keeps one bit per level, not a stack frame.
class Forwarder final : public nlohmann::json_sax<Json> {
 public:
  Forwarder(JsonEvents& events, std::string_view who) : events_(events), who_(who) {}

  bool null() override { return events_.null(), true; }
  bool boolean(bool value) override { return events_.boolean(value), true; }
  bool number_integer(int64_t value) override { return events_.signed_integer(value), true; }
  bool number_unsigned(uint64_t value) override { return events_.unsigned_integer(value), true; }
  bool number_float(double value, const std::string&) override {
    return events_.number(value), true;
  }
  bool string(std::string& value) override { return events_.string(value), true; }
  bool binary(binary_t&) override { return false; }  // not in JSON text
  bool start_object(size_t) override { return enter(), events_.begin_object(), true; }
  bool key(std::string& name) override { return events_.key(name), true; }
  bool end_object() override { return --depth_, events_.end_object(), true; }
  bool start_array(size_t) override { return enter(), events_.begin_array(), true; }
  bool end_array() override { return --depth_, events_.end_array(), true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …", which quotes the text
    std::string_view what = e.what();
    if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
    throw FormatError(cat(who_, ": ", io::printable(what, 300)));
  }

 private:
  void enter() { check_depth(++depth_, who_); }
  JsonEvents& events_;
  std::string_view who_;
  int depth_ = 0;
};

// Builds a Json. Members are appended, not looked up: an ordered object looks up by walking, which
// would make a large one quadratic. Keys that stand twice are found when the object is complete.
class Builder final : public JsonEvents {
 public:
  explicit Builder(std::string_view who) : who_(who) {}
  Json take() { return std::move(root_); }

  void begin_object() override { open_.push_back(&add(Json::object())); }
  void key(std::string& name) override { key_ = std::move(name); }
  void end_object() override {
    check_unique(open_.back()->get_ref<const Json::object_t&>());
    open_.pop_back();
  }
  void begin_array() override { open_.push_back(&add(Json::array())); }
  void end_array() override { open_.pop_back(); }
  void string(std::string& value) override { add(std::move(value)); }
  void signed_integer(int64_t value) override { add(value); }
  void unsigned_integer(uint64_t value) override { add(value); }
  void number(double value) override { add(value); }
  void boolean(bool value) override { add(value); }
  void null() override { add(nullptr); }

 private:
  Json& add(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.emplace_back(std::move(value));
    // The base of ordered_map: its own insertion would look the key up.
    std::vector<std::pair<const std::string, Json>>& members = parent.get_ref<Json::object_t&>();
    return members.emplace_back(std::move(key_), std::move(value)).second;
  }

  void check_unique(const Json::object_t& object) const {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& member : object) keys.emplace_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end())
      throw FormatError(cat(who_, ": key ", io::quote(*twice), " stands twice in one object"));
  }

  std::string_view who_;
  Json root_;
  std::vector<Json*> open_;  // stays valid: only the innermost container grows
  std::string key_;
};

void check_dumpable(const Json& value, int depth) {
  check_depth(depth, "dump_json");
  check<FormatError>(!value.is_number_float() || std::isfinite(value.get<double>()),
                     "dump_json: JSON has no ", value.is_number_float() ? value.get<double>() : 0,
                     "; write it as a string");
  if (value.is_structured())
    for (const Json& child : value) check_dumpable(child, depth + 1);
}

}  // namespace

void scan_json(std::string_view text, std::string_view who, JsonEvents& events) {
  Forwarder forwarder(events, who);
  Json::sax_parse(text.data(), text.data() + text.size(), &forwarder);
}

Json parse_json(std::string_view text, std::string_view who, uint64_t max_bytes) {
  check<FormatError>(text.size() <= max_bytes, who, ": ", text.size(),
                     " bytes of JSON; max_bytes allows ", max_bytes);
  Builder builder(who);
  scan_json(text, who, builder);
  return builder.take();
}

std::string dump_json(const Json& value, int indent) {
  check_dumpable(value, 1);
  try {
    return value.dump(indent);
  } catch (const nlohmann::json::type_error& e) {
    throw FormatError(cat("dump_json: ", io::printable(e.what(), 300)));
  }
}

std::string json_string(std::string_view text) { return dump_json(Json(text)); }

}  // namespace brume
