#pragma once
// The small modules of section 3 of the format. They are models: (x, t, condition).

namespace brume::conformance {

/// Registers them, and the classes of the library, once.
void register_modules();

}  // namespace brume::conformance
