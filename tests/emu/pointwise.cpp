// Every pointwise function on the emulated device against the CPU: values, gradients, gradients of
// gradients; dense, permuted, broadcast, sliced and misaligned operands; every dtype; the same bits
// in every thread order.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/math/pointwise_loops.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <tests/emu/on_device.h>

using namespace brume;
using namespace brume::cuda;

namespace {

// ---- the functions

struct Function {
  PointwiseFn fn;
  double low = -3, high = 3;
};

template <class F>
Function function() {
  static const F f = [] {
    F value{};
    constexpr double constants[] = {0.7, 1.3, -0.4};  // for every place that a functor has
    if constexpr (!std::is_empty_v<F>) std::memcpy(&value, constants, sizeof value);
    return value;
  }();
  using V = math::Vec<float, 1>;
  constexpr int arity = math::arity_of<F, V>();
  Function row{{.name = F::name,
                .id = math::AllPointwiseFns::index<F>,
                .arity = arity,
                .predicate = math::Loops<F, V, arity>::kPredicate,
                .functor = &f,
                .functor_bytes = sizeof f}};
  if constexpr (requires { F::domain; }) {
    row.low = F::domain.low;
    row.high = F::domain.high;
  }
  return row;
}

template <class... F>
std::vector<Function> functions_in(math::FnList<F...>) {
  return {function<F>()...};
}

// ---- the operands

const Shape kShape = {2, 3, 20};

struct Layout {
  Strides strides;
  int64_t offset;  // elements
};
constexpr size_t kRoom = 300;  // elements that every layout fits into

using Layouts = std::vector<Layout>;  // of the operands, used in turn

const Layout kDense{{60, 20, 1}, 0}, kMisaligned{{60, 20, 1}, 1}, kPermuted{{60, 1, 3}, 0};
const Layout kOverRows{{0, 0, 1}, 0}, kOverColumns{{3, 1, 0}, 0}, kOneValue{{0, 0, 0}, 0};
const Layout kSliced{{120, 40, 2}, 4}, kReversedAxes{{1, 2, 6}, 0};

struct Case {
  const char* name;
  Layouts inputs;
  Layout output;
};
const std::vector<Case> kCases = {
    {"dense", {kDense}, kDense},
    {"permuted", {kPermuted}, kPermuted},
    {"broadcast", {kDense, kOverRows, kOverColumns, kOneValue}, kDense},
    {"mixed", {kSliced, kMisaligned, kReversedAxes, kPermuted}, kMisaligned},
};

double random_number() {
  static uint64_t state = 0x9e3779b97f4a7c15U;
  state = state * 6364136223846793005U + 1442695040888963407U;
  return static_cast<double>(state >> 11) * 0x1p-53;
}

/// Bytes on both sides: what the CPU works on, and the same on the device.
class Operand {
 public:
  Operand(const Shape& shape, DType dtype, Layout layout, double low, double high)
      : bytes_(kRoom * 8), on_device_(bytes_.size()) {
    for (size_t i = 0; i < kRoom; ++i) {
      double value = low + (high - low) * random_number();
      if (i % 7 == 3) value = std::round(value);  // ties, and zero where it belongs to the domain
      put(dtype, i, value);
    }
    memory.from_host(on_device_, bytes_.data(), bytes_.size());
    cpu_ = {bytes_.data() + layout.offset * item_size(dtype), dtype, shape, layout.strides};
    device_ = cpu_;
    device_.data = static_cast<std::byte*>(on_device_) + layout.offset * item_size(dtype);
  }
  /// An output: 77 everywhere, so that a write beside an element shows.
  Operand(const Shape& shape, DType dtype, Layout layout) : Operand(shape, dtype, layout, 77, 77) {}

