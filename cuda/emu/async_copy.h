#pragma once
// Copies that a thread starts and waits for later, as cp.async does: until then they have landed or
// not, as the test chose.

#include <cstddef>
#include <vector>

namespace brume::cuda::emu {

/// The copies of one thread that are under way, in groups.
class AsyncCopies {
 public:
  /// `bytes` to `to`: the first `valid` of them from `from`, the others zero.
  void start(void* to, const void* from, size_t bytes, size_t valid);
  /// Closes a group of what was started since the last one.
  void close_group();
  /// Lets all but the newest `under_way` groups land.
  void wait(size_t under_way);
  void forget();

 private:
  struct Copy {
    void* to;
    const void* from;
    size_t bytes, valid;
  };
  std::vector<Copy> open_;
  std::vector<std::vector<Copy>> groups_;

  static void land(const Copy& copy);
};

/// Those of the thread whose turn it is.
AsyncCopies& async_copies();

}  // namespace brume::cuda::emu
