#pragma once
// The inner loops of optimizers over a piece of one parameter, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// Adam's numbers for one parameter, formed in f64 and then rounded: in f32, 1 - beta2 and the bias
/// corrections would be off by 2e-5.
template <class T>
struct AdamNumbers {
  T grad_scale;                     // negative to maximise
  T weight_decay;                   // added to the gradient, times the parameter
  T keep;                           // what decoupled weight decay leaves of the parameter
  T beta1_rest, beta2, beta2_rest;  // rest: 1 - beta
  T inverse_root_correction;        // 1 / sqrt(1 - beta2^step)
  T eps, step_size;                 // step_size = lr / (1 - beta1^step)
  T average_rest;                   // 1 - decay of the average
};

template <class T>
struct AdamArrays {
  T* param;
  const T* grad;
  T *exp_avg, *exp_avg_sq;
  T* max_exp_avg_sq;  // null: not amsgrad
  T* average;         // null: none
};

template <class T>
struct SgdNumbers {
  T grad_scale, weight_decay, momentum, dampening_rest, lr, average_rest;
  bool nesterov, first;
};

template <class T>
struct SgdArrays {
  T* param;
  const T* grad;
  T* momentum_buffer;  // null: no momentum
  T* average;
};

template <class T>
struct OptimLoops {
  void (*adam)(int64_t n, const AdamNumbers<T>& c, const AdamArrays<T>& x);
  void (*sgd)(int64_t n, const SgdNumbers<T>& c, const SgdArrays<T>& x);
  void (*average)(int64_t n, T rest, const T* param, T* average);
  void (*scale)(int64_t n, T factor, T* x);
  double (*sum_of_squares)(int64_t n, const T* x);
};

BRUME_ISA_TABLE(OptimLoops<float>, optim_loops)
namespace portable {
extern const OptimLoops<double> optim_loops_f64;
}

}  // namespace brume::cpu
