#pragma once
// From the host's memory to a device's while the device works on something else.

#include <cstddef>

namespace brume {

/// Two buffers, each in the host's memory and in the device's. They are filled, sent, received and
/// released in turn, so that one is under way while the other is in use.
class Staging {
 public:
  Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  virtual ~Staging() = default;

  /// The next buffer's host memory, of at least `bytes`; waits until its last copy has landed.
  virtual std::byte* fill(size_t bytes) = 0;
  /// Starts its copy to the device, and returns.
  virtual void send() = 0;
  /// Where the oldest buffer that was sent lies on the device: work that is given to the device
  /// from now on starts after its copy.
  virtual std::byte* receive() = 0;
  /// All work that reads the received buffer has been given to the device.
  virtual void release() = 0;
};

}  // namespace brume
