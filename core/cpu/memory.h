#pragma once

#include <brume/core/backend.h>

namespace brume::cpu {

extern const Memory memory;

}  // namespace brume::cpu
