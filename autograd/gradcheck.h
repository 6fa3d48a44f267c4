#pragma once
// Finite differences: whether an operation's gradient is the derivative of what it computes.

#include <functional>
#include <limits>
#include <string>

#include <brume/autograd/node.h>

namespace brume {

struct GradcheckOptions {
  double step = 1e-6;
  /// Largest |recorded - finite difference| allowed, relative to max(1, largest gradient entry).
  double tolerance = 1e-6;
  /// At most so many elements of an input are moved, spread evenly over it; all by default.
  int64_t elements = std::numeric_limits<int64_t>::max();
  /// Also check the gradient of the gradient, with respect to inputs and cotangents.
  bool second_order = false;
};

struct GradcheckResult {
  double error = 0;  // largest one found, on the scale of `tolerance`
  std::string text;  // where and what differs; empty if nothing does
  explicit operator bool() const { return text.empty(); }
};

/// Compares the gradients of f with central differences of a fixed random projection of its
/// results, for every input that requires a gradient. f must be a pure function of `inputs`.
/// @throws DTypeError unless those inputs are f64
GradcheckResult gradcheck(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs,
                          const GradcheckOptions& options = {});

}  // namespace brume