  const View& cpu() const { return cpu_; }
  const View& device() const { return device_; }
  std::vector<std::byte> bytes_of_device() const { return on_device_.values(); }
  const std::vector<std::byte>& bytes_of_cpu() const { return bytes_; }
  void clear_device() { memory.from_host(on_device_, fresh_.data(), fresh_.size()); }
  void keep_as_fresh() { fresh_ = bytes_; }

 private:
  void put(DType dtype, size_t i, double value) {
    dispatch<float, double, bf16, f16, int32_t, int64_t, uint8_t, bool>(
        dtype, "test", [&]<class T>(Type<T>) {
          T element;
          if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
            element = T(static_cast<float>(value));
          else if constexpr (std::is_same_v<T, bool>)
            element = value > 0;
          else
            element = static_cast<T>(std::is_unsigned_v<T> ? std::fabs(value) : value);
          std::memcpy(bytes_.data() + i * sizeof(T), &element, sizeof(T));
        });
  }

  std::vector<std::byte> bytes_, fresh_;
  OnDevice<std::byte> on_device_;
  View cpu_, device_;
};

double element_of(const std::vector<std::byte>& bytes, DType dtype, size_t i) {
  double value = 0;
  dispatch<float, double, bf16, f16, int32_t, int64_t, uint8_t, bool>(
      dtype, "test", [&]<class T>(Type<T>) {
        T element;
        std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
        if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
          value = static_cast<double>(static_cast<float>(element));
        else
          value = static_cast<double>(element);
      });
  return value;
}

// The bound that each result keeps: |device - CPU| <= bound * (1 + |CPU|). The CPU fuses multiply
// and add where it can; half types are rounded once at the end.
double bound(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 2e-6;
    case DType::bf16:
      return 0x1p-7;
    case DType::f16:
      return 0x1p-10;
    case DType::f64:
      return 1e-13;
    default:
      return 0;
  }
}

void compare(const std::string& what, const Operand& operand) {
  const auto device = operand.bytes_of_device();
  const auto& cpu = operand.bytes_of_cpu();
  const DType dtype = operand.cpu().dtype;
  for (size_t i = 0; i < kRoom; ++i) {
    const double a = element_of(device, dtype, i), b = element_of(cpu, dtype, i);
    if (a == b || (a != a && b != b)) continue;
    if (std::fabs(a - b) <= bound(dtype) * (1 + std::fabs(b))) continue;
    FAIL_CHECK(what, " element ", i, ": device ", a, ", CPU ", b);
    return;
  }
}

/// Runs `on_device` in every order and checks that the outputs' bits are the same.
template <class F>
void in_all_orders(const std::string& what, std::vector<Operand*> outputs, F on_device) {
  std::vector<std::vector<std::byte>> first;
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    for (Operand* output : outputs) output->clear_device();
    on_device();
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (order == kOrders[0])
        first.push_back(outputs[k]->bytes_of_device());
      else if (outputs[k]->bytes_of_device() != first[k])
        FAIL_CHECK(what, ": other bits in another order of threads");
    }
  }
}

std::vector<View> views(const std::vector<Operand>& operands, bool device) {
  std::vector<View> out;
  for (const Operand& o : operands) out.push_back(device ? o.device() : o.cpu());
  return out;
}

std::vector<Operand> inputs_of(const Function& f, const Case& c, DType dtype, double low,
                               double high) {
  std::vector<Operand> out;
  for (int k = 0; k < f.fn.arity; ++k)
    out.emplace_back(kShape, dtype, c.inputs[static_cast<size_t>(k) % c.inputs.size()], low, high);
  return out;
}

std::vector<Operand> outputs_of(int count, const Case& c, DType dtype) {
  std::vector<Operand> out;
  for (int k = 0; k < count; ++k) {
    out.emplace_back(kShape, dtype, c.output);
    out.back().keep_as_fresh();
  }
  return out;
}

std::vector<Operand*> pointers(std::vector<Operand>& operands) {
  std::vector<Operand*> out;
  for (Operand& o : operands) out.push_back(&o);
  return out;
}

