#pragma once

#include <brume/core/cpu/parallel.h>

namespace brume {

/// Another number of threads while it lives.
struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  int before;
};

}  // namespace brume
