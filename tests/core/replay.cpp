// Recorded draws served again.

#include <brume/core/replay.h>

#include <doctest/doctest.h>

using namespace brume;

TEST_CASE("a replaying generator serves recorded draws in order, and a copy goes its own way") {
  const Tensor a = from_vector<float>({1, 2}, {2}), b = from_vector<float>({3}, {1});
  Generator rng = replay({{Distribution::normal, a}, {Distribution::uniform, b}});
  CHECK(next_recorded(rng, Distribution::normal, {2}).to_vector<float>() == a.to_vector<float>());
  Generator copy = rng;
  CHECK(next_recorded(rng, Distribution::uniform, {1}).item() == 3);
  CHECK(next_recorded(copy, Distribution::uniform, {1}).item() == 3);
  CHECK(rng.offset() == 2);
}

TEST_CASE("replay refuses a draw of another shape, of another distribution, and one too many") {
  Generator rng = replay({{Distribution::normal, from_vector<float>({1, 2}, {2})}});
  CHECK_THROWS_AS(next_recorded(rng, Distribution::normal, {1, 2}), Error);
  CHECK_THROWS_AS(next_recorded(rng, Distribution::uniform, {2}), Error);
  CHECK(next_recorded(rng, Distribution::normal, {2}).defined());
  CHECK_THROWS_AS(next_recorded(rng, Distribution::normal, {2}), Error);
}

TEST_CASE("a generator that draws for itself has nothing recorded") {
  Generator rng(1);
  CHECK(!next_recorded(rng, Distribution::normal, {2}).defined());
}
