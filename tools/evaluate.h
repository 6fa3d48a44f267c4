#pragma once

#include <string>

#include "sample.h"

namespace brume::tools {

struct EvaluateArguments {
  std::string run, classifier;
  int64_t num = 500, first_seed = 1000;
  DrawOptions draw;
  bool json = false;
};

/// Judges a class-conditional run by its samples: are they what was asked for, do they vary, and
/// are they new? Prints the figures; the exit code is 0 whatever they are.
int evaluate(const EvaluateArguments& arguments);

}  // namespace brume::tools
