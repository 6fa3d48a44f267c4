#include <brume/cuda/emu/device_memory.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>

#include <brume/core/error.h>
#include <brume/cuda/emu/control.h>
#include <brume/cuda/emu/poison.h>
#include <brume/cuda/emu/stream.h>

namespace brume::cuda::emu {
namespace {

constexpr size_t kAlignment = 256;        // what cudaMalloc promises
constexpr ptrdiff_t kWatchedBytes = 256;  // at most, on either side: looked at after every launch

constexpr size_t kGuard = 1 << 20;  // closed, on either side: costs addresses, no memory

struct Allocation {
  std::byte* pages;  // without the guards
  size_t pages_bytes;
  size_t bytes, lent;  // asked of the device; asked of the pool
  int copies = 0;      // under way into it
};

bool wants_protection() {
  const char* text = std::getenv("BRUME_EMU_PROTECT");
  return text && std::string_view(text) == "1";
}

struct Device {
  std::mutex mutex;
  std::map<std::byte*, Allocation> allocations;  // by first byte
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t limit = size_t{8} << 30, in_use = 0;
  int users = 0;  // kernels and copies under way
  bool protecting = wants_protection();

  bool is_closed() const { return protecting && users == 0; }
  void set_access(const Allocation& a, bool open) const {
    mprotect(a.pages, a.pages_bytes, open && a.copies == 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
  }
  std::byte* watch_begin(std::byte* data, const Allocation& a) const {
    return std::max(a.pages, data - kWatchedBytes);
  }
  std::byte* watch_end(std::byte* data, const Allocation& a) const {
    return std::min(a.pages + a.pages_bytes, data + a.lent + kWatchedBytes);
  }
  void set_access_to_all(bool open) const {
    for (const auto& [data, a] : allocations) set_access(a, open);
  }
};

// Never destroyed: memory with static lifetime is freed after it.
Device& device() {
  static Device& instance = *new Device;
  return instance;
}

Allocation* allocation_of(const void* data) {
  Device& d = device();
  auto next = d.allocations.upper_bound(static_cast<std::byte*>(const_cast<void*>(data)));
  if (next == d.allocations.begin()) return nullptr;
  --next;
  return static_cast<const std::byte*>(data) < next->first + next->second.bytes ? &next->second
                                                                                : nullptr;
}

}  // namespace

bool is_protecting() { return device().protecting; }

void set_protecting(bool on) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  d.protecting = on;
  d.set_access_to_all(!d.is_closed());
}

void set_memory_limit(size_t bytes) { device().limit = bytes; }

size_t device_bytes() { return device().limit; }
size_t device_bytes_in_use() { return device().in_use; }

void* allocate_device(size_t bytes) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  if (bytes > d.limit || d.in_use > d.limit - bytes) return nullptr;
  const size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const size_t pages_bytes = (room + d.page - 1) / d.page * d.page;
  void* memory =
      mmap(nullptr, pages_bytes + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* pages = static_cast<std::byte*>(memory) + kGuard;
  const Allocation a{pages, pages_bytes, bytes, bytes};
  d.set_access(a, true);
  std::byte* data = pages + pages_bytes - room;
  poison(data, bytes);
  watch(d.watch_begin(data, a), data);
  watch(data + bytes, d.watch_end(data, a));
  if (d.is_closed()) d.set_access(a, false);
  d.allocations[data] = a;
  d.in_use += bytes;
  return data;
}

bool free_device(void* data) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  const auto found = d.allocations.find(static_cast<std::byte*>(data));
  if (found == d.allocations.end()) return false;
  munmap(found->second.pages - kGuard, found->second.pages_bytes + 2 * kGuard);
  d.in_use -= found->second.bytes;
  d.allocations.erase(found);
  return true;
}

bool is_device_memory(const void* data, size_t bytes) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  auto* begin = static_cast<std::byte*>(const_cast<void*>(data));
  auto next = d.allocations.upper_bound(begin);
  if (next == d.allocations.begin()) return false;
  const auto& [first, a] = *--next;
  return begin + bytes <= first + a.lent;
}

void close_allocation(void* data, bool on) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  Allocation& a = *allocation_of(data);
  a.copies += on ? 1 : -1;
  d.set_access(a, !d.is_closed());
}

bool is_closed(const void* data) {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  const Allocation* const a = allocation_of(data);
  return a && a->copies > 0;
}

namespace {

void lend_now(void* data, size_t bytes) {
  const MemoryAccess access;
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  auto* begin = static_cast<std::byte*>(data);
  Allocation& a = d.allocations.at(begin);
  a.lent = bytes;
  poison(begin, bytes);
  watch(begin + bytes, d.watch_end(begin, a));
}

}  // namespace

void lend_device(void* data, size_t bytes) {
  const auto lend = [=] { return lend_now(data, bytes), cudaSuccess; };
  if (!record_in_capture(lend)) lend();
}

MemoryAccess::MemoryAccess() {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  if (++d.users == 1 && d.protecting) d.set_access_to_all(true);
}

MemoryAccess::~MemoryAccess() {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  if (--d.users == 0 && d.protecting) d.set_access_to_all(false);
}

void check_device_memory() {
  Device& d = device();
  const std::scoped_lock lock(d.mutex);
  for (auto& [data, a] : d.allocations) {
    if (a.copies > 0) continue;  // closed
    const std::byte* hit = first_change(d.watch_begin(data, a), data);
    check<Error>(!hit, "a write ", data - hit, " bytes before an allocation of ", a.lent,
                 " bytes of device memory");
    std::byte* end = d.watch_end(data, a);
    hit = first_change(data + a.lent, end);
    if (!hit) continue;
    watch(data + a.lent, end);  // told once
    throw Error(cat("a write past an allocation of ", a.lent, " bytes of device memory, at byte ",
                    hit - data));
  }
}

std::string describe_fault(const void* address) {
  const auto* place = static_cast<const std::byte*>(address);
  for (const auto& [data, a] : device().allocations)
    if (place >= a.pages - kGuard && place < a.pages + a.pages_bytes + kGuard)
      return cat("touches byte ", place - data, " of an allocation of ", a.lent,
                 " bytes of device memory",
                 a.copies > 0 ? " into which a copy is under way: wait for its event" : "");
  return cat("touches address ", reinterpret_cast<uintptr_t>(address),
             ", which is neither device nor shared memory");
}

}  // namespace brume::cuda::emu
