#pragma once
// Counted bytes on one device, with a version that every write raises.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include <brume/core/device.h>
#include <brume/core/ref_counted.h>

namespace brume {

class Storage : public RefCounted {
 public:
  /// Fresh bytes from the device's pool.
  Storage(size_t bytes, Device device);
  /// Memory of others; `release` runs when the last handle goes.
  Storage(void* data, size_t bytes, Device device, std::function<void()> release);
  ~Storage();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool is_foreign() const { return foreign_; }
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void* data_;
  size_t bytes_;
  Device device_;
  std::atomic<uint32_t> version_{0};
  std::function<void()> release_;
  bool foreign_ = false;
};

}  // namespace brume
