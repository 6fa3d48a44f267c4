#include <brume/nn/models/song_unet_pos_embd.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// `count` numbers from `low` to `high`, both included.
double linspace(double low, double high, int64_t count, int64_t i) {
  return count == 1 ? low
                    : low + (high - low) * static_cast<double>(i) / static_cast<double>(count - 1);
}

// Frequencies of the waves of a sinusoidal grid of n of them.
double frequency(GridType type, int64_t n, int64_t i) {
  const auto k = static_cast<double>(i);
  return std::exp2(type == GridType::sinusoidal ? linspace(0, static_cast<double>(n), n, i) : k);
}

// The channel at a pixel; computed in f64 and rounded once, as in the reference.
double grid_value(GridType type, int64_t channels, const Shape& size, int64_t c, int64_t row,
                  int64_t column) {
  switch (type) {
    case GridType::linear:
      return c == 0 ? linspace(-1, 1, size[1], column) : linspace(-1, 1, size[0], row);
    case GridType::test:
      return static_cast<double>(c == 0 ? row : column);
    default:
      break;
  }
  const double turn = 2 * std::numbers::pi;
  const double angle =
      frequency(type, channels / 4, c / 4) *
      (c % 2 == 0 ? linspace(0, turn, size[1], column) : linspace(0, turn, size[0], row));
  return c % 4 < 2 ? std::sin(angle) : std::cos(angle);
}

void check_channels(GridType type, int64_t channels) {
  if (type == GridType::linear || type == GridType::test)
    check(channels == 2,
          "SongUNetPosEmbd: this gridtype has 2 channels, so N_grid_channels must be 2, got ",
          channels);
  else
    check(channels % 4 == 0,
          "SongUNetPosEmbd: N_grid_channels of a sinusoidal grid must be a multiple of 4, got ",
          channels);
}

Tensor fixed_grid(GridType type, int64_t channels, const Shape& size) {
  std::vector<float> values;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t row = 0; row < size[0]; ++row)
      for (int64_t column = 0; column < size[1]; ++column)
        values.push_back(static_cast<float>(grid_value(type, channels, size, c, row, column)));
  return from_vector(values, {channels, size[0], size[1]});
}

SongUNetPosEmbdConfig without_lead_times(SongUNetPosEmbdConfig c) {
  c.lead_time_mode = false;
  c.lead_time_channels.reset();
  return c;
}

}  // namespace

Names names_of(GridType) {
  static constexpr const char* kNames[] = {"learnable", "linear", "sinusoidal", "sinusoidal_octave",
                                           "test"};
  return kNames;
}

SongUNetPosEmbd::SongUNetPosEmbd(const Config& c) : SongUNet(c) {
  check(!c.lead_time_mode && !c.lead_time_channels,
        "SongUNetPosEmbd: has no lead times; use SongUNetPosLtEmbd");
  const Shape size(c.img_resolution.expand(2, "SongUNetPosEmbd: img_resolution"));
  check(c.N_grid_channels >= 0 && c.N_grid_channels < c.in_channels,
        "SongUNetPosEmbd: N_grid_channels must be from 0 to less than in_channels (", c.in_channels,
        "), which counts them, got ", c.N_grid_channels);
  if (c.N_grid_channels == 0) return;
  const Shape shape{c.N_grid_channels, size[0], size[1]};
  if (c.gridtype == GridType::learnable) {
    positions_ = param("pos_embd", shape, Init::normal(1));
    return;
  }
  check_channels(c.gridtype, c.N_grid_channels);
  positions_ = buffer(
      "pos_embd", shape,
      [type = c.gridtype, shape] {
        return fixed_grid(type, shape[0], {shape[1], shape[2]});
      },
      transient);
}

