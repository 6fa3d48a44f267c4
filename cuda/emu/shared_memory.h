#pragma once
// The shared memory of one block: filled with NaN bits before the block starts, counted against the
// launch's limit, and watched for writes past its end.

#include <cstddef>
#include <vector>

namespace brume::cuda::emu {

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void begin_block(size_t dynamic_bytes, size_t limit);
  /// @throws Error if something was written past the end of a piece
  void end_block() const;

  void* dynamic() const { return dynamic_; }
  /// The variable that `key` stands for; the same for all threads of the block.
  /// @throws Error if the block would use more than its limit
  void* fixed(const void* key, size_t bytes);

 private:
  struct Piece {
    const void* key;
    std::byte* data;
    size_t bytes;
  };

  std::byte* memory_;
  std::vector<Piece> pieces_;
  std::byte* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0, limit_ = 0, used_ = 0;
};

}  // namespace brume::cuda::emu
