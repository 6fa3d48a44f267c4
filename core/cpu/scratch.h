#pragma once
// Working memory of kernels: a stack per thread that keeps its pages, so that a training step takes
// no page faults after the first.

#include <cstddef>
#include <cstdint>

namespace brume::cpu {

/// Everything taken through it is free again when it goes out of scope; scopes nest. Memory may be
/// read and written by other threads meanwhile.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// `count` uninitialised elements, 64-byte aligned.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  void* take_bytes(size_t bytes);
  size_t slab_, used_;  // where the stack stood before
};

}  // namespace brume::cpu
