#include <brume/core/storage.h>

#include <utility>

#include <brume/core/backend.h>

namespace brume {

Storage::Storage(size_t bytes, Device device)
    : data_(backend(device.type).memory.allocate(bytes)), bytes_(bytes), device_(device) {}

Storage::Storage(void* data, size_t bytes, Device device, std::function<void()> release)
    : data_(data), bytes_(bytes), device_(device), release_(std::move(release)), foreign_(true) {}

Storage::~Storage() {
  if (foreign_) {
    if (release_) release_();
  } else {
    backend(device_.type).memory.free(data_, bytes_);
  }
}

}  // namespace brume
