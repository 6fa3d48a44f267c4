#include <brume/core/io/pickle.h>

#include <bit>
#include <limits>
#include <utility>

#include <brume/core/io/quote.h>

namespace brume::io {

bool Pickle::boolean(Index i, std::string_view what) const {
  if (const bool* x = std::get_if<bool>(&values_[i].content)) return *x;
  fail(i, cat(what, " is not true or false"));
}
int64_t Pickle::integer(Index i, std::string_view what) const {
  if (const int64_t* x = std::get_if<int64_t>(&values_[i].content)) return *x;
  fail(i, cat(what, " is not an integer"));
}
double Pickle::number(Index i, std::string_view what) const {
  if (const double* x = std::get_if<double>(&values_[i].content)) return *x;
  fail(i, cat(what, " is not a number"));
}
std::string_view Pickle::text(Index i, std::string_view what) const {
  if (const auto* x = std::get_if<std::string_view>(&values_[i].content)) return *x;
  fail(i, cat(what, " is not a text"));
}
const PickleValue::Items& Pickle::items(Index i, std::string_view what) const {
  if (const auto* x = std::get_if<PickleValue::Items>(&values_[i].content)) return *x;
  fail(i, cat(what, " holds no items"));
}
const PickleValue::Items& Pickle::tuple(Index i, std::string_view what) const {
  if (kind(i) != PickleKind::tuple) fail(i, cat(what, " is not a tuple"));
  return items(i, what);
}

void Pickle::fail(Index i, std::string_view problem) const {
  throw FormatError(cat(who_, ": at offset ", values_[i].offset, ": ", problem));
}

class PickleMachine {
 public:
  PickleMachine(ByteReader& reader, const PickleOptions& options)
      : reader_(reader), options_(options), begin_(reader.position()) {
    out_.who_ = reader.who();
  }

  Pickle run() {
    while (step()) {
    }
    return std::move(out_);
  }

 private:
  using Index = PickleValue::Index;
  using Items = PickleValue::Items;
  using Kind = PickleKind;

  // Runs the next opcode; false at the end.
  bool step() {
    at_ = reader_.position() - begin_;
    wants(at_ < options_.max_bytes,
          cat("the pickle is longer than max_bytes = ", options_.max_bytes));
    opcode_ = reader_.take_little<uint8_t>();
    switch (opcode_) {
      case 0x80: {  // PROTO
        const int version = reader_.take_little<uint8_t>();
        wants(version <= 5, cat("pickle protocol ", version, " is not known"));
        return true;
      }
      case '.':  // STOP
        out_.root_ = pop();
        wants(stack_.empty() && marks_.empty(), "values are left over at the end");
        return false;
      case 'N':
        return push(Kind::none, std::monostate{});
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        return push(Kind::boolean, opcode_ == 0x88);
      case 'K':  // BININT1
        return push(Kind::integer, int64_t{reader_.take_little<uint8_t>()});
      case 'M':  // BININT2
        return push(Kind::integer, int64_t{reader_.take_little<uint16_t>()});
      case 'J':  // BININT
        return push(Kind::integer, int64_t{reader_.take_little<int32_t>()});
      case 0x8a:  // LONG1
        return long_integer(reader_.take_text(reader_.take_little<uint8_t>()));
      case 'G':  // BINFLOAT
        return push(Kind::number, big_endian_number());
      case 'X':  // BINUNICODE
        return push(Kind::text, reader_.take_text(reader_.take_little<uint32_t>()));
      case 'c':
        return global();
      default:
        return structural();
    }
  }

  // Opcodes that move, join or keep values.
  bool structural() {
    switch (opcode_) {
      case '(':  // MARK
        wants(marks_.size() < static_cast<size_t>(options_.max_depth),
              cat("nested deeper than max_depth = ", options_.max_depth));
        marks_.push_back(stack_.size());
        return true;
      case ')':  // EMPTY_TUPLE
        return push(Kind::tuple, Items{});
      case ']':  // EMPTY_LIST
        return push(Kind::list, Items{});
      case '}':  // EMPTY_DICT
        return push(Kind::dict, Items{});
      case 't':  // TUPLE
        return push(Kind::tuple, pop_to_mark());
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return push(Kind::tuple, pop_many(static_cast<size_t>(opcode_ - 0x84)));
      case 'a':  // APPEND
        return extend(Kind::list, pop_many(1));
      case 'e':  // APPENDS
        return extend(Kind::list, pop_to_mark());
      case 's':  // SETITEM
        return extend(Kind::dict, pop_many(2));
      case 'u':  // SETITEMS
        return extend(Kind::dict, pop_to_mark());
      case 'q':  // BINPUT
        return put(reader_.take_little<uint8_t>());
      case 'r':  // LONG_BINPUT
        return put(reader_.take_little<uint32_t>());
      case 'h':  // BINGET
        return get(reader_.take_little<uint8_t>());
      case 'j':  // LONG_BINGET
        return get(reader_.take_little<uint32_t>());
      case 'Q': {  // BINPERSID
        const Index id = pop();
        return push(Kind::persistent, Items{id});
      }
      case 'R':  // REDUCE
        return call();
      case 'b':  // BUILD: attributes, which nothing that is read here needs
        pop();
        wants(!stack_.empty() &&
                  (kind(stack_.back()) == Kind::dict || kind(stack_.back()) == Kind::call),
              "attributes are given to something that has none");
        return true;
      default:
        fail("this opcode is not read");
    }
  }

