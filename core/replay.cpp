#include <brume/core/replay.h>

namespace brume {

const char* name(Distribution d) {
  constexpr const char* names[] = {"uniform", "normal", "integers", "gamma"};
  return names[static_cast<int>(d)];
}

Generator replay(std::vector<RecordedDraw> draws) {
  return Generator(std::make_shared<const std::vector<RecordedDraw>>(std::move(draws)));
}

Tensor next_recorded(Generator& rng, Distribution wanted, const Shape& shape) {
  const std::vector<RecordedDraw>* draws = rng.recording();
  if (!draws) return {};
  const uint64_t i = rng.offset();
  check<Error>(i < draws->size(), "replay: draw ", i, " (", wanted, ' ', shape,
               ") was not recorded; the recording has ", draws->size());
  const RecordedDraw& draw = (*draws)[i];
  check<Error>(draw.distribution == wanted && draw.values.shape() == shape, "replay: draw ", i,
               " was recorded as ", draw.distribution, ' ', draw.values.shape(),
               ", but asked for is ", wanted, ' ', shape);
  rng.set_offset(i + 1);
  return draw.values;
}

}  // namespace brume
