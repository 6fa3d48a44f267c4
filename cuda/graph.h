#pragma once

#include <memory>

#include <brume/core/recording.h>

namespace brume::cuda {

/// A step as a CUDA graph, captured from the compute stream. Its memory is an arena of its own, so
/// that nothing else is ever written by a replay, and nothing is allocated while it is captured.
/// Before a replay the host's numbers go to the device as arguments of a kernel.
std::unique_ptr<Recording> make_graph();

}  // namespace brume::cuda
