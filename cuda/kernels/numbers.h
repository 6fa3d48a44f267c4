#pragma once

#include <cstdint>
#include <span>

#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// Numbers of the host as arguments of kernels: in order with the stream's other work, nothing
/// waits, and in a capture they are part of the graph.
void put_numbers(Stream stream, std::span<const uint64_t> numbers, uint64_t* to);

}  // namespace brume::cuda
