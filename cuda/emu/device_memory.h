#pragma once
// The memory of the emulated device: every allocation on pages of its own between closed
// ones, so that an index that runs away faults.

#include <cstddef>
#include <string>

namespace brume::cuda::emu {

/// Null when the limit is reached. The bytes are NaN.
void* allocate_device(size_t bytes);
/// False if `data` is no allocation.
bool free_device(void* data);
/// Whether [data, data + bytes) lies in one allocation.
bool is_device_memory(const void* data, size_t bytes);
/// Bytes that exist and that are in use.
size_t device_bytes();
size_t device_bytes_in_use();

/// A block of a caching pool changes hands: its bytes become NaN, and those of the allocation that
/// lie beyond `bytes` must not be written. In a capture that is recorded.
void lend_device(void* data, size_t bytes);

/// While a copy into the allocation of `data` is under way, nothing else may touch it.
void close_allocation(void* data, bool on);
bool is_closed(const void* data);

/// Opens device memory for a kernel or a copy; without one it is closed while protecting.
class MemoryAccess {
 public:
  MemoryAccess();
  ~MemoryAccess();
  MemoryAccess(const MemoryAccess&) = delete;
  MemoryAccess& operator=(const MemoryAccess&) = delete;
};

/// @throws Error if bytes beside an allocation were written
void check_device_memory();
/// What is wrong about a kernel's access to `address`.
std::string describe_fault(const void* address);

}  // namespace brume::cuda::emu