void check_forward(const std::string& what, const Function& f, const Case& c, DType in, DType out) {
  const auto x = inputs_of(f, c, in, f.low, f.high);
  auto y = outputs_of(1, c, out);
  cpu_pointwise.forward(f.fn, views(x, false).data(), y[0].cpu());
  in_all_orders(what, pointers(y),
                [&] { cuda_pointwise.forward(f.fn, views(x, true).data(), y[0].device()); });
  compare(what, y[0]);
}

void check_backward(const std::string& what, const Function& f, const Case& c, DType dtype) {
  const auto x = inputs_of(f, c, dtype, f.low, f.high);
  const Operand g(kShape, dtype, kOverColumns, -2, 2);
  auto gx = outputs_of(f.fn.arity, c, dtype);
  auto cpu_gx = views(gx, false), device_gx = views(gx, true);
  if (f.fn.arity > 2) cpu_gx[1] = device_gx[1] = View{};  // one that nobody wants
  cpu_pointwise.backward(f.fn, g.cpu(), views(x, false).data(), cpu_gx.data());
  in_all_orders(what, pointers(gx), [&] {
    cuda_pointwise.backward(f.fn, g.device(), views(x, true).data(), device_gx.data());
  });
  for (const Operand& o : gx) compare(what, o);
}

void check_backward2(const std::string& what, const Function& f, const Case& c, DType dtype) {
  const auto x = inputs_of(f, c, dtype, f.low, f.high), h = inputs_of(f, c, dtype, -1, 1);
  const Operand g(kShape, dtype, kDense, -2, 2);
  auto out = outputs_of(f.fn.arity + 1, c, dtype);  // gg, gx..
  auto cpu_h = views(h, false), device_h = views(h, true);
  if (f.fn.arity > 1) cpu_h[0] = device_h[0] = View{};  // zero
  cpu_pointwise.backward2(f.fn, g.cpu(), views(x, false).data(), cpu_h.data(), out[0].cpu(),
                          views(out, false).data() + 1);
  in_all_orders(what, pointers(out), [&] {
    cuda_pointwise.backward2(f.fn, g.device(), views(x, true).data(), device_h.data(),
                             out[0].device(), views(out, true).data() + 1);
  });
  for (const Operand& o : out) compare(what, o);
}

template <class Check>
void for_all(const char* kind, std::vector<DType> dtypes, Check check) {
  for (const Function& f : functions_in(math::AllPointwiseFns{}))
    for (const Case& c : kCases)
      for (const DType dtype : dtypes)
        check(cat(kind, " of ", f.fn.name, " (function ", f.fn.id, "), ", c.name, ", ", dtype), f,
              c, dtype);
}

TEST_CASE("every pointwise function gives on the device what it gives on the CPU") {
  for_all("value", {DType::f32, DType::bf16, DType::f64},
          [](const std::string& what, const Function& f, const Case& c, DType dtype) {
            check_forward(what, f, c, dtype, f.fn.predicate ? DType::boolean : dtype);
          });
}

TEST_CASE("every pointwise function has on the device the gradient that it has on the CPU") {
  for_all("gradient", {DType::f32, DType::f16, DType::f64},
          [](const std::string& what, const Function& f, const Case& c, DType dtype) {
            if (!f.fn.predicate) check_backward(what, f, c, dtype);
          });
}

TEST_CASE("every pointwise function has on the device the second gradient of the CPU") {
  for_all("second gradient", {DType::f32, DType::f64},
          [](const std::string& what, const Function& f, const Case& c, DType dtype) {
            if (!f.fn.predicate) check_backward2(what, f, c, dtype);
          });
}

