#pragma once
// PyTorch's .pt and .pth: a tree of plain values and tensors. docs/formats/torch.md tells what is
// read; nothing is executed.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/io/byte_source.h>
#include <brume/core/io/pickle.h>
#include <brume/core/io/stored_array.h>
#include <brume/core/io/zip.h>
#include <brume/core/tensor.h>

namespace brume::io {

struct TorchOptions {
  PickleOptions pickle = {};
  ZipOptions zip = {};
  /// How many bytes the different tensors may have together beyond those of the file: views of one
  /// storage can claim any number.
  uint64_t max_expansion = uint64_t{16} << 20;
};

/// A tensor as it lies in a storage, counted in elements.
struct TorchTensor {
  StoredType type;       // of a complex one: of its parts
  bool is_complex;       // read with a last axis of 2 behind `shape`
  Shape shape, strides;  // as Python has them
  int64_t offset;
  uint32_t storage;  // equal numbers share memory
  bool is_parameter, requires_grad;

  /// Of what reading it gives.
  Shape loaded_shape() const;
};

enum class TorchKind : uint8_t {
  none,
  boolean,
  integer,
  big_integer,  // beyond 64 bits
  number,
  text,
  list,
  tuple,
  dict,
  size,   // torch.Size
  dtype,  // text: "float32"
  tensor
};

class TorchFile;
struct TorchContent;

/// A value of the tree, which it keeps alive.
class TorchValue {
 public:
  TorchKind kind() const;
  // The value as the type asked for. @throws FormatError if it is another
  bool boolean() const;
  int64_t integer() const;
  double number() const;
  // Both references are valid while some value of the tree or its file lives.
  std::string_view text() const;
  const TorchTensor& tensor() const;
  /// Items of a list, tuple or size; pairs of a dict.
  size_t size() const;
  TorchValue item(size_t i) const;
  TorchValue key(size_t i) const;

 private:
  friend class TorchFile;
  TorchValue(std::shared_ptr<const TorchContent> content, Pickle::Index index)
      : content_(std::move(content)), index_(index) {}
  const PickleValue::Items& items() const;
  std::shared_ptr<const TorchContent> content_;
  Pickle::Index index_;
};

/// "model.0.weight": the keys and positions on the way to a tensor, joined by dots.
struct TorchEntry {
  std::string name;
  TorchTensor tensor;
};

/// A file of torch.save, of today's kind (a zip archive) or of the one before (a stream), whose
/// tree and storages have been checked whole. Tensors are read when asked for, from several threads
/// if need be. A storage with several views is kept in memory once it has been read.
class TorchFile {
 public:
  /// @throws IoError; FormatError saying what is wrong and where
  explicit TorchFile(std::shared_ptr<const ByteSource> source, const TorchOptions& options = {});

  const std::string& who() const;
  TorchValue root() const;
  /// All tensors of the tree under their names; one that is the root is called "tensor".
  /// @throws FormatError if a key is neither a text nor an integer, or shared values unfold to more
  ///         than max_values
  std::vector<TorchEntry> entries() const;
  /// A new row-major tensor. @throws FormatError, IoError
  Tensor read(const TorchTensor& tensor) const;

 private:
  std::shared_ptr<TorchContent> content_;
};

/// @throws as the constructor
TorchFile open_torch(const std::string& path, const TorchOptions& options = {});

/// Writes a state dict that torch.load reads with weights_only=True, through AtomicFile. Tensors of
/// any device and layout are written row-major; those that share all their memory share a storage.
/// @throws IoError; FormatError on a name given twice
void save_torch(const std::string& path, std::span<const std::pair<std::string, Tensor>> tensors);
/// The same in memory.
std::string torch_bytes(std::span<const std::pair<std::string, Tensor>> tensors);

}  // namespace brume::io
