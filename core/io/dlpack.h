#pragma once
// Tensors that other libraries made or will use, without a copy, as DLPack describes them.

#include <brume/core/tensor.h>

struct DLManagedTensor;  // of dlpack.h, or of dlpack_layout.h where that is not at hand

namespace brume::io {

/// The same memory, dtype, shape and strides. Whoever takes it calls its deleter; till then the
/// memory lives. What is written to it changes x.
DLManagedTensor* to_dlpack(const Tensor& x);

/// Calls the deleter of a tensor that nobody will take.
void delete_dlpack(DLManagedTensor* managed);

/// The same memory as a tensor, which calls the deleter when its last handle goes; what throws has
/// called it too.
/// @throws DTypeError or DeviceError if brume has no such element type or device; ShapeError if
///         there are too many axes or a negative stride
Tensor from_dlpack(DLManagedTensor* managed);

}  // namespace brume::io
