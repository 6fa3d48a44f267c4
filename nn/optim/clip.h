#pragma once
// Limits on gradients, between backward and an optimizer's step.

#include <span>

#include <brume/core/view.h>
#include <brume/nn/module.h>

namespace brume::nn {

namespace detail {
/// Squares of each gradient's 2-norm, summed in f64 in one pass, where all gradients are. @shape
/// [n]
Tensor sums_of_squares(std::span<const View> grads, Device device);
}  // namespace detail

/// Scales all gradients by one factor so that their joint p-norm is at most max_norm; returns the
/// norm before. p may be infinity. Gradients with a non-finite norm stay as they are, for step() to
/// name. (Optimizer::step clips 2-norms without this extra pass.)
double clip_grad_norm(const NamedTensors& parameters, double max_norm, double p = 2);

/// Limits every element of every gradient to [-limit, limit].
void clip_grad_value(const NamedTensors& parameters, double limit);

}  // namespace brume::nn
