#pragma once
// Arrays on the device, and the three orders in which the emulator gives threads their turn.

#include <utility>
#include <vector>

#include <brume/cuda/emu/control.h>
#include <brume/cuda/memory.h>

namespace brume::cuda {

inline constexpr emu::Order kOrders[] = {emu::Order::forward, emu::Order::reverse,
                                         emu::Order::shuffled};

struct InOrder {
  explicit InOrder(emu::Order order) : before(emu::order()) { emu::set_order(order); }
  ~InOrder() { emu::set_order(before); }
  emu::Order before;
};

struct WithCopies {
  explicit WithCopies(emu::Copies copies) : before(emu::copies()) { emu::set_copies(copies); }
  ~WithCopies() { emu::set_copies(before); }
  emu::Copies before;
};

// An array on the device, filled with NaN.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(size_t count)
      : count_(count), data_(static_cast<T*>(memory.allocate(count * sizeof(T)))) {}
  explicit OnDevice(const std::vector<T>& values) : OnDevice(values.size()) {
    memory.from_host(data_, values.data(), count_ * sizeof(T));
  }
  ~OnDevice() { memory.free(data_, count_ * sizeof(T)); }
  OnDevice(OnDevice&& other) noexcept
      : count_(std::exchange(other.count_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  OnDevice& operator=(OnDevice&&) = delete;

  operator T*() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> out(count_);
    memory.to_host(out.data(), data_, count_ * sizeof(T));
    return out;
  }

 private:
  size_t count_;
  T* data_;
};

}  // namespace brume::cuda
