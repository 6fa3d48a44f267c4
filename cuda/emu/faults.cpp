#include <brume/cuda/emu/faults.h>

#include <signal.h>

#include <mutex>

namespace brume::cuda::emu {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS};

std::mutex mutex;
int guards = 0;
struct sigaction previous[2];
void (*action)(const void* address) = nullptr;

void handle(int signal, siginfo_t* info, void*) {
  action(info->si_addr);
  // Not ours: put the former handler back and let the instruction fault again.
  for (int i = 0; i < 2; ++i)
    if (kSignals[i] == signal) sigaction(signal, &previous[i], nullptr);
}

}  // namespace

FaultGuard::FaultGuard(void (*on_fault)(const void* address)) {
  const std::scoped_lock lock(mutex);
  if (++guards > 1) return;
  action = on_fault;
  struct sigaction ours {};
  ours.sa_sigaction = handle;
  ours.sa_flags = SA_SIGINFO | SA_NODEFER;  // on_fault may leave for another stack
  for (int i = 0; i < 2; ++i) sigaction(kSignals[i], &ours, &previous[i]);
}

FaultGuard::~FaultGuard() {
  const std::scoped_lock lock(mutex);
  if (--guards > 0) return;
  for (int i = 0; i < 2; ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

}  // namespace brume::cuda::emu
