#pragma once
// What kernels receive: a raw pointer with its element type, sizes and strides. Owns nothing.

#include <brume/core/dtype.h>
#include <brume/core/shape.h>

namespace brume {

struct View {
  void* data = nullptr;  // first element; null for an absent operand
  DType dtype = DType::f32;
  Shape shape;
  Strides strides;  // in elements

  explicit operator bool() const { return data != nullptr; }
  int rank() const { return shape.rank(); }
  int64_t size(int axis) const { return shape[axis < 0 ? axis + shape.rank() : axis]; }
  int64_t stride(int axis) const { return strides[axis < 0 ? axis + shape.rank() : axis]; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace brume
