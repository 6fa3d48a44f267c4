#pragma once
// Turns a kernel's access to a closed page into a call, so that a wrong index is an error with a
// text instead of the end of the process.

namespace brume::cuda::emu {

/// While one lives, on_fault(address) runs at the faulting instruction, on the faulting stack. If
/// it returns, the fault takes its usual course.
class FaultGuard {
 public:
  explicit FaultGuard(void (*on_fault)(const void* address));
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;
};

}  // namespace brume::cuda::emu
