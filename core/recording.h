#pragma once
// Work that is given to a device once and done again and again: what a captured step is made of.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <brume/core/device.h>

namespace brume {

struct Draws;

/// A step's work on a device. Numbers of the host that change from one replay to the next (offsets
/// of random numbers, learning rates) stand in places on the device and are renewed before it.
class Recording {
 public:
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  virtual ~Recording() = default;

  enum class Phase { rehearsing, recording, renewing };
  Phase phase() const { return phase_; }
  /// The one that this thread works on; null outside of captured steps.
  static Recording* current();

  /// Runs the step as it is, with the memory that the recording will use.
  void rehearse(const std::function<void()>& step);
  /// Runs the step on the host while the device only takes notes, and replays them once.
  void record(const std::function<void()>& step);
  /// Renews the numbers and has the device do it all again.
  void replay();

  /// Runs f, and once more before each replay: its kernels then do not run, they only get their
  /// new numbers.
  void repeat(const std::function<void()>& f);
  /// Inside such an f, where a kernel finds `value` at every replay. Null elsewhere: there, a value
  /// never changes.
  template <class T>
  const T* place(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(uint64_t));
    return static_cast<const T*>(place_bytes(&value, sizeof value));
  }

  /// What replays refer to lasts as long as they can come.
  void keep(std::shared_ptr<const void> thing) { kept_.push_back(std::move(thing)); }
  /// The same under a name; empty at first.
  std::shared_ptr<const void>& kept(const std::string& name) { return named_[name]; }

  /// While recording, a place on the device, 0, for what the work finds wrong where the host does
  /// not look. Where the host next waits for the device it calls tell with it, which throws.
  virtual uint64_t* note(std::function<void(uint64_t)> tell) = 0;

  /// A generator is about to move on.
  void watch(const std::shared_ptr<uint64_t>& offset);
  /// The same draws, counted from where that generator will stand at the beginning of each replay.
  Draws from_base(Draws draws, const std::shared_ptr<uint64_t>& offset);

 protected:
  static constexpr size_t kMostWords = 8192;

  /// Memory for a rehearsal and for the recording comes from one place of its own.
  virtual void use_own_memory(bool on) = 0;
  virtual void begin() = 0;
  virtual void end() = 0;
  virtual void abandon() = 0;  // as end(), for a recording that is not wanted; does not throw
  /// Where the device keeps kMostWords numbers of the host.
  virtual uint64_t* words() = 0;
  /// Brings `numbers` to words() and starts the work.
  virtual void start(std::span<const uint64_t> numbers) = 0;

 private:
  class Scope;
  struct Repeated {
    std::function<void()> run;
    size_t first_word;
  };
  // Weak: a generator that ends with the step begins it anew every time, with the same numbers.
  struct Watched {
    std::weak_ptr<uint64_t> offset;
    uint64_t at_begin, each;  // drawn by each run
    size_t word;
  };
  const void* place_bytes(const void* value, size_t bytes);
  size_t add_word(uint64_t value);
  Watched* find(const std::shared_ptr<uint64_t>& offset);

  Phase phase_ = Phase::rehearsing;
  std::vector<uint64_t> numbers_;
  std::vector<Repeated> repeated_;
  std::vector<Watched> watched_;
  std::vector<std::shared_ptr<const void>> kept_;
  std::map<std::string, std::shared_ptr<const void>> named_;
  bool repeating_ = false;
  size_t cursor_ = 0;  // while renewing: the next word
};

/// Runs f; in a captured step also before each replay (Recording::repeat).
void repeat_in_captured_step(const std::function<void()>& f);

/// For what cannot be recorded, such as the host's look at a result.
/// @throws Error "op: not inside a captured step: why" while one is recorded
void refuse_in_captured_step(const char* op, const char* why);

}  // namespace brume
