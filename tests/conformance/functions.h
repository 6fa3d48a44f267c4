#pragma once
// What a case may call by the reference's name, and how that is done with the library's operations.
// Defaults and argument names are the reference's.

#include <map>
#include <string>

#include "tests/conformance/arguments.h"

namespace brume::conformance {

using Function = Value (*)(Arguments& arguments);
using Functions = std::map<std::string, Function, std::less<>>;

// One per file.
void add_arithmetic(Functions& table);
void add_elementwise(Functions& table);
void add_reductions(Functions& table);
void add_shapes(Functions& table);
void add_indexing(Functions& table);
void add_products(Functions& table);
void add_norms(Functions& table);
void add_losses(Functions& table);
void add_transforms(Functions& table);
void add_resampling(Functions& table);
void add_diffusion(Functions& table);
void add_guidance(Functions& table);
void add_legacy(Functions& table);

/// The functions of section 3 that {"fn": name} stands for; they take their arguments by place.
/// @throws Error if there is none of that name
Value named_function(const std::string& name);

/// All of them.
const Functions& functions();

// What several of these files need: the reference's rules that ours do not have.

/// Another dtype; differentiable between floating ones.
Tensor cast(const Tensor& x, DType dtype);
/// x if it is floating, else as f32.
Tensor floating(const Tensor& x);
/// The dtype that two operands meet in.
DType promoted(DType a, DType b);
/// x with axis `from` moved to the place `to`.
Tensor move_axis(const Tensor& x, int64_t from, int64_t to);

// Complex tensors (last axis: real, imaginary).
Tensor real(const Array& x);
Tensor imaginary(const Array& x);  // undefined for a real tensor
Value make_complex(const Tensor& real_part, const Tensor& imaginary_part);

}  // namespace brume::conformance
