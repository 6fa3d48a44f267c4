#include <brume/core/io/safetensors_header.h>

#include <algorithm>
#include <array>
#include <numeric>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>
#include <brume/core/json.h>

namespace brume::io {
namespace {

struct TypeName {
  const char* name;
  StoredType type;
};
// Every DType of ours is among them.
constexpr TypeName kTypeNames[] = {
    {"F64", StoredType::f64},   {"F32", StoredType::f32}, {"F16", StoredType::f16},
    {"BF16", StoredType::bf16}, {"I64", StoredType::i64}, {"I32", StoredType::i32},
    {"I16", StoredType::i16},   {"I8", StoredType::i8},   {"U32", StoredType::u32},
    {"U16", StoredType::u16},   {"U8", StoredType::u8},   {"BOOL", StoredType::boolean}};

// "path: tensor 'name'", put together only when an error needs it.
struct Who {
  const std::string &path, &name;
};
std::string to_string(const Who& who) { return cat(who.path, ": tensor ", quote(who.name)); }

// Follows the events of the header through its four kinds of container and fills records.
class HeaderReader final : public JsonEvents {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& path, uint64_t data_begin,
               uint64_t data_bytes, uint64_t max_entries)
      : header_(header),
        path_(path),
        data_begin_(data_begin),
        data_bytes_(data_bytes),
        max_entries_(max_entries) {}

  void begin_object() override {
    if (place_ == Place::outside) {
      place_ = Place::header;
    } else if (place_ == Place::header) {
      place_ = name_ == kSafetensorsMetadata ? Place::metadata : Place::tensor;
      check<FormatError>(place_ == Place::tensor || !has_metadata_, path_, ": ",
                         kSafetensorsMetadata, " stands twice");
      has_metadata_ |= place_ == Place::metadata;
      has_type_ = has_shape_ = has_offsets_ = false;
    } else {
      wrong("an object");
    }
  }
  void key(std::string& name) override { (place_ == Place::header ? name_ : key_).swap(name); }
  void end_object() override {
    if (place_ == Place::tensor) finish_tensor();
    place_ = place_ == Place::header ? Place::outside : Place::header;
  }

  void begin_array() override {
    if (place_ == Place::tensor && key_ == "shape" && !has_shape_) {
      place_ = Place::shape;
      shape_ = {};
    } else if (place_ == Place::tensor && key_ == "data_offsets" && !has_offsets_) {
      place_ = Place::offsets;
      offset_count_ = 0;
    } else {
      wrong("an array");
    }
  }
  void end_array() override {
    if (place_ == Place::shape) has_shape_ = true;
    if (place_ == Place::offsets) {
      check<FormatError>(offset_count_ == 2, who(), ": data_offsets wants two numbers, got ",
                         offset_count_);
      has_offsets_ = true;
    }
    place_ = Place::tensor;
  }

  void string(std::string& value) override {
    if (place_ == Place::metadata) {
      count_entry();
      const bool added = header_.metadata.emplace(key_, std::move(value)).second;
      check<FormatError>(added, path_, ": metadata ", quote(key_), " stands twice");
    } else if (place_ == Place::tensor && key_ == "dtype" && !has_type_) {
      const auto found = std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                                      [&](const TypeName& t) { return value == t.name; });
      if (found == std::end(kTypeNames))
        throw FormatError(cat(who(), ": dtype ", quote(value), " is not one of", known_types()));
      type_ = found->type;
      has_type_ = true;
    } else {
      wrong("a string");
    }
  }
  void unsigned_integer(uint64_t value) override {
    if (place_ == Place::shape) {
      check<FormatError>(shape_.rank() < kMaxRank, who(), ": more than ", kMaxRank,
                         " axes are not supported");
      check<FormatError>(value <= uint64_t{1} << 62, who(), ": size ", value, " is too large");
      shape_.push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::offsets && offset_count_ < 2) {
      offsets_[offset_count_++] = value;
    } else {
      wrong("a number");
    }
  }
  void signed_integer(int64_t) override { wrong("a negative number"); }
  void number(double) override { wrong("a number that is not whole"); }
  void boolean(bool) override { wrong("a boolean"); }
  void null() override { wrong("null"); }

 private:
  enum class Place { outside, header, metadata, tensor, shape, offsets };

