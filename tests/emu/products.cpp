// Products of matrices through the public interface, whatever multiplies them.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include <brume/core/backend.h>
#include <brume/core/f32_mode.h>
#include <brume/core/tensor.h>
#include <brume/cuda/lib/conv_library.h>
#include <brume/cuda/lib/fft_library.h>
#include <brume/cuda/lib/gemm_library.h>

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

/// `count` whole numbers of a dtype, on a device.
Tensor whole_numbers(int64_t count, DType dtype, Device device) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i * 7 % 9 - 4));
  return convert(from_vector(values, {count}, device), dtype);
}

struct Lying {
  int64_t offset;
  Strides a, b;  // of [2, 8, 16] and [2, 16, 24]
};

std::vector<double> product(const Lying& lying, DType dtype, Device device) {
  const Tensor numbers = whole_numbers(2000, dtype, device);
  const Tensor a = alias(numbers, {2, 8, 16}, lying.a, lying.offset);
  const Tensor b = alias(numbers, {2, 16, 24}, lying.b, lying.offset);
  const Tensor bias = alias(numbers, {24}, {1}, lying.offset + 3);
  const Tensor residual = alias(numbers, {2, 8, 24}, {200, 24, 1}, lying.offset);
  const Tensor c = empty({2, 8, 24}, {.dtype = dtype, .device = device});
  const GemmKernels& gemm = backend(device.type).gemm;
  gemm.matmul(a.view(), b.view(), {.bias = bias.view()}, c.view());
  std::vector<double> all = c.to_vector<double>();
  gemm.matmul(a.view(), b.view(), {.residual = residual.view(), .scale = 0.5}, c.view());
  const std::vector<double> scaled = c.to_vector<double>();
  all.insert(all.end(), scaled.begin(), scaled.end());
  return all;
}

TEST_CASE("products are those of the CPU wherever and however operands lie") {
  const Lying lyings[] = {
      {0, {128, 16, 1}, {384, 24, 1}},  // whole chunks
      {0, {128, 1, 8}, {384, 1, 16}},   // transposed
      {1, {128, 16, 1}, {384, 24, 1}},  // chunks that begin between two
      {0, {131, 16, 1}, {387, 24, 1}},  // the second product's do
      {0, {0, 17, 1}, {384, 25, 1}},    // the second line's do; one a for both
      {0, {1, 32, 2}, {3, 48, 2}},      // nothing side by side
  };
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (const Lying& lying : lyings) {
      CAPTURE(name(dtype));
      CAPTURE(&lying - lyings);
      CHECK(product(lying, dtype, kCuda) == product(lying, dtype, kCpu));
    }
}

TEST_CASE("products of f32 have the bits of their mode") {
  const float x = 1 + 0x1p-11F, y = 1 + 0x1p-14F;
  const auto square = [](float value) {
    const Tensor a = full({2, 4}, value, {.device = kCuda}), c = empty({2, 2}, {.device = kCuda});
    const View across{a.data(), a.dtype(), {4, 2}, {1, 4}};
    backend(DeviceType::cuda).gemm.matmul(a.view(), across, {.scale = 0.25}, c.view());
    return c.to_vector<double>().back();
  };
  CHECK(f32_mode() == F32Mode::exact);
  CHECK(square(x) == static_cast<double>(x * x));
  {
    const WithF32Mode mode(F32Mode::tf32);
    CHECK(square(x) == (1 + 0x1p-10) * (1 + 0x1p-10));  // ties go away from zero
    CHECK(square(y) == 1);
  }
  {
    const WithF32Mode mode(F32Mode::bf16x3);
    CHECK(square(x) == 1 + 0x1p-10);  // the square of the small part is left out
    CHECK(square(y) == 1 + 0x1p-13);
  }
  CHECK(f32_mode() == F32Mode::exact);
}

TEST_CASE("cuBLASLt takes products in all four layouts" *
          doctest::skip(!cuda::has_gemm_library())) {
  const Tensor numbers = zeros({1000}, {.device = kCuda});
  const Tensor c = empty({8, 24}, {.device = kCuda});
  for (const bool a_fast : {true, false})
    for (const bool b_fast : {true, false}) {
      const cuda::LibraryProduct::Matrix a{numbers.data(), a_fast ? 16 : 8, 0, a_fast},
          b{numbers.data(), b_fast ? 16 : 24, 0, b_fast};
      CHECK(cuda::multiply_by_library({.dtype = DType::f32,
                                       .mode = F32Mode::exact,
                                       .m = 8,
                                       .n = 24,
                                       .k = 16,
                                       .products = 1,
                                       .a = a,
                                       .b = b,
                                       .residual = {},
                                       .c = c.data(),
                                       .c_line = 24,
                                       .c_step = 0,
                                       .bias = nullptr,
                                       .scale = 1},
                                      cuda::stream("test")));
    }
}

TEST_CASE("what computes products, convolutions and transforms is told in words") {
  const auto setting = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text ? text : "");
  };
  const bool missing = setting("BRUME_EMU_LIBRARIES") == "none";
  // "what: library version", or why not.
  const auto state = [&](const std::string& what, const std::string& variable,
                         const std::string& value, const std::string& library,
                         const std::string& version, const std::string& file) {
    if (setting(variable.c_str()) != value)
      return cat(what, "brume's own kernels (", variable, "=", value, " asks for ", library, ")");
    if (missing) return cat(what, "brume's own kernels, since ", file, " is not on this machine");
    return cat(what, library, " ", version);
  };
  CHECK(
      backend(DeviceType::cuda).libraries() ==
      state("products of matrices: ", "BRUME_GEMM", "cublaslt", "cuBLASLt", "120200",
            "libcublasLt.so.12") +
          "; " + state("convolutions: ", "BRUME_CONV", "cudnn", "cuDNN", "91300", "libcudnn.so.9") +
          "; " +
          state("Fourier transforms: ", "BRUME_FFT", "cufft", "cuFFT", "11203", "libcufft.so.11"));
  CHECK(cuda::has_gemm_library() == (setting("BRUME_GEMM") == "cublaslt" && !missing));
  CHECK(cuda::has_conv_library() == (setting("BRUME_CONV") == "cudnn" && !missing));
  CHECK(cuda::has_fft_library() == (setting("BRUME_FFT") == "cufft" && !missing));
}

TEST_CASE("cuDNN takes convolutions, which are products too, and both their gradients" *
          doctest::skip(!cuda::has_conv_library())) {
  const Tensor x = zeros({2, 4, 5, 6}, {.device = kCuda, .layout = Layout::channels_last});
  const Tensor w = zeros({6, 2, 3, 3}, {.device = kCuda, .layout = Layout::channels_last});
  const Tensor y = zeros({2, 6, 3, 6}, {.device = kCuda, .layout = Layout::channels_last});
  ConvParams params;
  params.stride[0] = 2;
  params.padding[0] = params.padding[1] = 1;
  params.groups = 2;
  using Pass = cuda::LibraryConv::Pass;
  for (const Pass pass : {Pass::forward, Pass::input_gradient, Pass::weight_gradient})
    for (const F32Mode mode : {F32Mode::exact, F32Mode::tf32, F32Mode::bf16x3})
      CHECK(cuda::convolve_by_library({pass, x.view(), w.view(), y.view(), params, mode},
                                      cuda::stream("test")) == (mode != F32Mode::bf16x3));
  params.padding[1] = 0;  // then y is too wide
  CHECK(!cuda::convolve_by_library(
      {Pass::forward, x.view(), w.view(), y.view(), params, F32Mode::exact}, cuda::stream("test")));
}

}  // namespace
