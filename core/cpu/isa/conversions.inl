// Rows between f32 and narrower storage types.

#include <brume/core/cpu/conversions.h>
#include <brume/core/math/half.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using Floats = math::Wide<float>;
using Integers = math::Vec<int32_t, Floats::kLanes>;
using Halves = math::Vec<uint16_t, Floats::kLanes>;
using Bytes = math::Vec<uint8_t, Floats::kLanes>;

struct Bf16 {
  using Words = Halves;
  static Floats load(Words x) { return math::from_bf16(x); }
  static Words store(Floats x) { return math::to_bf16(x); }
};
struct F16 {
  using Words = Halves;
  static Floats load(Words x) { return math::from_f16(x); }
  static Words store(Floats x) { return math::to_f16(x); }
};
struct U8 {
  using Words = Bytes;
  // One doubling at a time: GCC 12 takes the two at once lane by lane.
  static Floats load(Words x) {
    return math::convert<float>(math::convert<int32_t>(math::convert<uint16_t>(x)));
  }
  // to_integer(): numbers that i32 cannot hold have no low bits but 0.
  static Words store(Floats x) {
    const Floats held = select((x > -0x1p31F) & (x < 0x1p31F), x, Floats(0));
    return math::convert<uint8_t>(math::convert<uint16_t>(math::convert<int32_t>(held)));
  }
};
struct Bool {
  using Words = Bytes;
  static Floats load(Words x) { return U8::load(x); }
  static Words store(Floats x) {
    return math::convert<uint8_t>(select(x != 0, Integers(1), Integers(0)));
  }
};

template <class S>
void to_f32(const void* from, int64_t n, float* to) {
  using Words = typename S::Words;
  const auto* x = static_cast<const typename Words::Element*>(from);
  int64_t i = 0;
  for (; i + Floats::kLanes <= n; i += Floats::kLanes) S::load(Words::load(x + i)).store(to + i);
  const int rest = static_cast<int>(n - i);
  if (rest > 0) S::load(Words::load_padded(x + i, rest)).store_padded(to + i, rest);
}
template <class S>
void from_f32(const float* from, int64_t n, void* to) {
  using Words = typename S::Words;
  auto* y = static_cast<typename Words::Element*>(to);
  int64_t i = 0;
  for (; i + Floats::kLanes <= n; i += Floats::kLanes)
    S::store(Floats::load(from + i)).store(y + i);
  const int rest = static_cast<int>(n - i);
  if (rest > 0) S::store(Floats::load_padded(from + i, rest)).store_padded(y + i, rest);
}

template <class S>
constexpr Conversions conversions() {
  return {to_f32<S>, from_f32<S>};
}

}  // namespace

extern const ConversionTable conversion_table;
const ConversionTable conversion_table{.bf16 = conversions<Bf16>(),
                                       .f16 = conversions<F16>(),
                                       .u8 = conversions<U8>(),
                                       .boolean = conversions<Bool>()};

}  // namespace brume::cpu::BRUME_ISA
