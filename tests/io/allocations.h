#pragma once
// Counts what this program allocates with new, and makes any allocation fail.

#include <cstdint>

namespace brume::test {

/// Starts a new measure of the largest number of bytes in use, on top of those in use now.
void start_measuring();
/// Bytes that were in use at once since then, by new and by tensors on the CPU.
int64_t most_bytes_in_use();

/// The `count`-th allocation from now on (0 is the next), and no other, fails; -1: none.
void fail_allocation(int64_t count);
/// Allocations since fail_allocation was called.
int64_t allocations();

}  // namespace brume::test
