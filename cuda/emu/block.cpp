#include <brume/cuda/emu/block.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <brume/core/error.h>
#include <brume/cuda/emu/async_copy.h>
#include <brume/cuda/emu/control.h>
#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/faults.h>
#include <brume/cuda/emu/fiber.h>
#include <brume/cuda/emu/shared_memory.h>

namespace brume::cuda::emu {

constinit thread_local const Self* self = nullptr;

static std::string to_string(Index i) { return cat("(", i.x, ", ", i.y, ", ", i.z, ")"); }

static std::string to_string(const Place& place) {
  const std::string path = place.file;
  return cat(place.what, " at ", path.substr(path.find_last_of('/') + 1), ":", place.line);
}

namespace {

enum class State { ready, at_block_barrier, at_warp_barrier, ended };

struct Thread {
  Fiber fiber;
  Self self;
  State state = State::ready;
  Place place{};
  unsigned meetings = 0;  // of its warp: consecutive ones use different slots
  AsyncCopies copies;
  std::string error;  // what it threw, or the address that it must not touch
};

// "0-31, 40": runs of numbers.
std::string ranges(const std::vector<int>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1) ++j;
    out += cat(i ? ", " : "", numbers[i]);
    if (j > i) out += cat("-", numbers[j]);
    i = j + 1;
  }
  return out;
}

// The threads of one OS thread's current block. Stacks and tables are kept from launch to launch.
class Block {
 public:
  void run(const Launch& launch);

  Thread& current() { return *current_; }
  SharedMemory& shared() { return shared_; }
  void* slot(int lane) {
    const int warp = current_->self.number / kWarp;
    const size_t half = current_->meetings % 2 ? 0 : slots_.size() / 2;
    return slots_.data() + half + static_cast<size_t>(warp * kWarp + lane) * kSlotBytes;
  }
  void wait(State state, Place place) {
    current_->state = state;
    current_->place = place;
    current_->fiber.wait();
  }

 private:
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<int> turns_;    // thread numbers, in the order in which they get a turn
  std::vector<int> waiting_;  // per warp
  std::vector<std::byte> slots_;
  SharedMemory shared_;
  std::mt19937 random_;
  const Launch* launch_ = nullptr;
  Thread* current_ = nullptr;
  int count_ = 0;

  void prepare(const Launch& launch);
  void run_block(Index index);
  void turn(Thread& thread);
  void release_warp(int warp);
  void release_block();
  [[noreturn]] void report_deadlock() const;
  static void enter(void* block);
};

thread_local Block block;

