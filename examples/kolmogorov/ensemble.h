#pragma once
// Independent flows side by side, looked at again and again.

#include <functional>

#include "examples/kolmogorov/flow.h"

namespace brume::kolmogorov {

struct EnsembleOptions {
  FlowOptions flow;
  int64_t flows = 32;
  int64_t samples = 2048;                      // a multiple of `flows`
  int64_t size = 32;                           // points of a sample along each axis
  double spin_up_time = 60, sample_every = 2;  // time before the first samples and between them
  int64_t seed = 0;
  template <class V>
  void fields(V& v) {
    v("flow", flow);
    v("flows", flows);
    v("samples", samples);
    v("size", size);
    v("spin_up_time", spin_up_time);
    v("sample_every", sample_every);
    v("seed", seed);
  }
};

/// Samples of the vorticity. Each flow starts from random large eddies of its own; sample i is of
/// flow i % flows, so holding out every n-th sample (n a divisor of `flows`) holds out whole flows.
/// @shape  [samples, 1, size, size] f32: the wavenumbers that this grid can tell apart
/// @throws ShapeError if the options do not fit together; Error if a flow blows up
Tensor vorticity_samples(const EnsembleOptions& options,
                         const std::function<void(int64_t done)>& on_samples = {});

}  // namespace brume::kolmogorov
