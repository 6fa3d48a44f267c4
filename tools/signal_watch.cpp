#include "signal_watch.h"

#include <unistd.h>

#include <csignal>

namespace brume::tools {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM};

volatile std::sig_atomic_t signal_seen = 0;

extern "C" void on_signal(int number) {
  if (signal_seen != 0) _exit(128 + number);
  signal_seen = number;
}

}  // namespace

SignalWatch::SignalWatch() {
  signal_seen = 0;
  for (const int number : kSignals) before_.push_back(std::signal(number, on_signal));
}

SignalWatch::~SignalWatch() {
  for (size_t i = 0; i < before_.size(); ++i) std::signal(kSignals[i], before_[i]);
}

int SignalWatch::seen() { return static_cast<int>(signal_seen); }

}  // namespace brume::tools