SongUNetPosEmbd::SongUNetPosEmbd(const Config& c, WithLeadTimes)
    : SongUNetPosEmbd(without_lead_times(c)) {
  const int64_t channels = c.lead_time_channels.value_or(0);
  check(channels > 0 && channels < c.in_channels,
        "SongUNetPosLtEmbd: lead_time_channels must be from 1 to less than in_channels (",
        c.in_channels, "), which counts them, got ", channels);
  check_range("SongUNetPosLtEmbd", "lead_time_steps", c.lead_time_steps, 1);
  const auto size = c.img_resolution.expand(2, "SongUNetPosLtEmbd: img_resolution");
  lead_times_ = param("lt_embd", {c.lead_time_steps, channels, size[0], size[1]}, Init::normal(1));
}

Tensor SongUNetPosEmbd::operator()(const Tensor& x, const Tensor& noise_labels,
                                   const Tensor& class_labels, const GridPlace& place,
                                   const Tensor& augment_labels) const {
  const auto call = [&](const Tensor& input) {
    return SongUNet::operator()(input, noise_labels, class_labels, augment_labels);
  };
  if (!positions_.defined() && !lead_times_.defined()) return call(x);
  check(x.rank() == 4, "SongUNetPosEmbd: x must be [B, C, H, W], but is ", x.shape());
  const Tensor grid = located(x.size(0), place);
  Shape wanted = x.shape();
  wanted[1] = grid.size(1);
  check(grid.shape() == wanted, "SongUNetPosEmbd: x is ", x.shape(),
        ", but its part of the grid is ", grid.shape(),
        "; pass global_index or embedding_selector for patches");
  return call(cat({x, as_dtype(grid, x)}, 1));
}

// All channels beside x for each sample. @shape [samples, channels, H, W]
Tensor SongUNetPosEmbd::grid_of_samples(int64_t samples, const Tensor& label) const {
  std::vector<Tensor> parts;
  if (positions_.defined())
    parts.push_back(expand(unsqueeze(positions_, 0), {samples, -1, -1, -1}));
  if (lead_times_.defined()) {
    check(label.defined() && label.shape() == Shape{samples},
          "SongUNetPosLtEmbd: lead_time_label must be integers [", samples, "]");
    parts.push_back(index_select(lead_times_, 0, label));
  }
  return cat(parts, 1);
}

Tensor SongUNetPosEmbd::located(int64_t batch, const GridPlace& place) const {
  const Tensor& at = place.global_index;
  if (place.embedding_selector) {
    check(!at.defined(), "SongUNetPosEmbd: global_index and embedding_selector exclude each other");
    // The selector sees one grid, so all samples share their lead time.
    Tensor label = place.lead_time_label;
    if (label.defined()) {
      check(all(eq(label, slice(label, 0, 0, 1))).item() != 0,
            "SongUNetPosLtEmbd: with an embedding_selector all samples share one lead_time_label");
      label = slice(label, 0, 0, 1);
    }
    return place.embedding_selector(select(grid_of_samples(1, label), 0, 0));
  }
  if (!at.defined()) return grid_of_samples(batch, place.lead_time_label);
  check(
      at.rank() == 4 && at.size(1) == 2 && at.size(0) > 0 && batch % at.size(0) == 0,
      "SongUNetPosEmbd: global_index must be integers [P, 2, h, w] with P patches that divide the "
      "batch of ",
      batch, ", but is ", at.shape());
  const Tensor& grid = positions_.defined() ? positions_ : lead_times_;
  const int64_t patches = at.size(0), H = grid.size(-2), W = grid.size(-1);
  for (const int64_t axis : {0, 1}) {
    const Tensor lines = select(at, 1, axis);
    const double low = min(lines).item(), high = max(lines).item();
    check(low >= 0 && high < static_cast<double>(axis == 0 ? H : W),
          "SongUNetPosEmbd: global_index has ", axis == 0 ? "rows" : "columns", " from ", low,
          " to ", high, ", but the grid has ", axis == 0 ? H : W);
  }
  const Tensor pixel = select(at, 1, 0) * static_cast<double>(W) + select(at, 1, 1);
  std::vector<Tensor> parts;
  if (positions_.defined()) {
    const int64_t channels = positions_.size(0), h = at.size(2), w = at.size(3);
    const Tensor y = index_select(reshape(positions_, {channels, H * W}), 1, reshape(pixel, {-1}));
    const Tensor each = permute(reshape(y, {channels, patches, h, w}), {1, 0, 2, 3});
    parts.push_back(reshape(expand(unsqueeze(each, 0), {batch / patches, -1, -1, -1, -1}),
                            {batch, channels, h, w}));
  }
  if (lead_times_.defined()) parts.push_back(lead_times_at(pixel, place.lead_time_label, batch));
  return cat(parts, 1);
}

