#pragma once

#include <brume/core/tensor.h>

namespace brume::darcy {

/// The pressure p of a fluid that wells up evenly in porous ground and leaves at the edge:
/// -div(k grad p) = 1 on the unit square, p = 0 around it. Finite volumes: what leaves a cell
/// through its four faces is what wells up in it; a face between two cells lets through as much as
/// their halves in series. Direct (Cholesky), so nothing is left to converge.
/// @shape  permeability k [B, N, N], positive -> f64 [B, N, N], both at the cells' centres
/// @throws ShapeError if a cell is not square; Error if a permeability is not positive
Tensor solve(const Tensor& permeability);

}  // namespace brume::darcy
