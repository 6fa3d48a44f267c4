#include <brume/cuda/emu/fiber.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include <brume/core/error.h>

#if defined(__SANITIZE_ADDRESS__)
#define BRUME_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BRUME_ADDRESS_SANITIZER
#endif
#endif
#ifdef BRUME_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef BRUME_UCONTEXT
// Saves the registers that a called function must keep, stores the stack pointer in *save, and
// takes up the stack that was left at `load`.
extern "C" void brume_emu_switch(void** save, void* load);
// Where a fresh stack is taken up: calls the function in one kept register with the other.
extern "C" void brume_emu_begin();

#if defined(__x86_64__)
asm(R"(
  .text
  .p2align 4
  .hidden brume_emu_switch
  .globl brume_emu_switch
  .type brume_emu_switch, @function
brume_emu_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
  .size brume_emu_switch, .-brume_emu_switch

  .hidden brume_emu_begin
  .globl brume_emu_begin
  .type brume_emu_begin, @function
brume_emu_begin:
  .cfi_startproc
  .cfi_undefined rip
  movq %r12, %rdi
  callq *%rbx
  ud2
  .cfi_endproc
  .size brume_emu_begin, .-brume_emu_begin
)");
#else
asm(R"(
  .text
  .p2align 4
  .hidden brume_emu_switch
  .globl brume_emu_switch
  .type brume_emu_switch, %function
brume_emu_switch:
  .cfi_startproc
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .cfi_endproc
  .size brume_emu_switch, .-brume_emu_switch

  .hidden brume_emu_begin
  .globl brume_emu_begin
  .type brume_emu_begin, %function
brume_emu_begin:
  .cfi_startproc
  .cfi_undefined x30
  mov x0, x20
  blr x19
  brk #1
  .cfi_endproc
  .size brume_emu_begin, .-brume_emu_begin
)");
#endif
#endif

namespace brume::cuda::emu {
namespace {

#ifdef BRUME_ADDRESS_SANITIZER
constexpr size_t kStackBytes = 256 << 10;  // instrumented frames are larger
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

// The sanitizer has to know which stack is in use, or it takes locals for overruns.
void announce_switch([[maybe_unused]] Context& from, [[maybe_unused]] const Context& to,
                     [[maybe_unused]] bool for_good) {
#ifdef BRUME_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.shadow, to.bottom, to.bytes);
#endif
}

// `here` is the stack that has just been taken up, `from` receives the extent of the one left.
void announce_arrival([[maybe_unused]] Context& here, [[maybe_unused]] Context& from) {
#ifdef BRUME_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(here.shadow, &from.bottom, &from.bytes);
#endif
}

void switch_stacks(Context& from, Context& to) {
#ifdef BRUME_UCONTEXT
  swapcontext(&from.registers, &to.registers);
#else
  brume_emu_switch(&from.stack_pointer, to.stack_pointer);
#endif
}

}  // namespace

Fiber::Fiber() {
  // The lowest page stays closed: a stack that overflows faults instead of writing elsewhere.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool done =
      memory != MAP_FAILED && mprotect(static_cast<std::byte*>(memory) + page, kStackBytes - page,
                                       PROT_READ | PROT_WRITE) == 0;
  check<Error>(done, "emulator: no memory for the stack of one more thread");
  inside_.bottom = memory;
  inside_.bytes = kStackBytes;
}

Fiber::~Fiber() { munmap(const_cast<void*>(inside_.bottom), kStackBytes); }

void Fiber::begin(Fiber* fiber) {
  announce_arrival(fiber->inside_, fiber->outside_);
  fiber->entry_(fiber->argument_);
  std::abort();
}

#ifdef BRUME_UCONTEXT
void Fiber::begin_at(unsigned high, unsigned low) {
  begin(reinterpret_cast<Fiber*>(static_cast<uintptr_t>(uint64_t{high} << 32 | low)));
}
#endif

void Fiber::prepare(void (*entry)(void*), void* argument) {
  entry_ = entry;
  argument_ = argument;
  inside_.shadow = nullptr;
#ifdef BRUME_ADDRESS_SANITIZER
  ASAN_UNPOISON_MEMORY_REGION(inside_.bottom, inside_.bytes);  // left by an abandoned run
#endif
#ifdef BRUME_UCONTEXT
  getcontext(&inside_.registers);
  inside_.registers.uc_stack.ss_sp = const_cast<void*>(inside_.bottom);
  inside_.registers.uc_stack.ss_size = inside_.bytes;
  inside_.registers.uc_link = nullptr;
  const auto self = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(this));
  makecontext(&inside_.registers, reinterpret_cast<void (*)()>(begin_at), 2,
              static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
#else
  // The frame that brume_emu_switch expects to find, leading to brume_emu_begin.
#if defined(__x86_64__)
  constexpr size_t kFrame = 7, kFunction = 4, kArgument = 3, kReturn = 6;  // rbx, r12, address
#else
  constexpr size_t kFrame = 20, kFunction = 0, kArgument = 1, kReturn = 11;  // x19, x20, x30
#endif
  auto* top = static_cast<void**>(const_cast<void*>(inside_.bottom)) + kStackBytes / sizeof(void*);
  void** frame = top - 2 - kFrame;  // 16-byte aligned once the frame is gone
  for (size_t i = 0; i < kFrame; ++i) frame[i] = nullptr;
  frame[kFunction] = reinterpret_cast<void*>(&Fiber::begin);
  frame[kArgument] = this;
  frame[kReturn] = reinterpret_cast<void*>(&brume_emu_begin);
  inside_.stack_pointer = frame;
#endif
}

void Fiber::resume() {
  announce_switch(outside_, inside_, false);
  switch_stacks(outside_, inside_);
  Context left;  // the fiber's extent is known already
  announce_arrival(outside_, left);
}

void Fiber::wait() {
  announce_switch(inside_, outside_, false);
  switch_stacks(inside_, outside_);
  announce_arrival(inside_, outside_);
}

void Fiber::leave() {
  announce_switch(inside_, outside_, true);
  switch_stacks(inside_, outside_);
  std::abort();
}

}  // namespace brume::cuda::emu
