#pragma once
// Laws that parameters are drawn from at first, and how modules get their parameters.

#include <cstdint>

#include <brume/core/random.h>
#include <brume/core/tensor.h>
#include <brume/nn/config.h>

namespace brume::nn {

/// `fan_in_uniform` is what PyTorch's own layers start from; the reference knows the others.
enum class InitMode {
  xavier_uniform,
  xavier_normal,
  kaiming_uniform,
  kaiming_normal,
  fan_in_uniform
};
Names names_of(InitMode);

/// A law for a parameter's first values. What is drawn, and in which order, is the reference's:
/// with Generator::torch_cpu(seed) a module gets the numbers that the reference gets from that
/// seed.
struct Init {
  enum class Law { constant, uniform, symmetric, positive, normal, truncated_normal };
  Law law = Law::constant;
  double scale = 0;  // the constant; bound of a uniform law; standard deviation
  double gain = 1;   // multiplied afterwards; a gain of 0 still draws

  static Init constant(double value);
  /// Uniform on [-bound, bound).
  static Init uniform(double bound);
  /// Uniform on [0, bound).
  static Init positive(double bound);
  static Init normal(double std);
  /// Normal, with values outside [-2, 2] drawn again.
  static Init truncated_normal(double std);
  /// xavier: sqrt(6 / (in + out)) uniform, sqrt(2 / (in + out)) normal; kaiming: sqrt(3 / in)
  /// uniform, sqrt(1 / in) normal; fan_in_uniform: 1 / sqrt(in); times `gain`.
  /// @source Glorot and Bengio 2010; He et al. 2015, arXiv:1502.01852
  static Init fan(InitMode mode, int64_t fan_in, int64_t fan_out, double gain = 1);
};

/// Fills a tensor on the CPU (f32 or f64).
void initialise(const Tensor& x, const Init& init, Generator& rng);

/// How modules that this thread constructs get their parameters, while it lives.
class Construction {
 public:
  enum class Mode {
    initialise,  // drawn from their laws
    allocate,    // left unwritten: they are about to be loaded
    shapes_only  // parameters have a shape and no memory
  };
  explicit Construction(Generator& rng) : Construction(Mode::initialise, &rng) {}
  explicit Construction(Mode mode, Generator* rng = nullptr);
  Construction(const Construction&) = delete;
  Construction& operator=(const Construction&) = delete;
  ~Construction();

 private:
  Mode mode_before_;
  Generator* rng_before_;
};

/// Larger models are refused before memory is asked for.
inline constexpr int64_t kMaxParameters = int64_t{1} << 36;
inline constexpr int64_t kMaxModules = 100'000;
/// Of a table that is computed and never saved, so that no bytes of a file stand for it.
inline constexpr int64_t kMaxComputed = int64_t{1} << 28;

namespace detail {

/// A tensor as the current Construction wants it. @throws ShapeError beyond kMaxParameters
Tensor initial_tensor(const Shape& shape, const Init& init);
/// Counts what one outermost make() asks memory for. @throws ShapeError beyond kMaxParameters
void count_elements(const Shape& shape);
/// Whether the current Construction wants no memory.
bool shapes_alone();
/// A tensor of that shape with the memory of one element.
Tensor without_memory(const Shape& shape, DType dtype = DType::f32);
/// Whether the current Construction draws values: what follows from them is to be computed then.
bool draws_values();
/// Draws a parameter anew, if the current Construction draws values.
void redraw(const Tensor& x, const Init& init);

/// Counts what one outermost make() constructs. @throws Error beyond kMaxModules
class ConstructionDepth {
 public:
  ConstructionDepth();
  ConstructionDepth(const ConstructionDepth&) = delete;
  ConstructionDepth& operator=(const ConstructionDepth&) = delete;
  ~ConstructionDepth();
};

}  // namespace detail
}  // namespace brume::nn
