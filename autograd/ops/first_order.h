#pragma once
// Gradients that come from a fused kernel and have no derivative of their own.

#include <brume/autograd/node.h>

namespace brume {

/// Passes `gradients` on; a second derivative through them raises GradError
/// "<op>: no second derivative; <advice>".
inline Grads first_order(const char* op, const char* advice, Grads gradients,
                         std::initializer_list<Tensor> inputs) {
  return record(op, std::move(gradients), inputs, [op, advice](const Tensors&) -> Grads {
    throw GradError(cat(op, ": no second derivative; ", advice));
  });
}

}  // namespace brume
