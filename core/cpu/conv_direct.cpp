// Multiply-and-add convolutions on the tile kernels: input rows are copied, with their padding,
// into a thread's own memory; no patches are written out.

#include <algorithm>
#include <vector>

#include <brume/core/cpu/conv_correlation.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/math/ceil_div.h>

namespace brume::cpu {
namespace {

// How the work is cut. A unit is a band of rows of one result plane; a chunk of work takes some
// units and some panels of channels. Nothing here changes bits.
template <class T>
struct Bands {
  int64_t rows;                      // of a band
  int64_t bands, units;              // per plane, in all
  int64_t chunk_units, unit_chunks;  // units go several to a chunk where images are small
  int64_t panels, chunk_panels, panel_chunks;
  int64_t packed_rows, packed_columns;  // of a unit's copy of x, per plane of taps
  int64_t slot;                         // numbers in that copy

  explicit Bands(const Correlation<T>& c, int64_t band_pixels) {
    constexpr int64_t kChunkPixels = 64, kChunks = 8;
    const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
    rows = std::clamp<int64_t>(band_pixels / w.results, 1, h.results);
    rows = ceil_div(h.results, ceil_div(h.results, rows));
    bands = ceil_div(h.results, rows);
    units = c.batch * c.groups * d.results * bands;
    chunk_units = std::clamp<int64_t>(kChunkPixels / (rows * w.results), 1, units);
    unit_chunks = ceil_div(units, chunk_units);
    panels = ceil_div(c.to, gemm_isa<T>().columns);
    panel_chunks = std::min(panels, ceil_div(kChunks, unit_chunks));
    chunk_panels = ceil_div(panels, panel_chunks);
    panel_chunks = ceil_div(panels, chunk_panels);
    packed_rows = h.span(rows);
    packed_columns = w.span(w.results);
    slot = static_cast<int64_t>(d.taps.size()) * packed_rows * packed_columns * c.from;
  }
};

struct Unit {
  int64_t sample, group, depth, row, rows;
};
template <class T>
Unit unit(const Correlation<T>& c, const Bands<T>& bands, int64_t index) {
  Unit u{};
  u.row = index % bands.bands * bands.rows;
  u.rows = std::min(bands.rows, c.axis[1].results - u.row);
  index /= bands.bands;
  u.depth = index % c.axis[0].results;
  index /= c.axis[0].results;
  u.group = index % c.groups;
  u.sample = index / c.groups;
  return u;
}

// The rows that a unit reads, [taps of depth][packed_rows][packed_columns][from], zeros outside x.
template <class T>
void pack_unit(const Correlation<T>& c, const Bands<T>& bands, const Unit& u, T* out) {
  const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
  const int64_t columns = bands.packed_columns, from = c.from, row = columns * from;
  const int64_t left = std::clamp<int64_t>(-w.lowest(), 0, columns);
  const int64_t inside = std::clamp<int64_t>(c.in[2] - w.lowest(), left, columns) - left;
  const bool dense = c.x.space[2] == from;
  for (const Tap& tap : d.taps) {
    const int64_t depth = u.depth * d.step + tap.offset;
    for (int64_t r = 0; r < bands.packed_rows; ++r, out += row) {
      const int64_t y = u.row * h.step + h.lowest() + r;
      if (depth < 0 || depth >= c.in[0] || y < 0 || y >= c.in[1]) {
        std::fill_n(out, row, T(0));
        continue;
      }
      std::fill_n(out, left * from, T(0));
      std::fill(out + (left + inside) * from, out + row, T(0));
      const T* x = c.x.at(u.sample, depth, y, left + w.lowest()) + u.group * from;
      if (dense)
        std::copy_n(x, inside * from, out + left * from);
      else
        for (int64_t i = 0; i < inside; ++i)
          std::copy_n(x + i * c.x.space[2], from, out + (left + i) * from);
    }
  }
}

// How the order of taps runs through the weight's memory: 1 forwards, -1 backwards, 0 in leaps.
template <class T>
int64_t direction_of_taps(const Correlation<T>& c) {
  int64_t count = 1, way = 0;
  for (int i = 2; i >= 0; --i) {
    const std::vector<Tap>& taps = c.axis[i].taps;
    const auto size = static_cast<int64_t>(taps.size());
    const int64_t last = taps.back().entry;
    if (std::max(taps.front().entry, last) != size - 1) return 0;
    if (size == 1) continue;
    const int64_t here = last == 0 ? -1 : 1;
    if (c.w_space[i] != count || (way != 0 && way != here)) return 0;
    way = here;
    count *= size;
  }
  return way;
}

// [group][panel][tap][from][columns]
template <class T>
const T* pack_filter(const Correlation<T>& c, int64_t panels, Scratch& scratch) {
  const auto& isa = gemm_isa<T>();
  const int64_t block = c.from * isa.columns, panel = c.taps() * block;
  const int64_t way = direction_of_taps(c);
  T* out = scratch.take<T>(c.groups * panels * panel);
  parallel_chunks(c.groups * panels, [&](int64_t index) {
    const int64_t group = index / panels, j = index % panels * isa.columns;
    const T* w = c.w + group * c.w_group + j * c.w_to;
    T* to = out + index * panel;
    const int64_t columns = std::min(isa.columns, c.to - j);
    if (way != 0 && columns == isa.columns) {
      for (int64_t k = 0; k < c.from; ++k)
        isa.pack(c.taps(), columns, w + k * c.w_from, 1, c.w_to,
                 to + k * columns + (way < 0 ? (c.taps() - 1) * block : 0), way * block);
      return;
    }
    for (const Tap& d : c.axis[0].taps)
      for (const Tap& h : c.axis[1].taps)
        for (const Tap& x : c.axis[2].taps) {
          isa.pack_panels(
              c.from, columns,
              w + d.entry * c.w_space[0] + h.entry * c.w_space[1] + x.entry * c.w_space[2],
              c.w_from, c.w_to, to, 0);
          to += block;
        }
  });
  return out;
}

// Where each run of taps starts in a unit's copy of x.
template <class T>
std::vector<int64_t> segments(const Correlation<T>& c, const Bands<T>& bands, bool joined) {
  std::vector<int64_t> offsets;
  const AxisPlan &h = c.axis[1], &w = c.axis[2];
  for (size_t d = 0; d < c.axis[0].taps.size(); ++d)
    for (const Tap& y : h.taps)
      for (size_t x = 0; x < (joined ? 1 : w.taps.size()); ++x)
        offsets.push_back(((static_cast<int64_t>(d) * bands.packed_rows + y.offset - h.lowest()) *
                               bands.packed_columns +
                           w.taps[x].offset - w.lowest()) *
                          c.from);
  return offsets;
}

template <class T>
void correlate(const Correlation<T>& c) {
  const auto& isa = gemm_isa<T>();
  const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
  constexpr int64_t kBandPixels = 224;
  const Bands<T> bands(c, kBandPixels);
  Scratch shared;
  const T* filter = pack_filter(c, bands.panels, shared);
  const bool joined = w.adjacent();
  const std::vector<int64_t> offsets = segments(c, bands, joined);

  Product<T> p{};
  p.m = w.results;
  p.segments = static_cast<int64_t>(offsets.size());
  p.length = joined ? static_cast<int64_t>(w.taps.size()) * c.from : c.from;
  p.a_row = w.step * c.from;
  p.a_k = 1;
  p.a_segment = offsets.data();
  p.b_panel = c.taps() * c.from * isa.columns;
  p.b_k = isa.columns;
  p.c_row = c.y.space[2] * w.every;
  const ConvTerms<T>& terms = c.terms;
  const bool plain =
      !terms.bias && !terms.per_sample && !terms.residual.data && terms.scale == T(1);
  // Narrow images leave room for more panels side by side.
  const int64_t side = w.results <= 6 ? bands.chunk_panels : 1;

  parallel_chunks(bands.unit_chunks * bands.panel_chunks, [&](int64_t chunk) {
    const int64_t first = chunk / bands.panel_chunks * bands.chunk_units;
    const int64_t count = std::min(bands.chunk_units, bands.units - first);
    const int64_t panel0 = chunk % bands.panel_chunks * bands.chunk_panels;
    const int64_t panel1 = std::min(panel0 + bands.chunk_panels, bands.panels);
    Scratch scratch;
    T* packed = scratch.take<T>(count * bands.slot);
    T* shift = terms.per_sample ? scratch.take<T>(isa.columns * side) : nullptr;
    for (int64_t i = 0; i < count; ++i)
      pack_unit(c, bands, unit(c, bands, first + i), packed + i * bands.slot);
    for (int64_t panel = panel0; panel < panel1; panel += side) {
      const int64_t j = panel * isa.columns;
      Product<T> q = p;
      q.n = std::min(std::min(panel1 - panel, side) * isa.columns, c.to - j);
      for (int64_t i = 0; i < count; ++i) {
        const Unit u = unit(c, bands, first + i);
        const int64_t channel = u.group * c.to + j;
        q.b = filter + u.group * bands.panels * p.b_panel + panel * p.b_panel;
        Epilogue<T> e{shift_of(terms, u.sample, channel, q.n, shift), nullptr,
                      terms.residual.space[2] * w.every, terms.scale};
        q.epilogue = plain ? nullptr : &e;
        for (int64_t r = 0; r < u.rows; ++r) {
          const int64_t depth = d.first + u.depth * d.every;
          const int64_t row = h.first + (u.row + r) * h.every;
          q.a = packed + i * bands.slot + r * h.step * bands.packed_columns * c.from;
          q.c = c.y.at(u.sample, depth, row, w.first) + channel;
          if (terms.residual.data)
            e.residual = terms.residual.at(u.sample, depth, row, w.first) + channel;
          isa.multiply(q);
        }
      }
    }
  });
}

// Results of few channels would leave most of a vector empty: pixels lie along it instead.
template <class T>
bool is_narrow(const Correlation<T>& c) {
  const AxisPlan &h = c.axis[1], &w = c.axis[2];
  return 4 * c.to <= gemm_isa<T>().columns && h.step == 1 && h.adjacent() && w.step == 1;
}

// Row `row` of x as the taps of the width read it, turned: [from][packed_columns].
template <class T>
void turn_row(const Correlation<T>& c, const Bands<T>& bands, const T* row, T* out) {
  const AxisPlan& w = c.axis[2];
  const int64_t columns = bands.packed_columns;
  const int64_t left = std::clamp<int64_t>(-w.lowest(), 0, columns);
  const int64_t inside = std::clamp<int64_t>(c.in[2] - w.lowest(), left, columns) - left;
  for (int64_t i = 0; i < columns - inside; ++i)
    for (int64_t k = 0; k < c.from; ++k) out[k * columns + (i < left ? i : i + inside)] = 0;
  gemm_isa<T>().pack(c.from, inside, row + (left + w.lowest()) * c.x.space[2], 1, c.x.space[2],
                     out + left, columns);
}

// Sums [rows][to][width] of a unit to y.
template <class T>
void write_rows(const Correlation<T>& c, const Unit& u, const T* sums) {
  const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
  const ConvTerms<T>& t = c.terms;
  const int64_t channel = u.group * c.to, depth = d.first + u.depth * d.every;
  Scratch scratch;
  const T* shift = shift_of(t, u.sample, channel, c.to, scratch.take<T>(c.to));
  for (int64_t r = 0; r < u.rows; ++r)
    for (int64_t k = 0; k < c.to; ++k, sums += w.results) {
      const int64_t row = h.first + (u.row + r) * h.every;
      const T add = shift ? shift[k] : T(0);
      T* y = c.y.at(u.sample, depth, row, w.first) + channel + k;
      const T* residual =
          t.residual.data ? t.residual.at(u.sample, depth, row, w.first) + channel + k : nullptr;
      for (int64_t i = 0; i < w.results; ++i) {
        T v = sums[i] + add;
        if (residual) v += residual[i * w.every * t.residual.space[2]];
        y[i * w.every * c.y.space[2]] = v * t.scale;
      }
    }
}

// [group][taps of depth][taps of height, last first][to][taps of width][from]
template <class T>
const T* filter_rows(const Correlation<T>& c, Scratch& scratch) {
  const auto &h = c.axis[1].taps, &w = c.axis[2].taps;
  T* out = scratch.take<T>(c.groups * c.to * c.taps() * c.from);
  T* at = out;
  for (int64_t group = 0; group < c.groups; ++group)
    for (const Tap& d : c.axis[0].taps)
      for (size_t i = h.size(); i-- > 0;)
        for (int64_t j = 0; j < c.to; ++j)
          for (const Tap& x : w) {
            const T* from = c.w + group * c.w_group + j * c.w_to + d.entry * c.w_space[0] +
                            h[i].entry * c.w_space[1] + x.entry * c.w_space[2];
            for (int64_t k = 0; k < c.from; ++k) *at++ = from[k * c.w_from];
          }
  return out;
}

// Adds what one turned row of x contributes to the band's sums [rows][to][width]: the rows that its
// taps reach follow each other, so one product serves all of them.
template <class T>
void add_row(const Correlation<T>& c, const Unit& u, int64_t row, const T* filter, Product<T> p,
             T* sums) {
  const AxisPlan& h = c.axis[1];
  // Result r reads x's row r + offset: the last tap belongs to the first result.
  const int64_t first = row - h.taps.back().offset - u.row;
  const int64_t begin = std::max<int64_t>(first, 0);
  const int64_t end = std::min(first + static_cast<int64_t>(h.taps.size()), u.rows);
  if (begin >= end) return;
  p.m = (end - begin) * c.to;
  p.a = filter + (begin - first) * c.to * p.a_row;
  p.c = sums + begin * c.to * p.c_row;
  gemm_isa<T>().multiply(p);
}

template <class T>
void correlate_narrow(const Correlation<T>& c) {
  constexpr int64_t kBandPixels = 512;
  const AxisPlan &d = c.axis[0], &h = c.axis[1], &w = c.axis[2];
  const Bands<T> bands(c, kBandPixels);
  Scratch shared;
  const T* filter = filter_rows(c, shared);
  std::vector<int64_t> a_segment, b_segment;
  for (const Tap& tap : w.taps) {
    a_segment.push_back(static_cast<int64_t>(a_segment.size()) * c.from);
    b_segment.push_back(tap.offset - w.lowest());
  }
  Product<T> p{};
  p.n = c.axis[2].results;
  p.segments = static_cast<int64_t>(w.taps.size());
  p.length = c.from;
  p.a_row = p.segments * c.from;
  p.a_k = 1;
  p.a_segment = a_segment.data();
  p.b_panel = gemm_isa<T>().columns;
  p.b_k = bands.packed_columns;
  p.b_segment = b_segment.data();
  p.c_row = w.results;
  p.accumulate = true;
  const int64_t depth_filter = static_cast<int64_t>(h.taps.size()) * c.to * p.a_row;
  parallel_chunks(bands.units, [&](int64_t index) {
    const Unit u = unit(c, bands, index);
    Scratch scratch;
    // The last vector reaches behind the last channel.
    const int64_t turned_size = c.from * bands.packed_columns;
    T* turned = scratch.take<T>(turned_size + p.b_panel);
    std::fill_n(turned + turned_size, p.b_panel, T(0));
    T* sums = scratch.take<T>(u.rows * c.to * w.results);
    std::fill_n(sums, u.rows * c.to * w.results, T(0));
    Product<T> q = p;
    q.b = turned;
    const T* taps = filter + u.group * static_cast<int64_t>(d.taps.size()) * depth_filter;
    for (size_t i = 0; i < d.taps.size(); ++i) {
      const int64_t depth = u.depth * d.step + d.taps[i].offset;
      if (depth < 0 || depth >= c.in[0]) continue;
      for (int64_t r = 0; r < bands.packed_rows; ++r) {
        const int64_t row = u.row + h.lowest() + r;
        if (row < 0 || row >= c.in[1]) continue;
        turn_row(c, bands, c.x.at(u.sample, depth, row, 0) + u.group * c.from, turned);
        add_row(c, u, row, taps + static_cast<int64_t>(i) * depth_filter, q, sums);
      }
    }
    write_rows(c, u, sums);
  });
}

// Entries that no tap reaches.
template <class T>
void without_taps(const Correlation<T>& c) {
  const ConvTerms<T>& t = c.terms;
  const int64_t channels = c.groups * c.to;
  Scratch scratch;
  T* sums = scratch.take<T>(channels);
  for (int64_t b = 0; b < c.batch; ++b) {
    const T* shift = shift_of(t, b, 0, channels, sums);
    for (int64_t i = 0; i < c.axis[0].results; ++i)
      for (int64_t j = 0; j < c.axis[1].results; ++j)
        for (int64_t k = 0; k < c.axis[2].results; ++k) {
          const int64_t d = c.axis[0].first + i * c.axis[0].every;
          const int64_t h = c.axis[1].first + j * c.axis[1].every;
          const int64_t w = c.axis[2].first + k * c.axis[2].every;
          T* y = c.y.at(b, d, h, w);
          const T* residual = t.residual.data ? t.residual.at(b, d, h, w) : nullptr;
          for (int64_t n = 0; n < channels; ++n) {
            T v = shift ? shift[n] : T(0);
            if (residual) v += residual[n];
            y[n] = v * t.scale;
          }
        }
  }
}

template <class T>
void compute(const Correlation<T>& c) {
  if (c.to == 0) return;
  if (c.taps() == 0 || c.from == 0) return without_taps(c);
  if (c.from == 1 && c.to == 1 && c.groups > 1) return correlate_depthwise(c);
  is_narrow(c) ? correlate_narrow(c) : correlate(c);
}

}  // namespace

template <class T>
void direct_forward(const ConvShape& s, const Image<const T>& x, const Filter<T>& w,
                    const ConvTerms<T>& terms, const Image<T>& y) {
  Correlation<T> c{s.batch, s.groups, s.ci, s.co, s.in, {},    x,
                   w.data,  w.group,  w.co, w.ci, {},   terms, y};
  std::copy_n(w.space, 3, c.w_space);
  for (int i = 0; i < 3; ++i) c.axis[i] = forward_axis(s, i);
  if (s.batch * s.pixels() == 0) return;
  compute(c);
}

template <class T>
void direct_input_gradient(const ConvShape& s, const Image<const T>& gy, const Filter<T>& w,
                           const ConvTerms<T>& terms, const Image<T>& gx) {
  Correlation<T> c{s.batch, s.groups, s.co, s.ci, s.out, {},    gy,
                   w.data,  w.group,  w.ci, w.co, {},    terms, gx};
  std::copy_n(w.space, 3, c.w_space);
  const int64_t* stride = s.stride;
  for (int64_t phase = 0; phase < stride[0] * stride[1] * stride[2]; ++phase) {
    c.axis[0] = gradient_axis(s, 0, phase / (stride[1] * stride[2]));
    c.axis[1] = gradient_axis(s, 1, phase / stride[2] % stride[1]);
    c.axis[2] = gradient_axis(s, 2, phase % stride[2]);
    if (c.axis[0].results <= 0 || c.axis[1].results <= 0 || c.axis[2].results <= 0) continue;
    if (s.batch == 0) continue;
    compute(c);
  }
}

template void direct_forward(const ConvShape&, const Image<const float>&, const Filter<float>&,
                             const ConvTerms<float>&, const Image<float>&);
template void direct_forward(const ConvShape&, const Image<const double>&, const Filter<double>&,
                             const ConvTerms<double>&, const Image<double>&);
template void direct_input_gradient(const ConvShape&, const Image<const float>&,
                                    const Filter<float>&, const ConvTerms<float>&,
                                    const Image<float>&);
template void direct_input_gradient(const ConvShape&, const Image<const double>&,
                                    const Filter<double>&, const ConvTerms<double>&,
                                    const Image<double>&);

}  // namespace brume::cpu
