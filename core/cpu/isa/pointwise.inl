// Pointwise functions in f32: values and gradients.

#include <brume/core/cpu/pointwise_tables.h>
#include <brume/core/math/pointwise_loops.h>

namespace brume::cpu::BRUME_ISA {

extern const PointwiseTable pointwise_table;
const PointwiseTable pointwise_table{
    math::BlocksOfAll<math::Wide<float>,
                      math::LoopKinds{.forward = true, .backward = true}>::table};

}  // namespace brume::cpu::BRUME_ISA
