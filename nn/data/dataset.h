#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <brume/core/tensor.h>

namespace brume::nn {

/// Samples of a batch. @shape x [B, ...] f32, label [B] i64 or undefined
struct Batch {
  Tensor x, label;
};

/// Samples as they are stored: x f32 and final, or bytes that stand for x * scale + shift.
struct StoredBatch {
  Tensor x, label;
  double scale = 1, shift = 0;
};
/// What it stands for, on the batch's device.
Batch final_batch(const StoredBatch& stored);

/// Labels as networks take them: rows of zeros with a one. @shape label [B] -> [B, classes] f32
/// @throws ShapeError if a label is not in [0, classes)
Tensor one_hot(const Tensor& label, int64_t classes);

/// Samples that can be read by index, by several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Number of classes; 0 if samples have no label.
  virtual int64_t classes() const { return 0; }
  virtual Batch gather(std::span<const int64_t> indices) const = 0;
  /// The same samples in whatever is smaller to carry to a device.
  virtual StoredBatch gather_stored(std::span<const int64_t> indices) const;
};

/// Class numbers lie below this: one-hot rows of more would be a mistake.
inline constexpr int64_t kMostClasses = int64_t{1} << 20;

/// Samples in memory: x * scale + shift. Bytes stay bytes until they are gathered.
class ArrayDataset : public Dataset {
 public:
  /// @shape  x [N, ...] of any dtype, labels [N] of an integer dtype or undefined
  /// @throws ShapeError if N differs, a sample is not finite, or a label is no class number
  explicit ArrayDataset(const Tensor& x, const Tensor& labels = {}, double scale = 1,
                        double shift = 0);
  int64_t size() const override { return x_.size(0); }
  int64_t classes() const override { return classes_; }
  Batch gather(std::span<const int64_t> indices) const override;
  StoredBatch gather_stored(std::span<const int64_t> indices) const override;
  const std::vector<int64_t>& labels() const { return labels_; }

 private:
  Tensor labels_of(std::span<const int64_t> indices) const;

  Tensor x_;  // row-major; f32 and final, or u8
  double scale_, shift_;
  std::vector<float> of_byte_;  // what each byte stands for, if x_ is u8
  std::vector<int64_t> labels_;
  int64_t classes_ = 0;
};

/// Every `stride`-th sample of another set (stride - 1, 2 stride - 1, ...), or all the others.
class Split : public Dataset {
 public:
  enum class Part { others, every };
  /// @throws ShapeError unless stride >= 2
  Split(std::shared_ptr<const Dataset> all, int64_t stride, Part part);
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  int64_t classes() const override { return all_->classes(); }
  Batch gather(std::span<const int64_t> indices) const override;
  StoredBatch gather_stored(std::span<const int64_t> indices) const override;

 private:
  std::vector<int64_t> chosen(std::span<const int64_t> indices) const;

  std::shared_ptr<const Dataset> all_;
  std::vector<int64_t> indices_;
};

/// The whole set as one batch.
Batch all_of(const Dataset& data);

}  // namespace brume::nn
