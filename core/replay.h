#pragma once
// Recorded random numbers: a run made elsewhere repeats exactly when its draws are served again.

#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume {

/// uniform is on [0, 1), normal has variance 1, gamma is the standard gamma distribution.
enum class Distribution : uint8_t { uniform, normal, integers, gamma };
const char* name(Distribution d);
inline std::string to_string(Distribution d) { return name(d); }

struct RecordedDraw {
  Distribution distribution = Distribution::normal;
  Tensor values;
};

/// A generator that serves these draws in order. A copy serves the rest on its own.
Generator replay(std::vector<RecordedDraw> draws);

/// The next draw of a replaying generator, which every random operation asks first: undefined if
/// `rng` draws for itself. @throws Error if none is left, or if it is of another distribution or
/// shape
Tensor next_recorded(Generator& rng, Distribution wanted, const Shape& shape);

}  // namespace brume
