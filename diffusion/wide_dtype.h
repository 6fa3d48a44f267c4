#pragma once

#include <brume/core/dtype.h>

namespace brume::diffusion {

/// The type of times and noise labels beside data of another: half precision, which has too few
/// digits for them, becomes f32.
constexpr DType wide_dtype(DType data) { return is_half(data) ? DType::f32 : data; }

}  // namespace brume::diffusion
