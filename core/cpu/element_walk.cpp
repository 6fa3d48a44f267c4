#include <brume/core/cpu/element_walk.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include <brume/core/cpu/conversions.h>
#include <brume/core/cpu/element.h>
#include <brume/core/cpu/isa.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/simd.h>
#include <brume/core/kernels/pointwise_blocks.h>

namespace brume::cpu {

BRUME_ISA_TABLE(ConversionTable, conversion_table)

Position::Position(const Walk& walk, int64_t element) {
  for (int i = walk.rank - 1; i >= 0; --i) {
    at[i] = element % walk.sizes[i];
    element /= walk.sizes[i];
  }
}

void Position::advance(const Walk& walk, int64_t elements) {
  for (int i = walk.rank - 1; i >= 0 && elements > 0; --i) {
    const int64_t next = at[i] + elements;
    if (next < walk.sizes[i]) {
      at[i] = next;
      return;
    }
    at[i] = next % walk.sizes[i];
    elements = next / walk.sizes[i];
  }
}

int64_t Position::offset(const Walk& walk, int view) const {
  int64_t sum = 0;
  for (int i = 0; i < walk.rank; ++i) sum += at[i] * walk.strides[view][i];
  return sum;
}

int64_t Position::left_in_row(const Walk& walk) const {
  return walk.rank == 0 ? 1 : walk.sizes[walk.rank - 1] - at[walk.rank - 1];
}

namespace {

// A row at least this long is cut into blocks of its own, which need no copy where it lies
// contiguous; blocks of shorter rows span many and are gathered.
constexpr int64_t kLongRow = 256;

template <class S>
const Conversions* vectors_of() {
  if constexpr (std::is_same_v<S, bf16>) return &conversion_table().bf16;
  if constexpr (std::is_same_v<S, f16>) return &conversion_table().f16;
  if constexpr (std::is_same_v<S, uint8_t>) return &conversion_table().u8;
  if constexpr (std::is_same_v<S, bool>) return &conversion_table().boolean;
  return nullptr;
}

// Rows of a tensor of S from and to contiguous T. `to` may be written up to the next kBlockStep.
template <class T, class S>
void load_row(const void* from, int64_t stride, int64_t n, T* to) {
  const S* x = static_cast<const S*>(from);
  if (stride == 0) {
    using V = math::Wide<T>;
    const V value(number<T>(*x));
    for (int64_t i = 0; i < n; i += V::kLanes) value.store(to + i);
  } else if (stride == 1 && std::is_same_v<S, T>) {
    std::memcpy(to, x, static_cast<size_t>(n) * sizeof(T));
  } else if (const Conversions* vectors = vectors_of<S>();
             vectors && stride == 1 && std::is_same_v<T, float>) {
    vectors->to_f32(from, n, reinterpret_cast<float*>(to));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = number<T>(x[i * stride]);
  }
}
template <class T, class S>
void store_row(const T* from, void* to, int64_t stride, int64_t n) {
  S* y = static_cast<S*>(to);
  if (const Conversions* vectors = vectors_of<S>();
      vectors && stride == 1 && std::is_same_v<T, float>)
    vectors->from_f32(reinterpret_cast<const float*>(from), n, to);
  else
    for (int64_t i = 0; i < n; ++i) y[i * stride] = element<S>(from[i]);
}

template <class T>
struct Conversion {
  void (*load)(const void* from, int64_t stride, int64_t n, T* to);
  void (*store)(const T* from, void* to, int64_t stride, int64_t n);
};
template <class T>
constexpr Conversion<T> kConversions[] = {  // by DType
    {load_row<T, float>, store_row<T, float>},     {load_row<T, double>, store_row<T, double>},
    {load_row<T, bf16>, store_row<T, bf16>},       {load_row<T, f16>, store_row<T, f16>},
    {load_row<T, int32_t>, store_row<T, int32_t>}, {load_row<T, int64_t>, store_row<T, int64_t>},
    {load_row<T, uint8_t>, store_row<T, uint8_t>}, {load_row<T, bool>, store_row<T, bool>}};

// One view during a walk: where its current block is, and a buffer for blocks that must be copied.
template <class T>
class Operand {
 public:
  void bind(const Walk& walk, int index, const View* view, bool is_output, T* buffer) {
    walk_ = &walk;
    index_ = index;
    is_output_ = is_output;
    buffer_ = buffer;
    data_ = present(view) ? view->as<std::byte>() : nullptr;
    dtype_ = data_ ? view->dtype : dtype_of<T>;
    repeated_ = nullptr;
    repeating_axes_ = walk.rank > 0 ? 1 : 0;
    while (repeating_axes_ < walk.rank && walk.strides[index][walk.rank - 1 - repeating_axes_] == 0)
      ++repeating_axes_;
    if (!data_ && !is_output) std::fill(buffer_, buffer_ + kBlock, T(0));
  }

  T* block(const Position& position, int64_t n) {
    if (!data_) return buffer_;
    std::byte* first = at(position);
    const int64_t stride = walk_->inner_stride(index_);
    const bool in_row = n <= position.left_in_row(*walk_);
    const bool contiguous = walk_->linear[index_] || (in_row && stride == 1);
    if (n >= kBlockStep && dtype_ == dtype_of<T> && contiguous) return reinterpret_cast<T*>(first);
    if (is_output_) return buffer_;
    if (n <= left_of_repetition(position)) {  // the same again?
      if (first == repeated_ && n <= repeats_) return buffer_;
      repeated_ = first;
      repeats_ = n;
    } else {
      repeated_ = nullptr;
    }
    each_row(position, n, [&](std::byte* row, int64_t row_stride, int64_t done, int64_t length) {
      conversion().load(row, row_stride, length, buffer_ + done);
    });
    for (int64_t i = n; i < kBlockStep; ++i) buffer_[i] = buffer_[0];
    return buffer_;
  }

