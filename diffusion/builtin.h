#pragma once

namespace brume::diffusion {

/// Registers this library's models once; whoever looks one up calls it. A list, not static
/// initialisers, which a static library would drop.
void register_builtin();

}  // namespace brume::diffusion
