#pragma once

#include <brume/core/tensor.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

/// sigma_data, the data's standard deviation, is one number or a list with one for each channel.
/// @throws ShapeError naming `who` if the list is empty or a number is not positive
void check_data_scale(const char* who, const nn::OneOrMany<double>& sigma_data);

/// EDM's weight of the squared error at levels sigma: (sigma^2 + data^2) / (sigma data)^2.
/// @source Karras et al. 2022, arXiv:2206.00364, table 1
Tensor edm_loss_weight(const Tensor& sigma, const Tensor& sigma_data);

}  // namespace brume::diffusion
