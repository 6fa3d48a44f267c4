#include <brume/cuda/emu/control.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
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

struct Failures {
  struct Planned {
    int error, count;
  };
  std::atomic<int> stopped{0};
  std::mutex mutex;
  std::map<std::string, Planned, std::less<>> planned;
};

Failures& failures() {
  static Failures& instance = *new Failures;
  return instance;
}

}  // namespace

void fail_calls(std::string_view name, int error, int count) {
  const std::scoped_lock lock(failures().mutex);
  failures().planned[std::string(name)] = {error, count};
}

void stop_device(int error) { failures().stopped = error; }

int planned_failure(std::string_view name) {
  Failures& f = failures();
  if (const int error = f.stopped) return error;
  const std::scoped_lock lock(f.mutex);
  const auto found = f.planned.find(name);
  if (found == f.planned.end()) return 0;
  const int error = found->second.error;
  if (--found->second.count == 0) f.planned.erase(found);
  return error;
}

Order order() { return chosen(); }
void set_order(Order order) { chosen() = order; }

Copies copies() { return chosen_copies(); }
void set_copies(Copies copies) { chosen_copies() = copies; }

}  // namespace brume::cuda::emu
