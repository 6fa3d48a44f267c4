#pragma once
// Gradients of a case: section 1.5 of the format.

#include <string>
#include <vector>

#include <brume/nn/module.h>

#include "tests/conformance/findings.h"

namespace brume::conformance {

/// Makes the inputs that a case wants gradients of ask for them. Call before decoding arguments.
void want_gradients(const CaseFile& file, const Value& grads);

/// Compares results with the file's; every key must have one and every result a key.
void check_outputs(Findings& findings, const Tensors& results, const Value& keys);

/// Compares the gradients of inputs and parameters: those stored, the statistics of all, and that
/// the unused ones receive none.
void check_gradients(Findings& findings, const CaseFile& file, const Value& grads,
                     const Tensors& results, const Value& keys, const nn::NamedTensors& parameters);

}  // namespace brume::conformance