TEST_CASE("integers and truth values are read exactly, and a result may have any dtype") {
  const auto all = functions_in(math::AllPointwiseFns{});
  const Function &add = all[math::AllPointwiseFns::index<math::Add>],
                 &less = all[math::AllPointwiseFns::index<math::Less>];
  for (const Case& c : kCases)
    for (const DType in : {DType::i32, DType::i64, DType::u8, DType::boolean})
      for (const DType out : {DType::f32, DType::i32, DType::i64, DType::f16}) {
        const std::string what = cat(c.name, ", ", in, " to ", out);
        check_forward("add " + what, add, c, in, out);
        check_forward("less " + what, less, c, in, out);
      }
}

TEST_CASE("any length, from none on") {
  const Function silu = functions_in(
      math::AllPointwiseFns{})[static_cast<size_t>(math::AllPointwiseFns::index<math::Silu>)];
  for (const int64_t n : {0, 1, 3, 4, 5, 255, 1023, 1025, 4099}) {
    std::vector<float> x(static_cast<size_t>(n)), y(x.size());
    for (float& v : x) v = static_cast<float>(random_number() * 6 - 3);
    const OnDevice<float> device_x(x), device_y(x.size());
    const auto view = [&](const float* data) {
      return View{const_cast<float*>(data), DType::f32, {n}, {1}};
    };
    const View cpu_x = view(x.data()), on_x = view(device_x);
    cpu_pointwise.forward(silu.fn, &cpu_x, view(y.data()));
    cuda_pointwise.forward(silu.fn, &on_x, view(device_y));
    const auto result = device_y.values();
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, static_cast<double>(std::fabs(result[i] - y[i])));
    CHECK(worst <= 2e-6);
    if (n > 0) CHECK(result.back() == result.back());
  }
}

TEST_CASE("a function may write over its own operand") {
  const Function silu = functions_in(
      math::AllPointwiseFns{})[static_cast<size_t>(math::AllPointwiseFns::index<math::Silu>)];
  for (const auto order : kOrders) {
    const InOrder in_order(order);
    const OnDevice<float> x(std::vector<float>(1003, 2));
    const View view{x, DType::f32, {1003}, {1}};
    cuda_pointwise.forward(silu.fn, &view, view);
    for (const float v : x.values()) CHECK(v == doctest::Approx(1.7615942));
  }
}

TEST_CASE("a copy keeps values across strides and dtypes") {
  for (const DType from : kAllDTypes)
    for (const DType to : kAllDTypes)
      for (const Case& c : kCases)
        for (const Layout& layout : c.inputs) {
          const std::string what = cat("copy ", c.name, " ", from, " to ", to);
          const Operand x(kShape, from, layout, 0, 100);
          auto y = outputs_of(1, c, to);
          cpu_pointwise.copy(x.cpu(), y[0].cpu());
          in_all_orders(what, pointers(y), [&] { cuda_pointwise.copy(x.device(), y[0].device()); });
          if (y[0].bytes_of_device() != y[0].bytes_of_cpu()) FAIL_CHECK(what);
        }
}

TEST_CASE("fill writes the view and nothing beside it") {
  for (const DType dtype : kAllDTypes)
    for (const Layout& layout : {kDense, kMisaligned, kPermuted, kSliced, kReversedAxes})
      for (const double value : {0.0, 1.0, 2.5}) {
        Operand y(kShape, dtype, layout);
        cpu_pointwise.fill(value, y.cpu());
        cuda_pointwise.fill(value, y.device());
        if (y.bytes_of_device() != y.bytes_of_cpu()) FAIL_CHECK(cat("fill ", dtype, " ", value));
      }
}

TEST_CASE("a user's function says that it runs on the CPU only") {
  const OnDevice<float> x(4);
  const View view{x, DType::f32, {4}, {1}};
  const PointwiseFn fn{.name = "my_function", .arity = 1};
  CHECK_THROWS_WITH_AS(cuda_pointwise.forward(fn, &view, view),
                       "my_function: no kernel on this device, which has those of the functions in "
                       "core/math/pointwise_list.h; move the tensors to the CPU",
                       DeviceError);
}

}  // namespace
