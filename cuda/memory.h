#pragma once

#include <memory>

#include <brume/core/backend.h>

namespace brume::cuda {

/// Device memory: the caching pool over the runtime's stream-ordered allocation. All work runs in
/// one stream, so a block may be given out again while a kernel that used it still runs.
extern const Memory memory;

/// The memory of one captured step, apart from all other, since every replay writes it again. It
/// grows while the step is rehearsed and not while it is recorded.
class Arena {
 public:
  Arena();
  /// Its memory goes back with the last block that is in use.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Whether this thread allocates from it. Blocks of others that are freed while a step is
  /// recorded are kept until the end of the arena: the recorded work may use them.
  void use(bool on);

  struct Blocks;

 private:
  std::shared_ptr<Blocks> blocks_;
};

}  // namespace brume::cuda
