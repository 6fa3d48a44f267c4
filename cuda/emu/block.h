#pragma once
// Runs the blocks of a launch, one after the other: the threads of a block are fibers of the
// calling thread. Below stand the calls that a kernel's synchronisation turns into (language.h).

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace brume::cuda::emu {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

/// The thread whose turn it is.
struct Self {
  Index thread, block, block_size, grid_size;
  int number = 0;  // of the thread in its block
};
extern constinit thread_local const Self* self;

struct Launch {
  void (*body)(void* context);  // one thread's work
  void* context;
  Index grid, block;
  size_t dynamic_bytes;  // of shared memory
  size_t shared_limit;   // for static and dynamic shared memory together
};

/// Runs a launch to its end.
/// @throws Error if threads wait for each other at different places, a barrier is reached by a part
///         of the block only, shared memory is overrun, or an address is no device memory
void run(const Launch& launch);

/// A place in a kernel's text where threads meet; `what` is the call that waits there.
struct Place {
  const char* what;
  const char* file;
  int line;
  friend bool operator==(const Place& a, const Place& b) {
    return a.line == b.line && !std::strcmp(a.what, b.what) && !std::strcmp(a.file, b.file);
  }
};

void wait_for_block(Place place);
void wait_for_warp(Place place, unsigned mask);
/// Lets the other threads have a turn.
void give_way();

/// Static shared memory: one block of bytes per `key` and block.
void* static_shared(const void* key, size_t bytes);
void* dynamic_shared();

inline constexpr int kWarp = 32;
inline constexpr size_t kSlotBytes = 64;

/// Shows `bytes` of `mine` to the warp, waits until every lane has done so.
void show_to_warp(const void* mine, size_t bytes, Place place, unsigned mask);
/// What `lane` showed last.
const void* shown_by(int lane);

template <class T>
void show(const T& mine, Place place, unsigned mask) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kSlotBytes);
  show_to_warp(&mine, sizeof mine, place, mask);
}
template <class T>
T shown(int lane) {
  T value;
  std::memcpy(&value, shown_by(lane), sizeof value);
  return value;
}

inline int lane() { return self->number % kWarp; }

}  // namespace brume::cuda::emu