// pixel [P, h, w] -> [batch, channels, h, w]
Tensor SongUNetPosEmbd::lead_times_at(const Tensor& pixel, const Tensor& label,
                                      int64_t batch) const {
  const int64_t patches = pixel.size(0), samples = batch / patches, h = pixel.size(1),
                w = pixel.size(2);
  const int64_t steps = lead_times_.size(0), channels = lead_times_.size(1),
                plane = lead_times_.size(2) * lead_times_.size(3);
  check(label.defined() && (label.shape() == Shape{samples} || label.shape() == Shape{batch}),
        "SongUNetPosLtEmbd: lead_time_label must be integers [", samples, "], one for each image, ",
        "or [", batch, "], one for each patch, but is ",
        label.defined() ? cat(label.shape()) : "missing");
  const double first = min(label).item(), last = max(label).item();
  check(first >= 0 && last < static_cast<double>(steps), "SongUNetPosLtEmbd: lead_time_label is ",
        first, " to ", last, ", but lead_time_steps is ", steps);
  // One gather among the numbers of all steps, channels and pixels: nothing is made for whole
  // images.
  const Tensor of_row = label.size(0) == batch
                            ? label
                            : reshape(expand(unsqueeze(label, 1), {samples, patches}), {batch});
  const Tensor channel = arange(0, channels, 1, {.dtype = DType::i64, .device = label.device()});
  const Tensor planes = reshape(of_row * static_cast<double>(channels), {batch, 1}) + channel;
  const Tensor at = reshape(expand(unsqueeze(pixel, 0), {samples, -1, -1, -1}), {batch, 1, h, w});
  const Tensor index = reshape(planes * static_cast<double>(plane), {batch, channels, 1, 1}) + at;
  return reshape(index_select(reshape(lead_times_, {-1}), 0, reshape(index, {-1})),
                 {batch, channels, h, w});
}

SongUNetPosLtEmbd::SongUNetPosLtEmbd(const Config& c)
    : SongUNetPosEmbd(c, WithLeadTimes()), prob_channels_(c.prob_channels) {
  for (const int64_t channel : prob_channels_)
    check(channel >= 0 && channel < c.out_channels, "SongUNetPosLtEmbd: prob_channels holds ",
          channel, ", but out_channels is ", c.out_channels);
  if (!prob_channels_.empty())
    scalar_ =
        param("scalar", {1, static_cast<int64_t>(prob_channels_.size()), 1, 1}, Init::constant(1));
}

Tensor SongUNetPosLtEmbd::operator()(const Tensor& x, const Tensor& noise_labels,
                                     const Tensor& class_labels, const GridPlace& place,
                                     const Tensor& augment_labels) const {
  const Tensor y =
      SongUNetPosEmbd::operator()(x, noise_labels, class_labels, place, augment_labels);
  if (!scalar_.defined()) return y;
  std::vector<Tensor> channels =
      split(y, std::vector<int64_t>(static_cast<size_t>(y.size(1)), 1), 1);
  const auto at = [&](int64_t channel) -> Tensor& {
    return channels[static_cast<size_t>(channel)];
  };
  std::vector<Tensor> classes;
  for (const int64_t channel : prob_channels_) classes.push_back(at(channel));
  Tensor p = cat(classes, 1) * as_dtype(scalar_, y);
  if (!training()) p = permute(softmax(permute(p, {0, 2, 3, 1})), {0, 3, 1, 2});
  for (size_t i = 0; i < prob_channels_.size(); ++i) {
    const auto k = static_cast<int64_t>(i);
    at(prob_channels_[i]) = slice(p, 1, k, k + 1);
  }
  return cat(channels, 1);
}

}  // namespace brume::nn
