#include <brume/autograd/backward.h>

#include <cmath>
#include <memory>

#include <doctest/doctest.h>
#include <pthread.h>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/error_of.h"

using namespace brume;

namespace {

Tensor leaf(std::vector<float> values) {
  const auto n = static_cast<int64_t>(values.size());
  return set_requires_grad(from_vector(values, {n}));
}
std::vector<float> gradient(const Tensor& x) { return grad_of(x).to_vector<float>(); }
using Values = std::vector<float>;

}  // namespace

TEST_CASE("a gradient flows through a chain and is added up over calls") {
  const Tensor x = leaf({1, 2, 3});
  backward(sum(x * x));
  CHECK(gradient(x) == Values{2, 4, 6});
  backward(sum(x * 3.0));
  CHECK(gradient(x) == Values{5, 7, 9});
}

TEST_CASE("gradients of a fan-out are summed") {
  const Tensor x = leaf({2, 5});
  const Tensor y = x * x;
  backward(sum(y * y + y));
  CHECK(gradient(x) == Values{4 * 8 + 4, 4 * 125 + 10});
}

TEST_CASE("broadcast inputs get their gradient summed back") {
  const Tensor x = leaf({1, 2, 3});
  const Tensor s = set_requires_grad(scalar(2));
  backward(sum(x * s));
  CHECK(gradient(x) == Values{2, 2, 2});
  CHECK(grad_of(s).item() == 6);
  CHECK(grad_of(s).rank() == 0);
}

TEST_CASE("a gradient that is none of its input's is refused, and the operation named") {
  const Tensor x = set_requires_grad(ones({3, 2}));
  const auto refusal = [&](const Tensor& g) {
    const Tensor y = record("mine", scalar(1), {x}, [g](const Tensor&) { return Grads{g}; });
    return error_of([&] { backward(y); });
  };
  CHECK(refusal(ones({2, 3})) ==
        "mine: returned a gradient of shape [2, 3] for input 0 of shape [3, 2]");
  CHECK(refusal(ones({3})).find("mine: ") == 0);
  CHECK(refusal(ones({})).find("mine: ") == 0);
  CHECK(refusal(ones({3, 2}, {.dtype = DType::f64})) ==
        "mine: returned a gradient of f64 for input 0 of f32; use to(g, x.dtype())");
  CHECK_FALSE(grad_of(x).defined());
  CHECK(refusal(ones({4, 3, 2})).empty());
  CHECK(max(grad_of(x)).item() == 4);
  CHECK_THROWS_AS(set_grad(x, ones({3, 2}, {.dtype = DType::i64})), DTypeError);
  CHECK_THROWS_AS(set_grad(x, ones({2, 3})), ShapeError);
}

TEST_CASE("nothing is recorded without a reason or under NoGrad") {
  const int64_t before = live_nodes();
  const Tensor x = leaf({1, 2});
  const Tensor plain = from_vector<float>({1, 2}, {2});
  const Tensor a = plain * plain;
  {
    const NoGrad guard;
    const Tensor b = x * x;
    CHECK_FALSE(requires_grad(b));
    const EnableGrad again;
    CHECK(requires_grad(x * x));
  }
  CHECK_FALSE(requires_grad(a));
  CHECK(live_nodes() == before);
  CHECK_THROWS_AS(backward(sum(a)), GradError);
}

TEST_CASE("no node outlives its tensors") {
  const int64_t before = live_nodes();
  {
    const Tensor x = leaf({1, 2});
    Tensor y = exp(x);
    for (int i = 0; i < 10; ++i) y = tanh(y) * x;
    CHECK(live_nodes() > before);
    backward(sum(y));
    CHECK(live_nodes() > before);  // y still holds its own node
  }
  CHECK(live_nodes() == before);
}

TEST_CASE("a graph is walked once, or kept on request") {
  const Tensor x = leaf({3});
  const Tensor y = sum(x * x);
  backward(y, {}, {.retain_graph = true});
  backward(y);
  CHECK(gradient(x) == Values{12});
  CHECK_THROWS_AS(backward(y), GradError);
}

TEST_CASE("a saved value that was written to is an error, not a wrong number") {
  const Tensor x = leaf({1, 2});
  const Tensor w = from_vector<float>({3, 4}, {2});
  const Tensor y = sum(x * w);
  fill_(w, 0);
  CHECK_THROWS_AS(backward(y), GradError);
}

