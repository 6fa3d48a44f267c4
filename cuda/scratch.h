#pragma once
// Device memory for the length of a call. The pool and the stream keep their orders, so it may be
// given back while the kernels that use it are still under way.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <brume/cuda/memory.h>

namespace brume::cuda {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    for (const Block& block : blocks_) memory.free(block.data, block.bytes);
  }

  /// `count` uninitialised elements.
  template <class T>
  T* take(int64_t count) {
    const size_t bytes = static_cast<size_t>(count < 1 ? 1 : count) * sizeof(T);
    blocks_.push_back({memory.allocate(bytes), bytes});
    return static_cast<T*>(blocks_.back().data);
  }

 private:
  struct Block {
    void* data;
    size_t bytes;
  };
  std::vector<Block> blocks_;
};

}  // namespace brume::cuda
