#include <brume/core/constant.h>

#include <memory>
#include <string>

#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/core/recording.h>

namespace brume {
namespace {

// What it holds, as a name: equal constants of a step are one.
std::string content_of(const Tensor& host) {
  const Tensor dense = relayout(host, Layout::row_major);
  return cat(dense.dtype(), " ", dense.shape(), " ") +
         std::string(static_cast<const char*>(dense.data()),
                     static_cast<size_t>(dense.numel() * item_size(dense.dtype())));
}

}  // namespace

Tensor constant(const Tensor& host, Device device) {
  Recording* const recording = Recording::current();
  if (!recording || device.type == DeviceType::cpu) return transfer(host, device);
  std::shared_ptr<const void>& kept = recording->kept(content_of(host));
  if (!kept) kept = std::make_shared<const Tensor>(transfer(host, device));
  const Tensor& there = *static_cast<const Tensor*>(kept.get());
  const Tensor copy = empty_like(there);
  kernels(copy).pointwise.copy(there.view(), copy.view());
  return copy;
}

}  // namespace brume
