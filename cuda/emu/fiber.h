#pragma once
// A call stack of its own that runs when resumed and gives control back when it waits.

#include <cstddef>

#if !defined(BRUME_UCONTEXT) && \
    !(defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)))
#define BRUME_UCONTEXT  // other machines: slower, as every switch saves the signal mask
#endif
#ifdef BRUME_UCONTEXT
#include <ucontext.h>
#endif

namespace brume::cuda::emu {

/// What is kept of a call stack while another one runs.
struct Context {
#ifdef BRUME_UCONTEXT
  ucontext_t registers{};
#else
  void* stack_pointer = nullptr;  // the registers lie on the stack
#endif
  // Extent and shadow of the stack, for the address sanitizer.
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* shadow = nullptr;
};

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next resume() calls entry(argument) on the empty stack; what ran there before is abandoned
  /// without unwinding. `entry` never returns: it ends in leave().
  void prepare(void (*entry)(void*), void* argument);
  /// From outside: runs the fiber until it waits or leaves.
  void resume();
  /// From inside: back to the caller of resume().
  void wait();
  /// From inside, for good. A signal handler may call it, too.
  [[noreturn]] void leave();

 private:
  Context inside_, outside_;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;

  static void begin(Fiber* fiber);
#ifdef BRUME_UCONTEXT
  static void begin_at(unsigned high, unsigned low);
#endif
};

}  // namespace brume::cuda::emu
