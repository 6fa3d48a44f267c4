#pragma once
// What a test may turn on the emulated device. Change it between launches only.

#include <cstddef>
#include <string_view>

namespace brume::cuda::emu {

/// In which order the threads of a block, and the blocks of a launch, get their turns. A kernel
/// without races gives the same bits in all three.
enum class Order { forward, reverse, shuffled };

/// From BRUME_EMU_ORDER (forward, reverse, shuffled); forward when unset.
Order order();
void set_order(Order order);

/// When an asynchronous copy lands: at once, or not before it is waited for. A kernel that orders
/// its copies gives the same bits in both.
enum class Copies { late, early };

/// From BRUME_EMU_COPIES (late, early); late when unset.
Copies copies();
void set_copies(Copies copies);

/// Whether device memory is unreadable outside kernels and copies, so that a host access faults as
/// it would beside a GPU. From BRUME_EMU_PROTECT=1; off when unset.
bool is_protecting();
void set_protecting(bool on);

/// The next `count` calls of the runtime function `name` fail with `error` (a cudaError_t).
void fail_calls(std::string_view name, int error, int count = 1);
/// The device stops: every call fails with `error` until it is 0 again.
void stop_device(int error);
/// What a call of that name has to fail with, or 0.
int planned_failure(std::string_view name);

/// Bytes of device memory that exist (a test of exhaustion lowers it).
void set_memory_limit(size_t bytes);

}  // namespace brume::cuda::emu
