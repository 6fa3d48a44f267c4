#include <brume/cuda/emu/shared_memory.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <brume/core/error.h>
#include <brume/cuda/emu/poison.h>

namespace brume::cuda::emu {
namespace {

// Static pieces grow from the front, dynamic memory ends at a page that cannot be touched. Between
// the pieces, and between dynamic memory and that page, lie bytes that must keep their value.
constexpr size_t kBytes = 512 << 10, kGuard = 64 << 10;
constexpr size_t kDynamicAlignment = 1024, kFixedAlignment = 128, kGap = 128;

}  // namespace

SharedMemory::SharedMemory() {
  void* memory = mmap(nullptr, kBytes + kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check<Error>(memory != MAP_FAILED && mprotect(memory, kBytes, PROT_READ | PROT_WRITE) == 0,
               "emulator: no memory for a block's shared memory");
  memory_ = static_cast<std::byte*>(memory);
}

SharedMemory::~SharedMemory() { munmap(memory_, kBytes + kGuard); }

void SharedMemory::begin_block(size_t dynamic_bytes, size_t limit) {
  const size_t room = (dynamic_bytes + kDynamicAlignment - 1) / kDynamicAlignment;
  dynamic_ = memory_ + kBytes - room * kDynamicAlignment;
  dynamic_bytes_ = used_ = dynamic_bytes;
  limit_ = limit;
  pieces_.clear();
  poison(dynamic_, dynamic_bytes);
  watch(dynamic_ + dynamic_bytes, memory_ + kBytes);
}

void* SharedMemory::fixed(const void* key, size_t bytes) {
  for (const Piece& piece : pieces_)
    if (piece.key == key) return piece.data;
  used_ += bytes;
  check<Error>(used_ <= limit_, "the block uses ", used_, " bytes of shared memory, the limit is ",
               limit_);
  std::byte* data = memory_;
  if (!pieces_.empty()) {
    const Piece& last = pieces_.back();
    data =
        last.data + (last.bytes + kGap + kFixedAlignment - 1) / kFixedAlignment * kFixedAlignment;
  }
  poison(data, bytes);
  watch(data + bytes, data + bytes + kGap);
  pieces_.push_back({key, data, bytes});
  return data;
}

void SharedMemory::end_block() const {
  const std::byte* hit = first_change(dynamic_ + dynamic_bytes_, memory_ + kBytes);
  check<Error>(!hit, "a write past the block's ", dynamic_bytes_,
               " bytes of dynamic shared memory, at byte ", hit - dynamic_);
  for (const Piece& piece : pieces_) {
    hit = first_change(piece.data + piece.bytes, piece.data + piece.bytes + kGap);
    check<Error>(!hit, "a write past a shared variable of ", piece.bytes, " bytes, at byte ",
                 hit - piece.data);
  }
}

}  // namespace brume::cuda::emu
