#pragma once

#include <functional>
#include <memory>

#include <brume/core/device.h>

namespace brume {

class Recording;

/// A step, such as forward, backward and update, that a GPU does as one piece of work. The first
/// two calls run it as it is, the third records its work on the device, and from then on a call
/// has it all done again, without the host going through it. On the CPU every call runs it.
///
/// A replayed step gives the bits of one that is run: random numbers go on, and so do the counters,
/// averages and learning rates of Optimizer::step_on_device. For that the step
///   - keeps its shapes, reads its inputs from tensors that stay (fill them with copy_ between
///     calls), and leaves its results in tensors that are read between calls;
///   - lets nothing pass between host and device: item(), to_vector() and transfer() throw Error
///     while it is recorded, and name themselves;
///   - is recorded while no other thread gives work to the device.
/// Indices are looked at in replays, too: one that is out of range counts as 0, and the error is
/// thrown where the host next waits for the device.
/// What the host alone does in it (counting, printing) is not repeated. Tensors that it uses, and
/// generators that it draws from, must live as long as this does.
class CapturedStep {
 public:
  CapturedStep(Device device, std::function<void()> step);
  ~CapturedStep();
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;

  /// One step. After an exception the next call begins with running it as it is.
  void operator()();
  /// Whether calls replay.
  bool is_recorded() const { return recorded_; }

 private:
  Device device_;
  std::function<void()> step_;
  std::unique_ptr<Recording> recording_;  // null where a device does everything at once
  int rehearsals_ = 0;
  bool recorded_ = false;
};

}  // namespace brume
