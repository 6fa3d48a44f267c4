#pragma once
// Random numbers: counter-based Philox (default), or the stream of PyTorch's CPU generator.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <brume/core/device.h>

namespace brume {

struct RecordedDraw;
class TorchStream;

/// Where a kernel finds its numbers: element i is draw i of (seed, first()). With a `base`, a place
/// in the memory of the kernel's device, a kernel that is replayed draws anew once *base has moved.
struct Draws {
  uint64_t seed = 0, offset = 0;
  const uint64_t* base = nullptr;
  constexpr uint64_t first() const { return base ? *base + offset : offset; }
};

/// Seed and offset; every draw is a pure function of (seed, offset, element), so it is the same on
/// any device and thread count, and a checkpoint of the two integers resumes it.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0);
  /// A copy draws the same numbers as the original, on its own.
  Generator(const Generator& other);
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator other) noexcept;
  ~Generator();
  /// The numbers of torch.manual_seed(seed) on the CPU (MT19937, drawn serially).
  static Generator torch_cpu(uint64_t seed);

  /// Serves recorded draws, in order, instead of drawing: see replay.h.
  explicit Generator(std::shared_ptr<const std::vector<RecordedDraw>> recording);

  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return *offset_; }
  void set_offset(uint64_t offset) { *offset_ = offset; }
  /// Claims `n` numbers: returns the offset under which they are drawn. @throws Error on a
  /// torch_cpu generator and on one that replays
  uint64_t advance(uint64_t n);
  /// As advance(n), for a kernel of `device`; in a captured step each replay draws further ones.
  Draws claim(uint64_t n, DeviceType device);
  /// A generator of its own stream for sample `index`: depends on the seed and the index alone.
  Generator for_sample(uint64_t index) const;

  bool is_torch() const { return torch_ != nullptr; }
  /// The draws that it serves (offset() of them are gone), or null.
  const std::vector<RecordedDraw>* recording() const { return recording_.get(); }

  /// Host draws in order, from either engine.
  void fill_uniform(std::span<float> out);
  void fill_normal(std::span<float> out);
  void fill_uniform(std::span<double> out);
  void fill_normal(std::span<double> out);
  /// The standard gamma distribution. @throws ShapeError if shape < 1
  void fill_gamma(double shape, std::span<double> out);
  /// Uniform on [0, n).
  int64_t integer(int64_t n);

 private:
  uint64_t seed_ = 0;
  std::shared_ptr<uint64_t> offset_;  // of this generator alone; a captured step watches it
  std::unique_ptr<TorchStream> torch_;
  std::shared_ptr<const std::vector<RecordedDraw>> recording_;
};

/// The generator that functions use when none is given; one per thread.
Generator& default_generator();

}  // namespace brume
