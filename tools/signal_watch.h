#pragma once

#include <vector>

namespace brume::tools {

/// SIGINT and SIGTERM are noted while it lives: the first lets what is in flight finish, the second
/// leaves at once. One at a time.
class SignalWatch {
 public:
  SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

  /// The signal that came; 0 if none.
  static int seen();
  /// What a program that ends by it returns.
  static int exit_code() { return 128 + seen(); }

 private:
  std::vector<void (*)(int)> before_;
};

}  // namespace brume::tools
