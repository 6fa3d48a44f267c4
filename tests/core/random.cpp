#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/error.h>
#include <brume/core/math/philox.h>
#include <brume/core/random.h>

#include "tests/thread_count.h"

using namespace brume;

namespace {

template <class T = float>
std::vector<T> normals(Generator& rng, size_t n) {
  std::vector<T> x(n);
  rng.fill_normal(std::span(x));
  return x;
}
template <class T = float>
std::vector<T> uniforms(Generator& rng, size_t n) {
  std::vector<T> x(n);
  rng.fill_uniform(std::span(x));
  return x;
}

// FNV-1a over the bits, so that one number stands for many.
template <class T>
uint64_t fingerprint(const std::vector<T>& values) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  uint64_t hash = 0xcbf29ce484222325U;
  for (T value : values) hash = (hash ^ std::bit_cast<Bits>(value)) * 0x100000001b3U;
  return hash;
}

template <class T>
double moment(const std::vector<T>& x, int power) {
  double sum = 0;
  for (T v : x) sum += std::pow(static_cast<double>(v), power);
  return sum / static_cast<double>(x.size());
}

}  // namespace

TEST_CASE("Philox gives the numbers that its authors published") {
  const auto same = [](const math::Words& got, std::initializer_list<uint32_t> want) {
    return std::equal(want.begin(), want.end(), got.w);
  };
  CHECK(same(math::philox(0, 0, 0), {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint64_t ones = ~uint64_t{0};
  CHECK(same(math::philox(ones, ones, ones), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK(same(math::philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
             {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST_CASE("random numbers are the same bits on every instruction set") {
  Generator rng(2024);
  CHECK(fingerprint(uniforms(rng, 100003)) == 14341418162784542248U);
  CHECK(fingerprint(normals(rng, 100003)) == 4559169097192748242U);
  Generator wide(2024);
  CHECK(fingerprint(uniforms<double>(wide, 10003)) == 12784445382773889890U);
  CHECK(fingerprint(normals<double>(wide, 10003)) == 14936715642938899646U);
}

TEST_CASE("a draw depends on seed, offset and element alone") {
  const auto draws = [](int threads, size_t n) {  // of both kinds; 16384 are a piece of work
    const Threads pool(threads);
    Generator rng(5);
    std::vector<float> x = normals(rng, n);
    const std::vector<float> u = uniforms(rng, n);
    x.insert(x.end(), u.begin(), u.end());
    return x;
  };
  const auto all = draws(1, 70001);
  for (int threads : {2, 3, 7}) CHECK(draws(threads, 70001) == all);
  Generator short_one(5);
  const auto few = normals(short_one, 7);
  CHECK(std::equal(few.begin(), few.end(), all.begin()));

  Generator again(5);
  again.set_offset(short_one.offset());
  CHECK(normals(again, 100) == normals(short_one, 100));
  CHECK(normals(again, 100) != std::vector<float>(all.begin(), all.begin() + 100));
}

TEST_CASE("normal numbers follow the exact formula to a few units of the last place") {
  const uint64_t seed = 11;
  Generator rng(seed);
  const auto z = normals(rng, 4000);
  double worst = 0;
  for (size_t block = 0; block < z.size() / 4; ++block) {
    const math::Words w = math::philox(seed, 0, block);
    for (size_t k = 0; k < 4; k += 2) {
      const double u = static_cast<double>(w.w[k] >> 1) * 0x1p-31 + 0x1p-32;
      const double angle = 2 * std::numbers::pi * static_cast<double>(w.w[k + 1]) * 0x1p-32;
      const double r = std::sqrt(-2 * std::log(u));
      worst = std::max(worst, std::abs(z[4 * block + k] - r * std::cos(angle)));
      worst = std::max(worst, std::abs(z[4 * block + k + 1] - r * std::sin(angle)));
    }
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  Generator rng(3);
  const auto x = normals(rng, 400000);  // standard error of the mean: 0.0016
  CHECK(std::abs(moment(x, 1)) < 0.006);
  CHECK(std::abs(moment(x, 2) - 1) < 0.009);
  CHECK(std::abs(moment(x, 3)) < 0.025);
  CHECK(std::abs(moment(x, 4) - 3) < 0.06);
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  CHECK(*low < -4);
  CHECK(*high > 4);
}

TEST_CASE("f64 normals have the moments of the normal distribution too") {
  Generator rng(3);
  const auto x = normals<double>(rng, 100000);
  CHECK(std::abs(moment(x, 1)) < 0.013);
  CHECK(std::abs(moment(x, 2) - 1) < 0.018);
}

TEST_CASE("uniform numbers fill [0, 1) evenly") {
  Generator rng(4);
  const auto x = uniforms(rng, 100000);
  std::vector<int> bins(10);
  for (float v : x) {
    REQUIRE(v >= 0);
    REQUIRE(v < 1);
    ++bins[static_cast<size_t>(v * 10)];
  }
  double chi = 0;
  for (int count : bins) chi += (count - 1e4) * (count - 1e4) / 1e4;
  CHECK(chi < 27.9);  // 9 degrees of freedom: exceeded by one seed in a thousand
}

TEST_CASE("a sample's generator depends on seed and index, not on what was drawn before") {
  Generator a(9), b(9);
  normals(b, 1000);
  Generator a3 = a.for_sample(3), b3 = b.for_sample(3), a4 = a.for_sample(4);
  const auto from_a3 = normals(a3, 16);
  CHECK(normals(b3, 16) == from_a3);
  CHECK(normals(a4, 16) != from_a3);
}

TEST_CASE("a copied generator draws the same numbers on its own") {
  for (Generator rng : {Generator(1), Generator::torch_cpu(1)}) {
    Generator copy = rng;
    const auto first = normals(rng, 5);
    CHECK(normals(copy, 5) == first);
    CHECK(normals(rng, 5) == normals(copy, 5));
  }
}

TEST_CASE("integers stay below their limit and reach every value") {
  for (Generator rng : {Generator(1), Generator::torch_cpu(1)}) {
    std::vector<int> seen(7);
    for (int i = 0; i < 700; ++i) ++seen.at(static_cast<size_t>(rng.integer(7)));
    for (int count : seen) CHECK(count > 60);
    CHECK_THROWS_AS(rng.integer(0), ShapeError);
  }
}

TEST_CASE("gamma numbers have mean and variance equal to the shape") {
  for (Generator rng : {Generator(1), Generator::torch_cpu(1)}) {
    std::vector<double> x(40000);
    rng.fill_gamma(2.5, x);
    double mean = 0, square = 0;
    for (double v : x) {
      mean += v / 4e4;
      square += v * v / 4e4;
    }
    CHECK(std::abs(mean - 2.5) < 0.03);
    CHECK(std::abs(square - mean * mean - 2.5) < 0.12);
    CHECK_THROWS_AS(rng.fill_gamma(0.5, x), ShapeError);
  }
}

TEST_CASE("the PyTorch stream gives PyTorch's numbers for seed 42") {
  const auto near = [](float got, double want) { return std::abs(got - want) < 6e-7; };
  Generator u = Generator::torch_cpu(42);
  const auto rand = uniforms(u, 3);
  CHECK(near(rand[0], 0.88226926));
  CHECK(near(rand[1], 0.91500396));
  CHECK(near(rand[2], 0.38286376));
  Generator words = Generator::torch_cpu(42);
  CHECK(words.integer(int64_t{1} << 31) == 1608637542);

  SUBCASE("fewer than 16 normals are drawn one by one") {
    Generator rng = Generator::torch_cpu(42);
    const auto z = normals(rng, 8);
    CHECK(near(z[0], 0.33669037));
    CHECK(near(z[1], 0.12880941));
    CHECK(near(z[2], 0.23446237));
  }
  SUBCASE("the second normal of a pair waits for the next call") {
    Generator one = Generator::torch_cpu(42), two = Generator::torch_cpu(42);
    const auto z = normals(one, 4);
    CHECK(normals(two, 3) == std::vector<float>(z.begin(), z.begin() + 3));
    uniforms(two, 5);  // does not touch it
    CHECK(normals(two, 1)[0] == z[3]);
  }
  SUBCASE("16 normals and more are drawn by blocks of 16") {
    Generator rng = Generator::torch_cpu(42);
    const auto z = normals(rng, 16);
    CHECK(near(z[0], 1.92691493));
    CHECK(near(z[1], 1.48728418));
    CHECK(near(z[2], 0.90071720));
  }
  SUBCASE("the last 16 are drawn again where blocks do not fill") {
    Generator rng = Generator::torch_cpu(42), plain = Generator::torch_cpu(42);
    const auto z = normals(rng, 20);
    const auto first = normals(plain, 16);
    CHECK(std::equal(z.begin(), z.begin() + 4, first.begin()));
    CHECK(z[4] != first[4]);
  }
}

TEST_CASE("what cannot be replayed from PyTorch's stream says so") {
  Generator rng = Generator::torch_cpu(1);
  CHECK_THROWS_AS(rng.advance(1), Error);
}
