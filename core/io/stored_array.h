#pragma once
// Arrays as files hold them, and how their elements become ours. Shared by the file formats.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <brume/core/dtype.h>
#include <brume/core/io/fs.h>
#include <brume/core/shape.h>

namespace brume::io {

enum class StoredType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u32, u16, u8, boolean };

int64_t item_size(StoredType type);
/// Our type that holds every value: i8, i16 and u16 widen to i32, u32 to i64.
DType loaded_type(StoredType type);

/// Whether elements of `type` in a file are those of `dtype` as they stand.
bool is_stored_as(DType dtype, StoredType type);

/// Row-major elements at an offset of a file.
struct StoredArray {
  StoredType type = StoredType::f32;
  Shape shape;
  uint64_t offset = 0;
  bool big_endian = false;

  DType dtype() const { return loaded_type(type); }
};

/// Bytes of an array in the file; nothing if a size is negative or they are too many to count,
/// even as our widest type.
std::optional<uint64_t> stored_bytes(StoredType type, const Shape& shape);

/// Where in `out`, which has room for the elements in dtype(), the array's bytes are to be put;
/// then finish_elements makes elements of them in place. @throws FormatError as read_elements
std::span<std::byte> raw_part(const StoredArray& array, void* out);
void finish_elements(const StoredArray& array, std::string_view who, void* out);

/// Reads the array's elements into `out`, which has room for them in dtype().
/// @throws IoError; FormatError naming `who` on a boolean other than 0 and 1
void read_elements(const File& file, const StoredArray& array, std::string_view who, void* out);
/// The same from the array's bytes in memory.
void decode_elements(std::span<const std::byte> raw, const StoredArray& array, std::string_view who,
                     void* out);

}  // namespace brume::io
