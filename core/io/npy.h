#pragma once
// NumPy's .npy: one array per file. docs/formats/npy.md tells what is read.

#include <cstdint>
#include <string>

#include <brume/core/io/atomic_file.h>
#include <brume/core/tensor.h>

namespace brume::io {

struct NpyOptions {
  uint64_t max_header_bytes = uint64_t{1} << 20;
  /// Accept bytes behind the array.
  bool allow_trailing_bytes = false;
};

struct NpyHeader {
  DType dtype;  // that read_npy gives
  Shape shape;
};
/// What a file says of its array; no element is read. @throws as read_npy
NpyHeader read_npy_header(const std::string& path, const NpyOptions& options = {});

/// The array as a row-major tensor, from either byte order and either memory order.
/// i1, i2 and u2 become i32, u4 becomes i64.
/// @throws IoError; FormatError on anything else, such as objects, strings or complex numbers
Tensor read_npy(const std::string& path, const NpyOptions& options = {});

/// Writes a tensor of any device and layout in row-major order, version 1.0, through AtomicFile.
/// @throws IoError; DTypeError on bf16, which .npy does not have
void write_npy(const std::string& path, const Tensor& x);

/// An array that is written part by part along its first axis, so that it may be larger than
/// memory. The file appears with commit(), whole; without it nothing does.
class NpyWriter {
 public:
  /// @throws IoError; DTypeError as write_npy
  NpyWriter(const std::string& path, const Shape& shape, DType dtype = DType::f32);
  /// The next rows. @shape x [n, ...] as the array, but for n; of its dtype
  /// @throws ShapeError if they are no such rows or too many; IoError
  void append(const Tensor& x);
  int64_t rows() const { return rows_; }  // appended so far
  /// @throws ShapeError if rows are missing; IoError
  void commit();

 private:
  AtomicFile file_;
  std::string path_;
  Shape shape_;
  DType dtype_;
  int64_t rows_ = 0;
};

}  // namespace brume::io
