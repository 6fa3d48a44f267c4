#include <brume/core/io/stored_array.h>

#include <algorithm>
#include <cstring>

#include <brume/core/error.h>

namespace brume::io {
namespace {

struct TypeFacts {
  int64_t size;
  DType loaded;
};

TypeFacts facts(StoredType type) {
  constexpr TypeFacts table[] = {{8, DType::f64},  {4, DType::f32}, {2, DType::f16},
                                 {2, DType::bf16}, {8, DType::i64}, {4, DType::i32},
                                 {2, DType::i32},  {1, DType::i32}, {4, DType::i64},
                                 {2, DType::i32},  {1, DType::u8},  {1, DType::boolean}};
  return table[static_cast<size_t>(type)];
}

void swap_bytes(std::span<std::byte> raw, int64_t item) {
  for (size_t i = 0; i < raw.size(); i += static_cast<size_t>(item))
    std::reverse(raw.data() + i, raw.data() + i + item);
}

template <class From, class To>
void widen(std::span<const std::byte> raw, void* out) {
  for (size_t i = 0; i < raw.size() / sizeof(From); ++i) {
    From from;
    std::memcpy(&from, raw.data() + i * sizeof(From), sizeof(From));
    const To to = from;
    std::memcpy(static_cast<std::byte*>(out) + i * sizeof(To), &to, sizeof(To));
  }
}

// Any other byte in a bool is undefined behaviour for whoever reads it.
void check_booleans(std::span<std::byte> raw, std::string_view who) {
  bool good = true;
  for (std::byte& b : raw) {
    good &= std::to_integer<int>(b) <= 1;
    b &= std::byte{1};
  }
  check<FormatError>(good, who, ": a boolean is neither 0 nor 1");
}

}  // namespace

int64_t item_size(StoredType type) { return facts(type).size; }
DType loaded_type(StoredType type) { return facts(type).loaded; }

bool is_stored_as(DType dtype, StoredType type) {
  return loaded_type(type) == dtype && item_size(type) == brume::item_size(dtype);
}

std::optional<uint64_t> stored_bytes(StoredType type, const Shape& shape) {
  constexpr uint64_t kMostElements = uint64_t{1} << 59;  // times 8 bytes fits int64
  uint64_t count = 1;
  bool is_empty = false;
  for (const int64_t size : shape) {
    is_empty |= size == 0;
    // A size of zero counts as one, so that the shape of an empty tensor cannot wrap either.
    const auto factor = static_cast<uint64_t>(std::max<int64_t>(size, 1));
    if (size < 0 || count > kMostElements / factor) return std::nullopt;
    count *= factor;
  }
  return is_empty ? 0 : count * static_cast<uint64_t>(item_size(type));
}

// The stored bytes lie at the end of the memory of the elements, so widening from the front never
// overwrites what it has not read yet, and needs no second buffer.
std::span<std::byte> raw_part(const StoredArray& array, void* out) {
  const int64_t count = numel(array.shape);
  const int64_t raw = count * item_size(array.type), whole = count * item_size(array.dtype());
  return {static_cast<std::byte*>(out) + (whole - raw), static_cast<size_t>(raw)};
}

void finish_elements(const StoredArray& array, std::string_view who, void* out) {
  const auto raw = raw_part(array, out);
  if (array.big_endian) swap_bytes(raw, item_size(array.type));
  switch (array.type) {
    case StoredType::i16:
      return widen<int16_t, int32_t>(raw, out);
    case StoredType::i8:
      return widen<int8_t, int32_t>(raw, out);
    case StoredType::u32:
      return widen<uint32_t, int64_t>(raw, out);
    case StoredType::u16:
      return widen<uint16_t, int32_t>(raw, out);
    case StoredType::boolean:
      return check_booleans(raw, who);
    default:
      return;
  }
}

void read_elements(const File& file, const StoredArray& array, std::string_view who, void* out) {
  file.read(array.offset, raw_part(array, out));
  finish_elements(array, who, out);
}

void decode_elements(std::span<const std::byte> bytes, const StoredArray& array,
                     std::string_view who, void* out) {
  const auto raw = raw_part(array, out);
  check<FormatError>(bytes.size() == raw.size(), who, ": wanted ", raw.size(), " bytes, got ",
                     bytes.size());
  if (!raw.empty()) std::memcpy(raw.data(), bytes.data(), raw.size());
  finish_elements(array, who, out);
}

}  // namespace brume::io
