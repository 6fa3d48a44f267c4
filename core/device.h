#pragma once

#include <cstdint>
#include <string>

namespace brume {

enum class DeviceType : uint8_t { cpu, cuda };

/// Where a tensor's bytes live. `index` counts GPUs; it is 0 on the CPU.
struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

inline constexpr Device kCpu{};

constexpr const char* name(DeviceType t) { return t == DeviceType::cpu ? "cpu" : "cuda"; }
inline std::string to_string(Device d) {
  return d.type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(d.index);
}

}  // namespace brume