  bool push(Kind kind, decltype(PickleValue::content) content) {
    wants(out_.values_.size() < options_.max_values,
          cat("more values than max_values = ", options_.max_values));
    out_.values_.push_back({kind, static_cast<uint32_t>(at_), std::move(content)});
    stack_.push_back(static_cast<Index>(out_.values_.size() - 1));
    return true;
  }
  Kind kind(Index i) const { return out_.values_[i].kind; }

  // What lies below the innermost mark is out of reach.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Index pop() {
    wants(stack_.size() > floor(), "the stack is empty");
    const Index top = stack_.back();
    stack_.pop_back();
    return top;
  }
  Items pop_many(size_t count) {
    wants(stack_.size() >= floor() + count, "the stack is empty");
    Items items(stack_.end() - static_cast<int64_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  Items pop_to_mark() {
    wants(!marks_.empty(), "there is no mark");
    Items items = pop_many(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  bool extend(Kind wanted, Items items) {
    wants(wanted != Kind::dict || items.size() % 2 == 0, "a key has no value");
    wants(stack_.size() > floor() && kind(stack_.back()) == wanted,
          cat("items are added to something that is no ", wanted == Kind::dict ? "dict" : "list"));
    added_ += items.size();  // a value may be added many times over
    wants(added_ <= options_.max_values, cat("more items than max_values = ", options_.max_values));
    auto& all = std::get<Items>(out_.values_[stack_.back()].content);
    all.insert(all.end(), items.begin(), items.end());
    return true;
  }

  bool put(uint64_t slot) {
    wants(slot < options_.max_values, cat("memo slot ", slot, " is beyond max_values"));
    wants(stack_.size() > floor(), "the stack is empty");
    if (slot >= memo_.size()) memo_.resize(static_cast<size_t>(slot) + 1, kUnset);
    memo_[static_cast<size_t>(slot)] = stack_.back();
    return true;
  }
  bool get(uint64_t slot) {
    wants(slot < memo_.size() && memo_[static_cast<size_t>(slot)] != kUnset,
          cat("memo slot ", slot, " was never set"));
    wants(stack_.size() < options_.max_values, "the stack is larger than max_values");
    stack_.push_back(memo_[static_cast<size_t>(slot)]);
    return true;
  }

  bool global() {
    const std::string_view all = reader_.take_text(0);  // where the two lines begin
    size_t length = 0;
    for (int lines = 0; lines < 2; ++length) lines += reader_.take_text(1)[0] == '\n' ? 1 : 0;
    return push(Kind::global, std::string_view(all.data(), length - 1));
  }

  // An ordered dict is made by a call; it is the one object that items are set on.
  bool call() {
    const Index arguments = pop(), function = pop();
    wants(kind(function) == Kind::global, "what is called is not a name");
    wants(kind(arguments) == Kind::tuple, "what it is called with is not a tuple");
    const auto& name = std::get<std::string_view>(out_.values_[function].content);
    if (name == "collections\nOrderedDict" &&
        std::get<Items>(out_.values_[arguments].content).empty())
      return push(Kind::dict, Items{});
    return push(Kind::call, Items{function, arguments});
  }

  bool long_integer(std::string_view digits) {
    if (digits.size() > sizeof(int64_t)) return push(Kind::big_integer, digits);
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = (value << 8) | static_cast<uint8_t>(digits[i]);
    return push(Kind::integer, static_cast<int64_t>(value));
  }
  double big_endian_number() {
    uint64_t bits = 0;
    for (const char c : reader_.take_text(8)) bits = (bits << 8) | static_cast<uint8_t>(c);
    return std::bit_cast<double>(bits);
  }

  void wants(bool ok, std::string_view problem) const {
    if (!ok) fail(problem);
  }
  [[noreturn]] void fail(std::string_view problem) const {
    throw FormatError(
        cat(reader_.who(), ": opcode ", shown_opcode(), " at offset ", at_, ": ", problem));
  }
  std::string shown_opcode() const {
    const char c = static_cast<char>(opcode_);
    return quote(std::string_view(&c, 1));
  }

  static constexpr Index kUnset = std::numeric_limits<Index>::max();
  ByteReader& reader_;
  const PickleOptions& options_;
  size_t begin_, at_ = 0;
  int opcode_ = 0;
  Pickle out_;
  std::vector<Index> stack_, memo_;
  std::vector<size_t> marks_;
  uint64_t added_ = 0;
};

Pickle read_pickle(ByteReader& reader, const PickleOptions& options) {
  return PickleMachine(reader, options).run();
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  text_ += cat("c", module, "\n", name, "\n");
}

void PickleWriter::text(std::string_view value) {
  op('X');
  little(static_cast<uint32_t>(value.size()));
  text_ += value;
}

void PickleWriter::integer(int64_t value) {
  if (value >= 0 && value < 256) {
    op('K');
    little(static_cast<uint8_t>(value));
  } else if (std::in_range<int32_t>(value)) {
    op('J');
    little(static_cast<int32_t>(value));
  } else {
    op(0x8a);
    op(sizeof value);
    little(value);
  }
}

}  // namespace brume::io
