#include <brume/cuda/emu/control.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

#include <brume/core/error.h>

namespace brume::cuda::emu {
namespace {

Order order_of_environment() {
  const char* text = std::getenv("BRUME_EMU_ORDER");
  const std::string_view name = text ? text : "forward";
  if (name == "forward") return Order::forward;
  if (name == "reverse") return Order::reverse;
  check<Error>(name == "shuffled", "BRUME_EMU_ORDER: wants forward, reverse or shuffled, got ",
               name);
  return Order::shuffled;
}

std::atomic<Order>& chosen() {
  static std::atomic<Order> instance{order_of_environment()};
  return instance;
}

Copies copies_of_environment() {
  const char* text = std::getenv("BRUME_EMU_COPIES");
  const std::string_view name = text ? text : "late";
  if (name == "late") return Copies::late;
  check<Error>(name == "early", "BRUME_EMU_COPIES: wants late or early, got ", name);
  return Copies::early;
}

std::atomic<Copies>& chosen_copies() {
  static std::atomic<Copies> instance{copies_of_environment()};
  return instance;
}

}  // namespace

Order order() { return chosen(); }
void set_order(Order order) { chosen() = order; }

Copies copies() { return chosen_copies(); }
void set_copies(Copies copies) { chosen_copies() = copies; }

}  // namespace brume::cuda::emu
