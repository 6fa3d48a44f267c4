#pragma once
// The one place that names the JSON type. The full type is in <nlohmann/json.hpp>, which costs a
// second per file: include it in few .cpp files and in no header.

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace brume {

/// A JSON value whose objects keep the order of their keys.
using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 64;
/// What parse_json takes by default: a Json needs up to 24 times the memory of its text.
inline constexpr uint64_t kMaxJsonBytes = uint64_t{2} << 20;

/// What scan_json calls, in the order of the text. A key is followed by its value. Strings may be
/// moved from.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void begin_object() = 0;
  virtual void key(std::string& name) = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
  virtual void string(std::string& value) = 0;
  virtual void signed_integer(int64_t value) = 0;  // negative
  virtual void unsigned_integer(uint64_t value) = 0;
  virtual void number(double value) = 0;
  virtual void boolean(bool value) = 0;
  virtual void null() = 0;
};

/// Walks a JSON text without building anything, for texts too large to hold as a Json.
/// @throws FormatError "who: line 3, column 7: …" if it is not JSON, not UTF-8, or nested deeper
///         than 64; whatever an event throws
void scan_json(std::string_view text, std::string_view who, JsonEvents& events);

/// The value of a whole JSON text; `who` names the text in errors, usually a path.
/// @throws FormatError as scan_json, if a key stands twice in one object, or the text is longer
///         than `max_bytes`
Json parse_json(std::string_view text, std::string_view who, uint64_t max_bytes = kMaxJsonBytes);

/// JSON text in UTF-8, on one line or indented; numbers read back as the same bits.
/// @throws FormatError on a NaN, an infinity, text that is not UTF-8, or nesting deeper than 64
std::string dump_json(const Json& value, int indent = -1);
/// The JSON form of a string, quotes included. @throws FormatError if it is not UTF-8
std::string json_string(std::string_view text);

}  // namespace brume
