// The conventions that let one text of a kernel run on a GPU and on the emulator.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace fs = std::filesystem;

namespace {

const fs::path kCuda = fs::path(BRUME_SOURCE_DIR) / "cuda";

/// A word, or words that begin so (*), and the files or folders below cuda/ where it may stand.
struct Convention {
  const char* text;
  std::vector<std::string> allowed;
  const char* instead;
};

const std::vector<Convention> kConventions = {
    {"<<<", {}, "start kernels with launch()"},
    {"cudaLaunchKernel", {"launch.h", "emu/"}, "start kernels with launch()"},
    {"__shared__", {"device/shared.cuh"}, "declare SHARED(T, name, dims) or dynamic_shared<T>()"},
    {"asm", {"device/", "emu/fiber.cpp"}, "put the instruction into device/, with a plain twin"},
    {"__cvta_generic_to_shared", {"device/"}, "keep addresses of shared memory in device/"},
    {"nvcuda", {"device/"}, "put matrix instructions into device/, with a plain twin"},
    {"__nv_bfloat16*", {}, "use bf16 of core/dtype.h"},
    {"__half*", {}, "use f16 of core/dtype.h"},
    {"__activemask", {}, "name all lanes: kAllLanes"},
    {"__shfl*", {"device/", "emu/"}, "use warp_reduce, or add to device/"},
    {"cooperative_groups", {}, "use __syncthreads, __syncwarp and device/reduce.cuh"},
    {"cub", {"lib/"}, "library calls live in lib/"},
    {"thrust", {"lib/"}, "library calls live in lib/"},
    {"cublas*", {"lib/", "emu/"}, "library calls live in lib/"},
    {"cufft*", {"lib/", "emu/"}, "library calls live in lib/"},
    {"cudnn*", {"lib/", "emu/"}, "library calls live in lib/"},
    {"expf", {}, "use core/math, so that CPU and GPU agree"},
    {"__expf", {}, "use core/math, so that CPU and GPU agree"},
    {"tanhf", {}, "use core/math, so that CPU and GPU agree"},
    {"logf", {}, "use core/math, so that CPU and GPU agree"},
    {"powf", {}, "use core/math, so that CPU and GPU agree"},
    {"erff", {}, "use core/math, so that CPU and GPU agree"},
};

/// The text without comments and without what stands between quotes.
std::string code_of(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = std::string_view(text).substr(i);
    size_t end;
    if (rest.starts_with("//")) {
      end = rest.find('\n');
    } else if (rest.starts_with("/*")) {
      end = rest.find("*/");
      end = end == rest.npos ? end : end + 2;
    } else if (rest.starts_with('"') || (rest.starts_with('\'') && i > 0 && text[i - 1] != '_' &&
                                         !std::isalnum(static_cast<unsigned char>(text[i - 1])))) {
      end = 1;
      while (end < rest.size() && rest[end] != rest[0]) end += rest[end] == '\\' ? 2 : 1;
      ++end;
    } else {
      out += text[i++];
      continue;
    }
    out += ' ';
    i += std::min(end, rest.size());
  }
  return out;
}

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Whether `text` stands in `code` as whole words; "cublas*" also finds longer words.
bool stands_in(const std::string& code, std::string_view text) {
  const bool prefix = text.ends_with('*');
  if (prefix) text.remove_suffix(1);
  const bool open = prefix || !is_word_character(text.back());
  for (size_t at = code.find(text); at != code.npos; at = code.find(text, at + 1)) {
    const size_t end = at + text.size();
    const bool starts =
        at == 0 || !is_word_character(text.front()) || !is_word_character(code[at - 1]);
    if (starts && (open || end == code.size() || !is_word_character(code[end]))) return true;
  }
  return false;
}

/// One line for each convention that a file of this name and text breaks.
std::vector<std::string> findings(const std::string& name, const std::string& text) {
  std::vector<std::string> out;
  const std::string code = code_of(text);
  for (const auto& [forbidden, allowed, instead] : kConventions) {
    const bool here = std::any_of(allowed.begin(), allowed.end(), [&](const std::string& place) {
      return name == place || (place.ends_with('/') && name.starts_with(place));
    });
    if (!here && stands_in(code, forbidden))
      out.push_back(name + ": " + forbidden + "; " + instead);
  }
  return out;
}

}  // namespace

TEST_CASE("kernels keep to what the emulator can run") {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kCuda)) {
    if (!entry.is_regular_file()) continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const std::string name = fs::relative(entry.path(), kCuda).generic_string();
    for (const std::string& finding : findings(name, text.str())) FAIL_CHECK(finding);
    ++files;
  }
  CHECK(files > 10);
}

TEST_CASE("every broken convention of a kernel is told") {
  const auto count = [](const char* name, const char* text) { return findings(name, text).size(); };
  CHECK(count("kernels/a.cu", "kernel<<<1, 2>>>(x);") == 1);
  CHECK(count("kernels/a.cu", "__shared__ float tile[32];") == 1);
  CHECK(count("kernels/a.cu", "extern __shared__ float tile[];") == 1);
  CHECK(count("kernels/a.cu", "asm volatile(\"cp.async.wait_all;\");") == 1);
  CHECK(count("kernels/a.cu", "v += __shfl_down_sync(mask, v, 1);") == 1);
  CHECK(count("kernels/a.cu", "namespace cg = cooperative_groups;") == 1);
  CHECK(count("kernels/a.cu", "cub::BlockReduce<float, 128> reduce;") == 1);
  CHECK(count("kernels/a.cu", "y = expf(x) + tanhf(x);") == 2);
  CHECK(count("kernels/a.cu", "cudaLaunchKernel(f, g, b, a, 0, s);") == 1);
  CHECK(count("kernels/a.cu", "cublasLtCreate(&handle);") == 1);
  CHECK(count("lib/sort.cu", "cub::DeviceRadixSort::SortPairs(p);") == 0);
  CHECK(count("device/copy.cuh", "asm volatile(\"cp.async.wait_all;\");") == 0);
  CHECK(count("kernels/a.cu",
              "// __shared__ is what SHARED expands to\nint a = 1'000; /* <<< */") == 0);
  CHECK(count("kernels/a.cu", "int plasma, cubic; log(\"expf \\\" <<<\");") == 0);
}
