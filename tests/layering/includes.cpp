// The dependency rule of docs/architecture.md, read from every #include.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = BRUME_SOURCE_DIR;

// Whom a component may include: every chain of arrows core <- autograd <- nn <- diffusion,
// core <- cuda.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"core", {"core"}},
    {"autograd", {"core", "autograd"}},
    {"nn", {"core", "autograd", "nn"}},
    {"diffusion", {"core", "autograd", "nn", "diffusion"}},
    {"cuda", {"core", "cuda"}},
};

bool is_source(const fs::path& path) {
  static const std::set<std::string> endings = {".h", ".cpp", ".inl", ".cu", ".cuh"};
  return endings.contains(path.extension().string());
}

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> sources(const std::string& folder) {
  std::vector<fs::path> out;
  REQUIRE(fs::is_directory(kRoot / folder));
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder))
    if (entry.is_regular_file() && is_source(entry.path())) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

/// What a file includes, as written between the brackets or quotes.
std::vector<std::string> includes(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const size_t word = line.find("include", hash);
    const size_t open = line.find_first_of("<\"", hash);
    if (word == std::string::npos || open == std::string::npos || word > open) continue;
    const size_t close = line.find_first_of(">\"", open + 1);
    if (close != std::string::npos) out.push_back(line.substr(open + 1, close - open - 1));
  }
  return out;
}

std::string component_of(const std::string& include) {
  const std::string prefix = "brume/";
  if (!include.starts_with(prefix)) return {};
  const size_t end = include.find('/', prefix.size());
  return include.substr(prefix.size(), end - prefix.size());
}

}  // namespace

// Another spelling could name a file that the rule does not see: "../nn/module.h", a macro.
TEST_CASE("every include of the library is written in brackets and climbs nowhere") {
  for (const auto& [component, allowed] : kAllowed)
    for (const auto& path : sources(component)) {
      std::istringstream lines(read(path));
      for (std::string line; std::getline(lines, line);) {
        const size_t hash = line.find_first_not_of(" \t");
        if (hash == std::string::npos || line[hash] != '#') continue;
        const size_t word = line.find_first_not_of(" \t", hash + 1);
        if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
        const size_t open = line.find_first_not_of(" \t", word + 7);
        CAPTURE(path.string());
        CAPTURE(line);
        CHECK((open != std::string::npos && line[open] == '<'));
        CHECK(line.find("..") == std::string::npos);
      }
    }
}

TEST_CASE("a component includes only along the arrows") {
  for (const auto& [component, allowed] : kAllowed)
    for (const auto& path : sources(component))
      for (const auto& include : includes(read(path))) {
        const std::string target = component_of(include);
        CAPTURE(path.string());
        CAPTURE(include);
        CHECK((target.empty() || allowed.contains(target)));
      }
}

TEST_CASE("nothing in the library includes tests, tools, examples or bench") {
  for (const auto& [component, allowed] : kAllowed)
    for (const auto& path : sources(component))
      for (const auto& include : includes(read(path))) {
        CAPTURE(path.string());
        for (const char* folder : {"tests/", "tools/", "examples/", "bench/"})
          CHECK(include.find(folder) == std::string::npos);
      }
}

TEST_CASE("the JSON header stays in a dozen source files and out of every header") {
  int users = 0;
  for (const auto& [component, allowed] : kAllowed)
    for (const auto& path : sources(component)) {
      CAPTURE(path.string());
      for (const auto& include : includes(read(path)))
        if (include == "nlohmann/json.hpp") {
          ++users;
          CHECK(path.extension() == ".cpp");
        }
    }
  CHECK(users <= 12);
}

TEST_CASE("the umbrella header reaches neither JSON nor the vector types") {
  std::set<std::string> reached;
  std::vector<std::string> open = {"brume/brume.h"};
  while (!open.empty()) {
    const std::string include = open.back();
    open.pop_back();
    if (!reached.insert(include).second || !include.starts_with("brume/")) continue;
    for (const auto& next : includes(read(kRoot / include.substr(std::string("brume/").size()))))
      open.push_back(next);
  }
  CHECK(reached.contains("brume/core/tensor.h"));
  for (const auto& include : reached) {
    CAPTURE(include);
    CHECK_FALSE(include.starts_with("nlohmann/"));
    CHECK(include != "brume/core/cpu/simd.h");
    CHECK(include != "immintrin.h");
  }
}

TEST_CASE("only core/io/fs touches the file system") {
  const std::set<std::string> doors = {"cstdio",   "fstream",    "filesystem",
                                       "fcntl.h",  "sys/stat.h", "stdio.h",
                                       "unistd.h", "dirent.h",   "sys/mman.h"};
  for (const char* component : {"core", "autograd", "nn", "diffusion"})
    for (const auto& path : sources(component)) {
      const fs::path within = path.lexically_relative(kRoot);
      if (within == "core/io/fs.cpp" || within == "core/io/fs.h") continue;
      for (const auto& include : includes(read(path))) {
        CAPTURE(path.string());
        CAPTURE(include);
        // The CPU's memory asks for huge pages by madvise.
        if (within == "core/cpu/memory.cpp" && include == "sys/mman.h") continue;
        CHECK_FALSE(doors.contains(include));
      }
    }
}

TEST_CASE("a file holds one idea: at most 600 lines") {
  for (const char* folder : {"core", "autograd", "nn", "diffusion", "cuda", "tools", "bench"})
    for (const auto& path : sources(folder)) {
      const std::string text = read(path);
      CAPTURE(path.string());
      CHECK(std::count(text.begin(), text.end(), '\n') <= 600);
    }
}

TEST_CASE("every header says #pragma once first") {
  for (const char* folder : {"core", "autograd", "nn", "diffusion"})
    for (const auto& path : sources(folder))
      if (path.extension() == ".h") {
        CAPTURE(path.string());
        CHECK(read(path).starts_with("#pragma once"));
      }
}
