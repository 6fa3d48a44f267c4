#pragma once
// What zip.cpp and zip_writer.cpp share of libzip's habits.

#include <zip.h>

#include <exception>
#include <new>
#include <string>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume::io {

/// What a source that we give to libzip remembers: its error, and the exception behind it. No
/// exception may pass libzip's frames, so it is kept and thrown again when libzip has returned.
class ZipFailure {
 public:
  ZipFailure() { zip_error_init(&error_); }
  ZipFailure(const ZipFailure&) = delete;
  ZipFailure& operator=(const ZipFailure&) = delete;
  ~ZipFailure() { zip_error_fini(&error_); }

  zip_error_t* error() { return &error_; }
  /// Runs the work of a callback; -1 if it throws.
  template <class F>
  zip_int64_t guard(F&& work) {
    try {
      return work();
    } catch (...) {
      exception_ = std::current_exception();
    }
    zip_error_set(&error_, ZIP_ER_INTERNAL, 0);
    return -1;
  }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  zip_error_t error_;
  std::exception_ptr exception_;
};

/// Raises what a call of libzip failed with: ours, if a callback threw it.
[[noreturn]] inline void throw_zip_error(const std::string& what, zip_error_t* error,
                                         const ZipFailure& failure) {
  failure.rethrow();
  if (zip_error_code_zip(error) == ZIP_ER_MEMORY) throw std::bad_alloc();
  throw FormatError(cat(what, ": ", printable(zip_error_strerror(error))));
}

}  // namespace brume::io
