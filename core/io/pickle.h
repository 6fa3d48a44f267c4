#pragma once
// Python's pickles, read as data: a stack machine that builds values and executes nothing.
// docs/formats/torch.md lists the opcodes.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <brume/core/io/byte_reader.h>

namespace brume::io {

struct PickleOptions {
  uint64_t max_bytes = uint64_t{16} << 20;
  uint64_t max_values = uint64_t{3} << 17;
  /// Open marks, which is how deep the text itself nests; and the depth of what it builds.
  int max_depth = 64;
};

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  number,
  text,
  big_integer,  // its digits in base 256, least first, two's complement
  tuple,        // items
  list,         // items
  dict,         // items: key, value, key, value, ...
  global,       // text: "module name"; nothing is looked up
  call,         // items: a global and the tuple it is called with; nothing is called
  persistent    // items: the name of something that lies outside the pickle
};

/// A value, known by its index. Items are indices, so shared values are shared and even a ring is
/// harmless as long as it is not followed.
struct PickleValue {
  using Index = uint32_t;
  using Items = std::vector<Index>;

  PickleKind kind;
  uint32_t offset;  // of the opcode that made it, for errors
  std::variant<std::monostate, bool, int64_t, double, std::string_view, Items> content{};
};

/// A pickle's values. Each stands after the items of the tuples, calls and names it is made of.
class Pickle {
 public:
  using Index = PickleValue::Index;

  const std::string& who() const { return who_; }
  size_t size() const { return values_.size(); }
  const PickleValue& operator[](Index i) const { return values_[i]; }
  Index root() const { return root_; }

  PickleKind kind(Index i) const { return values_[i].kind; }
  // The content as the type asked for. @throws FormatError naming `what` and the offset
  bool boolean(Index i, std::string_view what) const;
  int64_t integer(Index i, std::string_view what) const;
  double number(Index i, std::string_view what) const;
  std::string_view text(Index i, std::string_view what) const;
  /// Of a tuple, list, dict, call or name.
  const PickleValue::Items& items(Index i, std::string_view what) const;
  const PickleValue::Items& tuple(Index i, std::string_view what) const;
  /// "model.pt: data.pkl: at offset 12", and a text of the caller's.
  [[noreturn]] void fail(Index i, std::string_view problem) const;

 private:
  friend class PickleMachine;
  std::string who_;
  std::vector<PickleValue> values_;
  Index root_ = 0;
};

/// Reads one pickle and leaves the reader behind it. Texts of the values point into its bytes.
/// @throws FormatError naming opcode and offset on any opcode outside the list, a broken stack, or
///         a limit
Pickle read_pickle(ByteReader& reader, const PickleOptions& options = {});

/// The opcodes that a pickle is written with.
class PickleWriter {
 public:
  PickleWriter() : text_("\x80\x02", 2) {}
  void global(std::string_view module, std::string_view name);
  void text(std::string_view value);
  void integer(int64_t value);
  void boolean(bool value) { op(value ? 0x88 : 0x89); }
  void mark() { op('('); }
  void tuple() { op('t'); }
  void empty_tuple() { op(')'); }
  void call() { op('R'); }
  void persistent() { op('Q'); }
  void set_items() { op('u'); }

  std::string finish() {
    op('.');
    return std::move(text_);
  }

 private:
  void op(int code) { text_ += static_cast<char>(code); }
  template <class T>
  void little(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string text_;
};

}  // namespace brume::io