  Who who() const { return {path_, name_}; }
  static std::string known_types() {
    std::string out;
    for (const TypeName& t : kTypeNames) out += cat(" ", t.name);
    return out;
  }
  [[noreturn]] void wrong(const char* what) const {
    switch (place_) {
      case Place::outside:
        throw FormatError(cat(path_, ": the header is ", what, ", not an object"));
      case Place::header:
        throw FormatError(cat(who(), " is ", what, ", not an object"));
      case Place::metadata:
        throw FormatError(cat(path_, ": metadata ", quote(key_), " is ", what, ", not a string"));
      default:
        throw FormatError(cat(who(), ": ", quote(key_), " does not take ", what,
                              " here (or stands twice); an entry has dtype, shape, data_offsets"));
    }
  }

  void count_entry() const {
    check<FormatError>(header_.entries.size() + header_.metadata.size() < max_entries_, path_,
                       ": more entries than the ", max_entries_, " that max_entries allows");
  }

  void finish_tensor() {
    count_entry();
    check<FormatError>(has_type_ && has_shape_ && has_offsets_, who(),
                       ": dtype, shape or data_offsets is missing");
    const auto [begin, end] = offsets_;
    check<FormatError>(begin <= end && end <= data_bytes_, who(), ": data_offsets [", begin, ", ",
                       end, "] do not lie in the file's ", data_bytes_, " bytes of data");
    const auto bytes = stored_bytes(type_, shape_);
    check<FormatError>(bytes.has_value(), who(), ": shape ", shape_, " is too large");
    check<FormatError>(end - begin == *bytes, who(), ": shape ", shape_, " takes ", *bytes,
                       " bytes, data_offsets give it ", end - begin);
    header_.entries.push_back(
        {std::move(name_), {.type = type_, .shape = shape_, .offset = data_begin_ + begin}});
  }

  SafetensorsHeader& header_;
  const std::string& path_;
  uint64_t data_begin_, data_bytes_, max_entries_;
  Place place_ = Place::outside;
  std::string name_, key_;  // of the entry; inside it
  bool has_metadata_ = false, has_type_ = false, has_shape_ = false, has_offsets_ = false;
  StoredType type_ = StoredType::f32;
  Shape shape_;
  std::array<uint64_t, 2> offsets_ = {};
  size_t offset_count_ = 0;
};

void check_names(const SafetensorsHeader& header, const std::string& path) {
  const auto twice = std::adjacent_find(
      header.by_name.begin(), header.by_name.end(),
      [&](uint32_t a, uint32_t b) { return header.entries[a].name == header.entries[b].name; });
  if (twice != header.by_name.end())
    throw FormatError(cat(path, ": tensor ", quote(header.entries[*twice].name), " stands twice"));
}

// In the order of their data, each entry must begin where the one before ends.
void check_coverage(const SafetensorsHeader& header, const std::string& path, uint64_t data_begin,
                    uint64_t data_bytes, bool allow_trailing_bytes) {
  struct Span {
    uint64_t begin, end;
    uint32_t index;
  };
  std::vector<Span> spans;
  spans.reserve(header.entries.size());
  for (const SafetensorsEntry& entry : header.entries) {
    const uint64_t begin = entry.array.offset - data_begin;
    spans.push_back({begin, begin + *stored_bytes(entry.array.type, entry.array.shape),
                     static_cast<uint32_t>(spans.size())});
  }
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const Span& span : spans) {
    check<FormatError>(span.begin == end, path, ": tensor ", quote(header.entries[span.index].name),
                       " begins at byte ", span.begin,
                       span.begin < end ? ", inside the tensor that ends at "
                                        : " of the data, but the tensor before it ends at ",
                       end);
    end = span.end;
  }
  check<FormatError>(allow_trailing_bytes || end == data_bytes, path, ": ", data_bytes - end,
                     " bytes follow the last tensor; allow_trailing_bytes accepts them");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path,
                                           uint64_t data_begin, uint64_t data_bytes,
                                           const SafetensorsOptions& options) {
  check<FormatError>(text.starts_with('{'), path, ": the header does not begin with '{'");
  SafetensorsHeader header;
  HeaderReader reader(header, path, data_begin, data_bytes, options.max_entries);
  scan_json(text, path, reader);
  header.by_name.resize(header.entries.size());
  std::iota(header.by_name.begin(), header.by_name.end(), uint32_t{0});
  std::sort(header.by_name.begin(), header.by_name.end(), [&](uint32_t a, uint32_t b) {
    return header.entries[a].name < header.entries[b].name;
  });
  check_names(header, path);
  check_coverage(header, path, data_begin, data_bytes, options.allow_trailing_bytes);
  return header;
}

const char* safetensors_name(DType dtype) {
  return std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                      [&](const TypeName& t) { return is_stored_as(dtype, t.type); })
      ->name;
}

}  // namespace brume::io
