#pragma once
// What the names, calls and outside references of a pickle of PyTorch's mean.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <brume/core/io/torch_pt.h>

namespace brume::io {

struct TorchStorage {
  std::string key;
  std::optional<StoredType> type;  // none: plain bytes, whose type the tensor says
  bool is_complex = false;
  int64_t count = 0;  // elements of the type (a complex one is two), or bytes

  uint64_t bytes() const;
};

/// For each value of the pickle: what it stands for, and a number that says which.
struct TorchObject {
  enum Kind : uint8_t { plain, storage, tensor, size, dtype, type } kind = plain;
  uint32_t number = 0;
};

struct TorchObjects {
  std::vector<TorchObject> of_value;
  std::vector<TorchStorage> storages;
  std::vector<TorchTensor> tensors;
};

/// @throws FormatError on a name, a call or a reference that is not in the list, on a tensor that
///         leaves its storage, and if different tensors have more than `max_bytes` together
TorchObjects resolve_torch(const Pickle& pickle, uint64_t max_bytes);

/// "FloatStorage" of DType::f32.
const char* torch_storage_name(DType dtype);

}  // namespace brume::io
