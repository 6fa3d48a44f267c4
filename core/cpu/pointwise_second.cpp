// Second derivatives of pointwise functions in f32. They are rare: one portable build is enough.

#include <brume/core/cpu/pointwise_tables.h>
#include <brume/core/math/pointwise_loops.h>

namespace brume::cpu {

const PointwiseBlocks<float>* const pointwise_second_f32 =
    math::BlocksOfAll<math::Wide<float>, math::LoopKinds{.backward2 = true}>::table;

}  // namespace brume::cpu
