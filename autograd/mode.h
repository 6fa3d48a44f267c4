#pragma once
// Whether operations record, per thread, as scope guards.

namespace brume {

bool grad_enabled();

namespace detail {
bool exchange_grad_enabled(bool on);
}

/// Nothing is recorded on this thread while it lives.
class NoGrad {
 public:
  NoGrad() : before_(detail::exchange_grad_enabled(false)) {}
  ~NoGrad() { detail::exchange_grad_enabled(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

/// Recording is on again inside a NoGrad scope (guidance needs it).
class EnableGrad {
 public:
  EnableGrad() : before_(detail::exchange_grad_enabled(true)) {}
  ~EnableGrad() { detail::exchange_grad_enabled(before_); }
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool before_;
};

}  // namespace brume
