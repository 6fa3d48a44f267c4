#pragma once
// The engine: walks recorded nodes from results to leaves.

#include <brume/autograd/node.h>

namespace brume {

struct BackwardOptions {
  bool retain_graph = false;  // keep closures and saved values for another pass
  bool create_graph = false;  // record the gradients themselves (implies retain_graph)
};

/// Adds d(loss)/d(leaf) into every leaf that asks for a gradient. `cotangent` defaults to 1 for a
/// loss of one element. @throws GradError if nothing was recorded, or the graph was already freed
void backward(const Tensor& loss, const Tensor& cotangent = {}, BackwardOptions options = {});

/// Gradients of sum(outputs * cotangents) with respect to `inputs`, touching no leaf. An input that
/// the outputs do not depend on gets an undefined tensor. Cotangents default to ones.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& cotangents = {},
             BackwardOptions options = {});

}  // namespace brume
