#include <brume/nn/data/dataset.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>

namespace brume::nn {
Batch final_batch(const StoredBatch& stored) {
  const NoGrad no_grad;
  if (stored.x.dtype() == DType::f32) return {.x = stored.x, .label = stored.label};
  return {.x = convert(stored.x, DType::f32) * stored.scale + stored.shift, .label = stored.label};
}

Tensor one_hot(const Tensor& label, int64_t classes) {
  const std::vector<int64_t> labels = label.to_vector<int64_t>();
  const auto count = static_cast<int64_t>(labels.size());
  std::vector<float> rows(static_cast<size_t>(numel({count, classes})), 0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t c = labels[static_cast<size_t>(i)];
    check(c >= 0 && c < classes, "one_hot: class ", c, " is not one of 0 to ", classes - 1);
    rows[static_cast<size_t>(i * classes + c)] = 1;
  }
  return from_vector(rows, {count, classes});
}

StoredBatch Dataset::gather_stored(std::span<const int64_t> indices) const {
  const Batch batch = gather(indices);
  return {.x = relayout(batch.x, Layout::row_major), .label = batch.label};
}

ArrayDataset::ArrayDataset(const Tensor& x, const Tensor& labels, double scale, double shift)
    : scale_(scale), shift_(shift) {
  check(x.rank() >= 1, "ArrayDataset: wants samples of shape [N, ...], got ", x.shape());
  const NoGrad no_grad;
  const auto final_values = [&](const Tensor& raw) {
    const Tensor f = convert(raw, DType::f32) * scale + shift;
    check(f.numel() == 0 || all(isfinite(f)).item() != 0,
          "ArrayDataset: the samples, times the scale ", scale, " plus the shift ", shift,
          ", hold values that are not finite in f32; clean the data, or choose others");
    return f;
  };
  if (x.dtype() == DType::u8) {
    x_ = empty(x.shape(), {.dtype = DType::u8});
    copy_(x_, transfer(x, kCpu));
    of_byte_ = final_values(arange(0, 256)).to_vector<float>();
  } else {
    x_ = relayout(final_values(x), Layout::row_major);
  }
  if (!labels.defined()) return;
  check(labels.shape() == Shape{x.size(0)}, "ArrayDataset: ", x.size(0),
        " samples want labels of shape [N], got ", labels.shape());
  check<DTypeError>(!is_floating(labels.dtype()), "ArrayDataset: labels are integers, got ",
                    labels.dtype());
  labels_ = labels.to_vector<int64_t>();
  for (int64_t label : labels_) {
    check(label >= 0 && label < kMostClasses, "ArrayDataset: labels are class numbers from 0 to ",
          kMostClasses - 1, ", got ", label);
    classes_ = std::max(classes_, label + 1);
  }
}

Batch ArrayDataset::gather(std::span<const int64_t> indices) const {
  Shape shape = x_.shape();
  const int64_t each = shape[0] == 0 ? 0 : x_.numel() / shape[0];
  shape[0] = static_cast<int64_t>(indices.size());
  Batch batch{.x = empty(shape), .label = {}};
  float* to = batch.x.host<float>().data();
  for (int64_t index : indices) {
    check(index >= 0 && index < size(), "ArrayDataset: sample ", index, " of ", size());
    if (of_byte_.empty()) {
      const float* from = x_.host<const float>().data() + index * each;
      std::memcpy(to, from, static_cast<size_t>(each) * sizeof(float));
    } else {
      const uint8_t* from = x_.host<const uint8_t>().data() + index * each;
      for (int64_t i = 0; i < each; ++i) to[i] = of_byte_[from[i]];
    }
    to += each;
  }
  batch.label = labels_of(indices);
  return batch;
}

StoredBatch ArrayDataset::gather_stored(std::span<const int64_t> indices) const {
  if (of_byte_.empty()) return Dataset::gather_stored(indices);
  Shape shape = x_.shape();
  const auto each = static_cast<size_t>(shape[0] == 0 ? 0 : x_.numel() / shape[0]);
  shape[0] = static_cast<int64_t>(indices.size());
  const Tensor bytes = empty(shape, {.dtype = DType::u8});
  uint8_t* to = bytes.host<uint8_t>().data();
  for (int64_t index : indices) {
    check(index >= 0 && index < size(), "ArrayDataset: sample ", index, " of ", size());
    std::memcpy(to, x_.host<const uint8_t>().data() + static_cast<size_t>(index) * each, each);
    to += each;
  }
  return {.x = bytes, .label = labels_of(indices), .scale = scale_, .shift = shift_};
}

Tensor ArrayDataset::labels_of(std::span<const int64_t> indices) const {
  if (labels_.empty()) return {};
  std::vector<int64_t> labels;
  for (int64_t index : indices) labels.push_back(labels_[static_cast<size_t>(index)]);
  return from_vector(labels, {static_cast<int64_t>(labels.size())});
}

Split::Split(std::shared_ptr<const Dataset> all, int64_t stride, Part part) : all_(std::move(all)) {
  check(stride >= 2, "Split: wants a stride of at least 2, got ", stride);
  for (int64_t i = 0; i < all_->size(); ++i)
    if ((i % stride == stride - 1) == (part == Part::every)) indices_.push_back(i);
}

std::vector<int64_t> Split::chosen(std::span<const int64_t> indices) const {
  std::vector<int64_t> out;
  for (int64_t index : indices) {
    check(index >= 0 && index < size(), "Split: sample ", index, " of ", size());
    out.push_back(indices_[static_cast<size_t>(index)]);
  }
  return out;
}

Batch Split::gather(std::span<const int64_t> indices) const {
  return all_->gather(chosen(indices));
}
StoredBatch Split::gather_stored(std::span<const int64_t> indices) const {
  return all_->gather_stored(chosen(indices));
}

Batch all_of(const Dataset& data) {
  std::vector<int64_t> indices(static_cast<size_t>(data.size()));
  std::iota(indices.begin(), indices.end(), 0);
  return data.gather(indices);
}

}  // namespace brume::nn
