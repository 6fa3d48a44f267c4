#include <brume/cuda/emu/async_copy.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include <brume/core/error.h>
#include <brume/cuda/emu/control.h>

namespace brume::cuda::emu {

void AsyncCopies::land(const Copy& copy) {
  std::memset(copy.to, 0, copy.bytes);
  if (copy.valid > 0) std::memcpy(copy.to, copy.from, copy.valid);
}

void AsyncCopies::start(void* to, const void* from, size_t bytes, size_t valid) {
  for (const void* end : {static_cast<const void*>(to), from})
    check<Error>(reinterpret_cast<uintptr_t>(end) % bytes == 0, "an asynchronous copy of ", bytes,
                 " bytes begins at ", end, ", which is no multiple of that");
  const Copy copy{to, from, bytes, valid};
  if (copies() == Copies::early)
    land(copy);
  else
    open_.push_back(copy);
}

void AsyncCopies::close_group() { groups_.push_back(std::exchange(open_, {})); }

void AsyncCopies::wait(size_t under_way) {
  while (groups_.size() > under_way) {
    for (const Copy& copy : groups_.front()) land(copy);
    groups_.erase(groups_.begin());
  }
}

void AsyncCopies::forget() {
  open_.clear();
  groups_.clear();
}

}  // namespace brume::cuda::emu
