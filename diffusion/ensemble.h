#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Draws the members first, first + 1, ... of an ensemble, one for each seed, such as by sample()
/// with a NoiseSource of these seeds. @shape result [seeds, ...]
using DrawMembers = std::function<Tensor(int64_t first, std::span<const uint64_t> seeds)>;

struct EnsembleOptions {
  int64_t batch = 64;  // members at a time
  /// Called after each batch; false ends the run, and no file appears.
  std::function<bool(int64_t done, int64_t members)> on_batch{};
};

/// Draws one member for each seed, batch by batch, into an .npy file [seeds, ...], so that memory
/// holds one batch. Where a member depends on its seed alone, as with a NoiseSource of seeds, the
/// file's bytes do not depend on the batch. The file appears when all are there, else not at all.
/// Runs without gradients. Returns whether it ran to its end.
/// @throws ShapeError if there are no seeds, or draw returns another number or shape; Error if draw
///         is empty, or path does not end in .npy; IoError
bool write_ensemble(const std::string& path, std::span<const uint64_t> seeds,
                    const DrawMembers& draw, const EnsembleOptions& options = {});

}  // namespace brume::diffusion
