#pragma once
// What captured steps find wrong while the host does not look.

#include <cstdint>
#include <functional>
#include <memory>

#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// The places where one captured step notes it (Recording::note).
class Findings {
 public:
  Findings();
  /// What was found by then is still told; the stream must have been waited for.
  ~Findings();
  Findings(const Findings&) = delete;
  Findings& operator=(const Findings&) = delete;

  /// A place on the device, 0. @throws Error if there are too many
  uint64_t* add(std::function<void(uint64_t)> tell);
  /// Has the work end with a copy of the places to the host.
  void bring(Stream stream) const;

  struct Places;

 private:
  std::shared_ptr<Places> places_;
};

/// Throws, once, what was found in any step that the host has just waited for.
void tell_findings();

}  // namespace brume::cuda