Index unravel(unsigned i, Index size) {
  return {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
}

void Block::enter(void* self_pointer) {
  auto& me = *static_cast<Block*>(self_pointer);
  try {
    me.launch_->body(me.launch_->context);
  } catch (const std::exception& error) {
    me.current_->error = error.what();
  }
  me.current_->state = State::ended;
  me.current_->fiber.leave();
}

void Block::prepare(const Launch& launch) {
  launch_ = &launch;
  count_ = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  while (threads_.size() < static_cast<size_t>(count_))
    threads_.push_back(std::make_unique<Thread>());
  turns_.resize(static_cast<size_t>(count_));
  std::iota(turns_.begin(), turns_.end(), 0);
  if (order() == Order::reverse) std::reverse(turns_.begin(), turns_.end());
  const size_t warps = static_cast<size_t>((count_ + kWarp - 1) / kWarp);
  waiting_.assign(warps, 0);
  slots_.resize(2 * warps * kWarp * kSlotBytes);
  random_.seed(7);
}

void Block::run(const Launch& launch) {
  prepare(launch);
  const int64_t blocks = int64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  std::vector<int64_t> sequence(static_cast<size_t>(blocks));
  std::iota(sequence.begin(), sequence.end(), 0);
  if (order() == Order::reverse) std::reverse(sequence.begin(), sequence.end());
  if (order() == Order::shuffled) std::shuffle(sequence.begin(), sequence.end(), random_);
  for (const int64_t i : sequence) run_block(unravel(static_cast<unsigned>(i), launch.grid));
}

void Block::run_block(Index index) {
  shared_.begin_block(launch_->dynamic_bytes, launch_->shared_limit);
  for (int i = 0; i < count_; ++i) {
    Thread& thread = *threads_[static_cast<size_t>(i)];
    thread.self = {unravel(static_cast<unsigned>(i), launch_->block), index, launch_->block,
                   launch_->grid, i};
    thread.state = State::ready;
    thread.meetings = 0;
    thread.copies.forget();
    thread.error.clear();
    thread.fiber.prepare(enter, this);
  }
  for (int ended = 0; ended < count_;) {
    bool moved = false;
    if (order() == Order::shuffled) std::shuffle(turns_.begin(), turns_.end(), random_);
    for (const int i : turns_) {
      Thread& thread = *threads_[static_cast<size_t>(i)];
      if (thread.state != State::ready) continue;
      moved = true;
      turn(thread);
      if (thread.state == State::ended) ++ended;
      if (thread.state == State::at_warp_barrier) release_warp(i / kWarp);
    }
    if (!moved) release_block();
  }
  shared_.end_block();
}

void Block::turn(Thread& thread) {
  current_ = &thread;
  self = &thread.self;
  thread.fiber.resume();
  self = nullptr;
  check<Error>(thread.error.empty(), "thread ", thread.self.number, " of block ", thread.self.block,
               ": ", thread.error);
}

// Lets a warp go on once all of its lanes have come to the same place.
void Block::release_warp(int warp) {
  const int first = warp * kWarp, last = std::min(first + kWarp, count_);
  if (++waiting_[static_cast<size_t>(warp)] < last - first) return;
  waiting_[static_cast<size_t>(warp)] = 0;
  for (int i = first; i < last; ++i) {
    Thread& thread = *threads_[static_cast<size_t>(i)];
    if (!(thread.place == threads_[static_cast<size_t>(first)]->place)) report_deadlock();
    thread.state = State::ready;
  }
}

// Nobody can go on: either all have come to the same barrier, or the kernel is wrong.
void Block::release_block() {
  for (int i = 0; i < count_; ++i) {
    const Thread& thread = *threads_[static_cast<size_t>(i)];
    if (thread.state != State::at_block_barrier || !(thread.place == threads_[0]->place))
      report_deadlock();
  }
  for (int i = 0; i < count_; ++i) threads_[static_cast<size_t>(i)]->state = State::ready;
}

void Block::report_deadlock() const {
  std::vector<std::pair<std::string, std::vector<int>>> groups;
  for (int i = 0; i < count_; ++i) {
    const Thread& thread = *threads_[static_cast<size_t>(i)];
    const std::string where = thread.state == State::ended   ? "have ended"
                              : thread.state == State::ready ? "are under way"
                                                             : "wait in " + to_string(thread.place);
    auto group =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == where; });
    if (group == groups.end()) group = groups.insert(group, {where, {}});
    group->second.push_back(i);
  }
  std::string text;
  for (const auto& [where, numbers] : groups)
    text += cat(text.empty() ? "threads " : "; threads ", ranges(numbers), " ", where);
  throw Error(cat("divergent barrier in block ", threads_[0]->self.block, ": ", text));
}

}  // namespace

void run(const Launch& launch) {
  check<Error>(!self, "a kernel cannot launch another");
  const MemoryAccess access;
  const FaultGuard guard([](const void* address) {
    if (!self) return;  // not a kernel's fault
    block.current().error = describe_fault(address);
    block.current().state = State::ended;
    block.current().fiber.leave();
  });
  block.run(launch);
  check_device_memory();
}

void wait_for_block(Place place) { block.wait(State::at_block_barrier, place); }

void wait_for_warp(Place place, unsigned mask) {
  check<Error>(mask == ~0U, to_string(place), ": the mask must name all 32 lanes");
  block.wait(State::at_warp_barrier, place);
}

void give_way() { block.wait(State::ready, {}); }

void show_to_warp(const void* mine, size_t bytes, Place place, unsigned mask) {
  ++block.current().meetings;
  std::memcpy(block.slot(lane()), mine, bytes);
  wait_for_warp(place, mask);
}

AsyncCopies& async_copies() { return block.current().copies; }

const void* shown_by(int lane) { return block.slot(lane); }

void* static_shared(const void* key, size_t bytes) { return block.shared().fixed(key, bytes); }
void* dynamic_shared() { return block.shared().dynamic(); }

}  // namespace brume::cuda::emu
