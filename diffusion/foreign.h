#pragma once
// A model of another runtime or language, behind C functions that exchange DLPack tensors.

#include <memory>

#include <brume/core/io/dlpack.h>
#include <brume/diffusion/condition.h>

extern "C" {

/// Predicts from `count` inputs: x, t, then the condition's tensors, with their names beside them
/// ("x", "t", "condition" for one without a name). The function owns the inputs and calls their
/// deleters, also if it fails; their strides are what they happen to be. It sets *result, which the
/// caller owns, and returns 0; another number means failure. It must not throw.
typedef int (*BrumeForeignPredict)(void* context, int count, const char* const* names,
                                   DLManagedTensor** inputs, DLManagedTensor** result);

/// For the cotangent of a prediction, that of each input into gradients[0 .. count-1], which come
/// in as null; null means zero. The function owns inputs and cotangent.
typedef int (*BrumeForeignGradient)(void* context, int count, const char* const* names,
                                    DLManagedTensor** inputs, DLManagedTensor* cotangent,
                                    DLManagedTensor** gradients);

}  // extern "C"

namespace brume::diffusion {

struct ForeignFunctions {
  void* context = nullptr;
  BrumeForeignPredict predict = nullptr;
  BrumeForeignGradient gradient = nullptr;        // null: none
  const char* (*error)(void* context) = nullptr;  // what the last failure was; may be null
  void (*release)(void* context) = nullptr;       // called once, when the last copy goes
};

/// A model (x, t, condition) behind these functions; nothing is copied on the way. Several threads
/// may call it if they may call the functions. Parameters of the other side are not seen: what can
/// be trained is what the inputs come from.
/// @throws Error with the function's text if it fails; ShapeError if the batch of the result is
///         another; GradError in backward if there is no gradient, or a second one is asked for
class Foreign {
 public:
  explicit Foreign(const ForeignFunctions& functions);
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;

 private:
  std::shared_ptr<const ForeignFunctions> functions_;
};

}  // namespace brume::diffusion