TEST_CASE("segments that were written to are an error, not a wrong number") {
  const Tensor x = set_requires_grad(ones({3, 2})), rows = set_requires_grad(ones({2, 2}));
  const auto write_between = [](const Tensor& y, const Tensor& written) {
    fill_(written, 0);
    backward(sum(y));
  };
  const auto fresh = [] { return Segments(from_vector<int64_t>({0, 1, 1}, {3}), 2); };
  for (const auto member : {&Segments::owner, &Segments::offsets, &Segments::members}) {
    const Segments summed = fresh(), spread = fresh();
    CHECK_THROWS_AS(write_between(segment_sum(x, summed), summed.*member), GradError);
    CHECK_THROWS_AS(write_between(segment_rows(rows, spread), spread.*member), GradError);
  }
}

TEST_CASE("a value that gradients depend on refuses to be written") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * x;
  CHECK_THROWS_AS(fill_(x, 0), GradError);
  CHECK_THROWS_AS(fill_(y, 0), GradError);
  const NoGrad guard;
  fill_(x, 5);  // an optimizer may
  CHECK(x.to_vector<float>() == Values{5, 5});
}

TEST_CASE("grad returns gradients of leaves and of results and touches no leaf") {
  const Tensor x = leaf({1, 2});
  const Tensor w = leaf({3, 4});
  const Tensor y = x * w;
  const Tensor loss = sum(y * y);
  const Tensors g = grad({loss}, {x, y, leaf({0})}, {}, {.retain_graph = true});
  CHECK(g[0].to_vector<float>() == Values{2 * 3 * 3, 2 * 8 * 4});
  CHECK(g[1].to_vector<float>() == Values{6, 16});
  CHECK_FALSE(g[2].defined());
  CHECK_FALSE(grad_of(x).defined());
  CHECK_FALSE(grad_of(w).defined());
}

TEST_CASE("an input that is named twice gets its gradient twice, a leaf as well as a result") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * x;
  const Tensors g = grad({sum(y * y)}, {x, y, x, y});
  for (const Tensor& each : g) REQUIRE(each.defined());
  for (const size_t i : {0, 2}) CHECK(g[i].to_vector<float>() == Values{4, 32});
  for (const size_t i : {1, 3}) CHECK(g[i].to_vector<float>() == Values{2, 8});
}

TEST_CASE("grad runs no closure that leads to nothing wanted") {
  const Tensor x = leaf({1});
  const Tensor w = leaf({2});
  int runs = 0;
  const Tensor heavy = record("heavy", detach(w) * 1.0, {w}, [&](const Tensor& g) {
    ++runs;
    return Grads{g};
  });
  (void)grad({sum(x * heavy)}, {x});
  CHECK(runs == 0);
}

TEST_CASE("a closure may skip what nobody wants") {
  const Tensor x = leaf({1});
  const Tensor plain = ones({1});
  bool wanted_first = false, wanted_second = true;
  const Tensor y = record("probe", ones({1}), {x, plain}, [&](const Tensor& g, Wanted wanted) {
    wanted_first = wanted[0];
    wanted_second = wanted[1];
    return Grads{g, g};
  });
  backward(sum(y));
  CHECK(wanted_first);
  CHECK_FALSE(wanted_second);
}

TEST_CASE("the gradient of a result that nobody used arrives empty") {
  const Tensor x = leaf({1});
  bool first = true, second = false;
  const Tensors ys = record("two", {ones({1}), ones({1})}, {x}, [&](const Tensors& g) {
    first = g[0].defined();
    second = g[1].defined();
    return Grads{g[1]};
  });
  backward(sum(ys[1]));
  CHECK_FALSE(first);
  CHECK(second);
}

TEST_CASE("create_graph gives second derivatives") {
  const Tensor x = leaf({1, 2, 3});
  const Tensor y = sum(x * x * x);
  const Tensor g = grad({y}, {x}, {}, {.create_graph = true})[0];
  CHECK(g.to_vector<float>() == Values{3, 12, 27});
  backward(sum(g));
  CHECK(gradient(x) == Values{6, 12, 18});
}

