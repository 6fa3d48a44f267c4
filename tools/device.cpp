#include "device.h"

#include <brume/core/backend.h>
#include <brume/core/error.h>

namespace brume::tools {

Device device_named(const std::string& name) {
  const bool cuda = name == "cuda" || (name == "auto" && has_backend(DeviceType::cuda));
  check<DeviceError>(cuda || name == "cpu" || name == "auto",
                     "--device: wants cpu, cuda or auto, got ", name);
  const Device device{cuda ? DeviceType::cuda : DeviceType::cpu, 0};
  (void)backend(device.type);  // says why if there is none
  return device;
}

Device device_of(const nn::Module& module) {
  const nn::NamedTensors weights = module.parameters();
  return weights.empty() ? kCpu : weights[0].tensor.device();
}

}  // namespace brume::tools
