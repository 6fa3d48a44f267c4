#include <brume/core/f32_mode.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

#include <brume/core/error.h>

namespace brume {
namespace {

constexpr F32Mode kModes[] = {F32Mode::exact, F32Mode::tf32, F32Mode::bf16x3};

F32Mode wanted() {
  const char* text = std::getenv("BRUME_F32");
  if (!text) return F32Mode::exact;
  for (const F32Mode mode : kModes)
    if (std::string_view(text) == name(mode)) return mode;
  throw Error(cat("BRUME_F32: wants exact, tf32 or bf16x3, got ", text));
}

std::atomic<F32Mode>& setting() {
  static std::atomic<F32Mode> mode = wanted();
  return mode;
}

}  // namespace

const char* name(F32Mode mode) {
  constexpr const char* names[] = {"exact", "tf32", "bf16x3"};
  return names[static_cast<int>(mode)];
}

double product_error(F32Mode mode) {
  constexpr double errors[] = {0, 0x1p-10 + 0x1p-22, 3 * 0x1p-18 + 0x1p-34};
  return errors[static_cast<int>(mode)];
}

F32Mode f32_mode() { return setting().load(std::memory_order_relaxed); }
void set_f32_mode(F32Mode mode) { setting().store(mode, std::memory_order_relaxed); }

}  // namespace brume