  /// Puts a block that went to the buffer where it belongs.
  void write_back(const Position& position, int64_t n, const T* block) {
    if (!data_ || block != buffer_) return;
    each_row(position, n, [&](std::byte* row, int64_t row_stride, int64_t done, int64_t length) {
      conversion().store(buffer_ + done, row, row_stride, length);
    });
  }

 private:
  template <class F>
  void each_row(Position position, int64_t n, F&& f) {
    const bool linear = walk_->linear[index_];
    for (int64_t done = 0; done < n;) {
      const int64_t length = linear ? n : std::min(n - done, position.left_in_row(*walk_));
      f(at(position), linear ? 1 : walk_->inner_stride(index_), done, length);
      done += length;
      if (done < n) position.advance(*walk_, length);
    }
  }

  // Elements ahead in which only the innermost axis moves: blocks there that start at one address
  // are equal.
  int64_t left_of_repetition(const Position& position) const {
    int64_t size = 1, done = 0;
    for (int i = walk_->rank - 1; i >= walk_->rank - repeating_axes_; --i) {
      done += position.at[i] * size;
      size *= walk_->sizes[i];
    }
    return size - done;
  }
  std::byte* at(const Position& position) const {
    return data_ + position.offset(*walk_, index_) * item_size(dtype_);
  }
  const Conversion<T>& conversion() const { return kConversions<T>[static_cast<int>(dtype_)]; }

  const Walk* walk_;
  int index_;
  std::byte* data_;
  DType dtype_;
  bool is_output_;
  T* buffer_;
  int repeating_axes_;         // the innermost, and those outside it that do not move
  const std::byte* repeated_;  // where the buffer's content starts, and how much of it there is
  int64_t repeats_;
};

// Elements of whole rows and whole vectors, so that a row which repeats need not be gathered again.
int64_t block_of_rows(int64_t row) {
  const int64_t unit = std::lcm(row, kBlockStep);
  return unit <= kBlock ? kBlock / unit * unit : kBlock;
}

template <class T>
bool all_flat(std::span<const View* const> views, const View& order) {
  for (const View* view : views)
    if (!present(view) || view->dtype != dtype_of<T> || !(view->strides == order.strides))
      return false;
  return is_dense(order.shape, order.strides);
}

// The usual case: the same element type and the same dense layout everywhere, so that only a tail
// shorter than kBlockStep must be copied.
template <class T>
void walk_flat(std::span<const View* const> views, size_t outputs, int64_t elements,
               void (*body)(const void*, int64_t, T* const*), const void* context) {
  parallel_for(elements, kWalkGrain, [&](int64_t begin, int64_t end) {
    T* p[Walk::kMaxViews];
    for (size_t k = 0; k < views.size(); ++k) p[k] = views[k]->as<T>() + begin;
    const int64_t tail = (end - begin) % kBlockStep, whole = end - begin - tail;
    if (whole > 0) body(context, whole, p);
    if (tail == 0) return;
    alignas(64) T buffers[Walk::kMaxViews][kBlockStep];
    for (size_t k = 0; k < views.size(); ++k) {
      const T* from = p[k] + whole;
      p[k] = buffers[k];
      if (k >= views.size() - outputs) continue;
      load_row<T, T>(from, 0, kBlockStep, p[k]);
      for (int64_t i = 1; i < tail; ++i) p[k][i] = from[i];
    }
    body(context, kBlockStep, p);
    for (size_t k = views.size() - outputs; k < views.size(); ++k)
      std::copy(buffers[k], buffers[k] + tail, views[k]->as<T>() + begin + whole);
  });
}

}  // namespace

template <class T>
void walk_blocks(std::span<const View* const> views, int outputs, const View& order,
                 void (*body)(const void*, int64_t, T* const*), const void* context) {
  if (all_flat<T>(views, order))
    return walk_flat<T>(views, static_cast<size_t>(outputs), numel(order.shape), body, context);
  const Walk walk(views, order);
  if (walk.count == 0) return;
  const int count = static_cast<int>(views.size()), inputs = count - outputs;
  const bool long_rows = walk.inner_size() >= kLongRow;
  const int64_t block = long_rows ? kBlock : block_of_rows(walk.inner_size());
  parallel_for(walk.count, block * (kWalkGrain / kBlock), [&](int64_t begin, int64_t end) {
    alignas(64) T buffers[Walk::kMaxViews][kBlock];
    Operand<T> operands[Walk::kMaxViews];
    T* p[Walk::kMaxViews];
    for (int k = 0; k < count; ++k)
      operands[k].bind(walk, k, views[static_cast<size_t>(k)], k >= inputs, buffers[k]);
    Position position(walk, begin);
    for (int64_t i = begin; i < end;) {
      int64_t n = std::min(block, end - i);
      if (long_rows) n = std::min(n, position.left_in_row(walk));
      if (n > kBlockStep) n -= n % kBlockStep;  // what is left follows as a block of its own
      for (int k = 0; k < count; ++k) p[k] = operands[k].block(position, n);
      body(context, std::max(n, kBlockStep), p);
      for (int k = inputs; k < count; ++k) operands[k].write_back(position, n, p[k]);
      position.advance(walk, n);
      i += n;
    }
  });
}

template void walk_blocks(std::span<const View* const>, int, const View&,
                          void (*)(const void*, int64_t, float* const*), const void*);
template void walk_blocks(std::span<const View* const>, int, const View&,
                          void (*)(const void*, int64_t, double* const*), const void*);

}  // namespace brume::cpu
