// Pointwise functions in f64, which serves checks: one portable build is enough.

#include <brume/core/cpu/pointwise_tables.h>
#include <brume/core/math/pointwise_loops.h>

namespace brume::cpu {

const PointwiseBlocks<double>* const pointwise_f64 =
    math::BlocksOfAll<math::Wide<double>,
                      math::LoopKinds{.forward = true, .backward = true, .backward2 = true}>::table;

}  // namespace brume::cpu