TEST_CASE("a saved result is part of the graph again in a second derivative") {
  const Tensor x = leaf({0.5F});
  const Tensor g = grad({sum(exp(x))}, {x}, {}, {.create_graph = true})[0];
  const Tensor second = grad({sum(g)}, {x})[0];
  CHECK(second.item() == doctest::Approx(std::exp(0.5)));
}

TEST_CASE("a leaf owns its gradient: writing to it changes nobody else's") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  backward(sum(a + b));
  fill_(grad_of(a), 9);
  CHECK(gradient(b) == Values{1, 1});
}

TEST_CASE("a checkpoint computes the same gradients, of captured parameters too") {
  const auto run = [](bool with_checkpoint) {
    const Tensor x = leaf({0.3F, 0.7F}), w = leaf({1.5F, -0.5F});
    const auto f = [&](const Tensors& in) { return tanh(in[0] * w) * in[0]; };
    const Tensor y = with_checkpoint ? checkpoint(f, {x * 2.0}) : f({x * 2.0});
    backward(sum(y * y));
    return std::pair(gradient(x), gradient(w));
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("a checkpoint draws the same numbers again, also if the generator was replaced") {
  auto rng = std::make_unique<Generator>(1);
  const Tensor x = leaf({1, 1, 1, 1});
  const auto noisy = [&](const Tensors& in) { return in[0] * normal({4}, *rng); };
  const Tensor y = checkpoint(noisy, {x}, [&]() -> Generator& { return *rng; });
  const Values drawn = y.to_vector<float>();
  rng = std::make_unique<Generator>(2);
  backward(sum(y));
  CHECK(gradient(x) == drawn);
  Generator untouched(2);
  CHECK(normal({4}, *rng).to_vector<float>() == normal({4}, untouched).to_vector<float>());
}

TEST_CASE("a checkpoint that throws in backward leaves the generator where it was") {
  Generator rng(1);
  const Tensor x = leaf({1});
  bool fails = false;
  const auto f = [&](const Tensors& in) {
    const Tensor y = in[0] * normal({1}, rng);
    check<Error>(!fails, "planted");
    return y;
  };
  const Tensor y = checkpoint(f, {x}, [&]() -> Generator& { return rng; });
  normal({100}, rng);
  const uint64_t offset = rng.offset();
  fails = true;
  CHECK_THROWS_AS(backward(sum(y)), Error);
  CHECK(rng.offset() == offset);
}

TEST_CASE("a checkpoint whose inputs want nothing still reaches its parameters") {
  const Tensor w = leaf({2});
  const Tensor plain = from_vector<float>({3}, {1});
  backward(sum(checkpoint([&](const Tensors& in) { return in[0] * w; }, {plain})));
  CHECK(gradient(w) == Values{3});
}

TEST_CASE("a checkpoint sends gradients to recorded results that it captures") {
  struct Result {
    Values gx, ga, gh;
    bool operator==(const Result&) const = default;
  };
  using Maker = std::function<std::function<Tensor(const Tensors&)>(Tensor a, Tensor h)>;
  const auto run = [](const Maker& maker, bool with_checkpoint) {
    const int64_t before = live_nodes();
    Result result;
    {
      const Tensor x = leaf({1, 2, 3}), a = leaf({4, 5, 6});
      const Tensor h = x * 2.0, u = h * 3.0;
      const auto f = maker(a, h);
      const Tensor y = with_checkpoint ? checkpoint(f, {a}) : f({a});
      const Tensor loss = sum(y * y) + sum(u * u);
      const Tensor gh = grad({loss}, {h}, {}, {.retain_graph = true})[0];
      const Tensor only = grad({y}, {h}, {}, {.retain_graph = true})[0];  // by the checkpoint alone
      if (gh.defined() && only.defined()) result.gh = (gh + only).to_vector<float>();
      backward(loss);
      result.gx = gradient(x);
      result.ga = gradient(a);
    }
    CHECK(live_nodes() == before);
    return result;
  };
  const Maker makers[] = {
      [](Tensor, Tensor h) { return [h](const Tensors& in) { return in[0] * h; }; },
      // an input that is captured as well, and a view of what is captured
      [](Tensor a, Tensor h) {
        return [a, h](const Tensors& in) { return in[0] * a * reshape(h, {3}); };
      },
      [](Tensor, Tensor h) {
        return [h](const Tensors& in) {
          const Tensor v = in[0] * h;
          return checkpoint([h, v](const Tensors& inner) { return inner[0] * h + v * v; }, {v + h});
        };
      },
  };
  for (const Maker& maker : makers) {
    CAPTURE(&maker - makers);
    CHECK(run(maker, true) == run(maker, false));
  }
}

TEST_CASE("a checkpoint that returns what it captures") {
  const Tensor x = leaf({1, 2});
  const Tensor h = x * 2.0;
  backward(sum(h * checkpoint([h](const Tensors&) { return h; }, {x})));
  CHECK(gradient(x) == Values{8, 16});
}

TEST_CASE(
    "a checkpoint that captures more than 64 parameters computes the wanted gradients alone") {
  std::vector<Tensor> w;
  for (int i = 0; i < 70; ++i) w.push_back(leaf({static_cast<float>(i)}));
  const Tensor x = leaf({2});
  const auto f = [&](const Tensors& in) {
    Tensor y = in[0];
    for (const Tensor& each : w) y = y + each * in[0];
    return y;
  };
  const Tensor y = checkpoint(f, {x});
  const Tensors g = grad({y}, {w[69], x}, {}, {.retain_graph = true});
  CHECK(g[0].to_vector<float>() == Values{2});
  CHECK(g[1].to_vector<float>() == Values{1 + 69 * 35});
  backward(y);
  for (const Tensor& each : w) CHECK(gradient(each) == Values{2});
}

TEST_CASE("a checkpoint refuses what it cannot recompute") {
  const Tensor x = leaf({1, 2});
  SUBCASE("a captured value that was changed") {
    const Tensor w = leaf({3, 4});
    const Tensor y = checkpoint([w](const Tensors& in) { return in[0] * w; }, {x});
    {
      const NoGrad no_grad;
      fill_(w, 0);
    }
    CHECK(error_of([&] { backward(sum(y)); }).find("later changed") != std::string::npos);
  }
  SUBCASE("a captured result that was replaced") {
    Tensor h = x * 2.0;
    const Tensor y = checkpoint([&h](const Tensors& in) { return in[0] * h; }, {x});
    const Tensor first = h;
    h = x * 3.0;
    CHECK(error_of([&] { backward(sum(y)); }).find("first run") != std::string::npos);
  }
  SUBCASE("a result of another shape") {
    bool again = false;
    const Tensor y =
        checkpoint([&](const Tensors& in) { return again ? sum(in[0]) : in[0] * 2.0; }, {x});
    again = true;
    CHECK(error_of([&] { backward(sum(y)); }).find("in its first run") != std::string::npos);
  }
  SUBCASE("a second derivative") {
    const Tensor y = checkpoint([](const Tensors& in) { return in[0] * in[0]; }, {x});
    CHECK_THROWS_AS(grad({sum(y)}, {x}, {}, {.create_graph = true}), GradError);
  }
}

TEST_CASE("a closure that walks the graph of the pass it runs in is refused") {
  const Tensor x = leaf({1, 2});
  const Tensor h = x * 2.0;
  const Tensor y = record("asks", detach(h), {h},
                          [h, x](const Tensor& g) { return Grads{g * grad({h}, {x})[0]}; });
  CHECK(error_of([&] { backward(sum(y)); }).find("part of the pass that runs") !=
        std::string::npos);
}

TEST_CASE("grad through a checkpoint touches no leaf") {
  const Tensor x = leaf({2}), w = leaf({5});
  const Tensor y = checkpoint([&](const Tensors& in) { return in[0] * w; }, {x});
  const Tensors g = grad({sum(y)}, {x, w});
  CHECK(g[0].to_vector<float>() == Values{5});
  CHECK(g[1].to_vector<float>() == Values{2});
  CHECK_FALSE(grad_of(w).defined());
}

TEST_CASE("a chain of a million operations needs no stack") {
  // A thread of 256 KB runs forward, backward and teardown.
  static bool ended = false;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  const auto body = [](void*) -> void* {
    const Tensor x = leaf({1});
    {
      Tensor y = x;
      for (int i = 0; i < 1'000'000; ++i) y = y + 0.0;
      backward(sum(y));
      Tensor z = x;
      for (int i = 0; i < 1'000'000; ++i) z = z + 0.0;
    }
    ended = gradient(x) == Values{1};
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, body, nullptr) == 0);
  pthread_join(thread, nullptr);
  CHECK(ended);
}
