#pragma once

#include <string>

#include <brume/core/device.h>
#include <brume/nn/module.h>

namespace brume::tools {

/// "cpu", "cuda", or "auto": the GPU if this build and this machine have one, else the CPU.
/// @throws DeviceError saying why there is no such device
Device device_named(const std::string& name);

/// Where a module's parameters are; the CPU if it has none.
Device device_of(const nn::Module& module);

}  // namespace brume::tools
