#pragma once

#include <string>

#include "sample.h"

namespace brume::tools {

struct EvaluateArguments {
  std::string run, classifier;  // run: its folder, or a model in it; classifier: likewise, or empty
  std::string data{}, labels{};  // where the data are now, if not where the run read them
  int64_t num = 500, first_seed = 1000;
  Device device = kCpu;
  DrawOptions draw;
  bool json = false, require = false;
};

/// Judges a run by its samples: are they what was asked for (if a classifier tells), do they vary,
/// and are they new? Prints the figures beside what a good run has at least. @returns the exit
/// code: 0, or 1 if `require` asks for them and one is less.
/// @throws Error if the run holds no sample out, or has no labels for the classifier to name; if a
///         sample is not finite, or fewer than two of a class are asked for
int evaluate(const EvaluateArguments& arguments);

}  // namespace brume::tools
