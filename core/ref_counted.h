#pragma once
// Intrusive reference counting: one pointer per handle, the count beside the object.

#include <atomic>
#include <cstdint>
#include <utility>

namespace brume {

class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  /// True when this was the last handle.
  bool release() const { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  int32_t use_count() const { return count_.load(std::memory_order_acquire); }

 protected:
  ~RefCounted() = default;

 private:
  mutable std::atomic<int32_t> count_{0};
};

/// What the last handle does. A type whose teardown could nest deeply overloads it.
template <class T>
void dispose(T* object) {
  delete object;
}

/// Handle to a RefCounted T.
template <class T>
class Counted {
 public:
  Counted() = default;
  Counted(std::nullptr_t) {}
  explicit Counted(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Counted(const Counted& other) : Counted(other.object_) {}
  Counted(Counted&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Counted& operator=(Counted other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Counted() {
    if (object_ && object_->release()) dispose(object_);
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  friend bool operator==(const Counted& a, const Counted& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

}  // namespace brume
