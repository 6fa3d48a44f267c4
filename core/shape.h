#pragma once
// Dimensions and strides, stored inline; the rules of broadcasting and of layouts.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

namespace brume {

inline constexpr int kMaxRank = 8;

/// Up to eight numbers, one per axis: a shape (sizes) or strides (in elements).
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values);
  /// `rank` equal entries.
  static Dims filled(int rank, int64_t value);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return values_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return values_[static_cast<size_t>(axis)]; }
  const int64_t* begin() const { return values_.data(); }
  const int64_t* end() const { return values_.data() + rank_; }
  int64_t* begin() { return values_.data(); }
  int64_t* end() { return values_.data() + rank_; }
  int64_t back() const { return values_[static_cast<size_t>(rank_ - 1)]; }
  void push_back(int64_t value);
  void insert(int axis, int64_t value);
  void erase(int axis);
  operator std::span<const int64_t>() const { return {values_.data(), static_cast<size_t>(rank_)}; }

  friend bool operator==(const Dims& a, const Dims& b) {
    bool equal = a.rank_ == b.rank_;
    for (int i = 0; equal && i < a.rank_; ++i) equal = a[i] == b[i];
    return equal;
  }

 private:
  std::array<int64_t, kMaxRank> values_;
  int rank_ = 0;
};

using Shape = Dims;
using Strides = Dims;

std::string to_string(const Dims& dims);  // "[8, 3, 32, 32]"
std::ostream& operator<<(std::ostream& out, const Dims& dims);

/// Product of the sizes; 1 for rank 0. @throws ShapeError on a negative size or beyond 2^59: their
/// bytes must be countable
int64_t numel(const Shape& shape);

/// Turns an axis counted from the end (-1 = last) into one from the front.
/// @throws ShapeError naming `who` if it is outside [-rank, rank)
int wrap_axis(int64_t axis, int rank, const char* who);

/// The shape both operands stretch to: axes aligned at the end, size 1 repeats.
/// @throws ShapeError naming `who` and both shapes
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who);

/// Whether `from` stretches to `to` as it is.
bool broadcasts_to(const Shape& from, const Shape& to);

/// Strides under which a tensor of `from` reads as `to` (0 along repeated axes).
Strides broadcast_strides(const Shape& from, const Strides& strides, const Shape& to);

/// Memory orders that factories make. Channels-last keeps C fastest behind logical [B, C, ...]
/// (rank 3 to 5); other ranks fall back to row-major.
enum class Layout { row_major, channels_last };

Strides dense_strides(const Shape& shape, Layout layout = Layout::row_major);

/// Row-major without gaps; axes of size 1 are ignored.
bool is_row_major(const Shape& shape, const Strides& strides);
/// Channels-last without gaps; axes of size 1 are ignored.
bool is_channels_last(const Shape& shape, const Strides& strides);
/// Some permutation of the axes is row-major without gaps.
bool is_dense(const Shape& shape, const Strides& strides);

/// Strides of a dense tensor of `shape` whose axes are ordered in memory as in `like`
/// (an axis of size 1 stays beside its neighbour in row-major order).
Strides dense_strides_like(const Shape& shape, const Strides& like);

}  // namespace brume
