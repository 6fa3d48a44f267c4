#include <brume/core/recording.h>

#include <utility>

#include <brume/core/error.h>
#include <brume/core/random.h>

namespace brume {
namespace {

thread_local Recording* in_work = nullptr;

}  // namespace

class Recording::Scope {
 public:
  Scope(Recording& recording, Phase phase) {
    check<Error>(in_work == nullptr, "captured step: runs inside another one; capture the outer");
    recording.phase_ = phase;
    in_work = &recording;
  }
  ~Scope() { in_work = nullptr; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

Recording* Recording::current() { return in_work; }

void Recording::rehearse(const std::function<void()>& step) {
  const Scope scope(*this, Phase::rehearsing);
  use_own_memory(true);
  try {
    step();
  } catch (...) {
    use_own_memory(false);
    throw;
  }
  use_own_memory(false);
}

void Recording::record(const std::function<void()>& step) {
  {
    const Scope scope(*this, Phase::recording);
    use_own_memory(true);
    begin();
    try {
      step();
      end();
    } catch (...) {
      abandon();
      use_own_memory(false);
      throw;
    }
    use_own_memory(false);
  }
  for (Watched& w : watched_)
    if (const auto offset = w.offset.lock()) w.each = *offset - w.at_begin;
  start(numbers_);
}

void Recording::replay() {
  {
    const Scope scope(*this, Phase::renewing);
    for (const Repeated& r : repeated_) {
      cursor_ = r.first_word;
      repeating_ = true;
      r.run();
      repeating_ = false;
    }
  }
  for (const Watched& w : watched_)
    if (const auto offset = w.offset.lock()) {
      numbers_[w.word] = *offset;
      *offset += w.each;
    }
  start(numbers_);
}

void Recording::repeat(const std::function<void()>& f) {
  const bool nested = std::exchange(repeating_, true);
  if (phase_ == Phase::recording && !nested) repeated_.push_back({f, numbers_.size()});
  try {
    f();
  } catch (...) {
    repeating_ = nested;
    throw;
  }
  repeating_ = nested;
}

size_t Recording::add_word(uint64_t value) {
  check<Error>(numbers_.size() < kMostWords, "captured step: has more than ", kMostWords,
               " numbers that change; capture a smaller step");
  numbers_.push_back(value);
  return numbers_.size() - 1;
}

const void* Recording::place_bytes(const void* value, size_t bytes) {
  if (!repeating_ || phase_ == Phase::rehearsing) return nullptr;
  const size_t count = (bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t);
  if (phase_ == Phase::recording) {
    cursor_ = numbers_.size();
    for (size_t i = 0; i < count; ++i) add_word(0);
  }
  const size_t first = cursor_;
  std::memcpy(&numbers_.at(first), value, bytes);
  cursor_ += count;
  return words() + first;
}

Recording::Watched* Recording::find(const std::shared_ptr<uint64_t>& offset) {
  for (Watched& w : watched_)
    if (w.offset.lock() == offset) return &w;
  return nullptr;
}

void Recording::watch(const std::shared_ptr<uint64_t>& offset) {
  if (phase_ == Phase::recording && !find(offset))
    watched_.push_back({offset, *offset, 0, add_word(*offset)});
}

Draws Recording::from_base(Draws draws, const std::shared_ptr<uint64_t>& offset) {
  if (phase_ != Phase::recording) return draws;
  const Watched* const w = find(offset);
  return {.seed = draws.seed, .offset = draws.offset - w->at_begin, .base = words() + w->word};
}

void repeat_in_captured_step(const std::function<void()>& f) {
  if (Recording* const recording = Recording::current())
    recording->repeat(f);
  else
    f();
}

void refuse_in_captured_step(const char* op, const char* why) {
  const Recording* const recording = Recording::current();
  check<Error>(!recording || recording->phase() != Recording::Phase::recording, op,
               ": not inside a captured step: ", why);
}

}  // namespace brume
