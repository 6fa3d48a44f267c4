#pragma once

#include <brume/nn/config.h>

namespace brume::diffusion {

/// sigma_data, the data's standard deviation, is one number or a list with one for each channel.
/// @throws ShapeError naming `who` if the list is empty or a number is not positive
void check_data_scale(const char* who, const nn::OneOrMany<double>& sigma_data);

}  // namespace brume::diffusion
