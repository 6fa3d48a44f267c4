// Promises about bytes that nobody vouches for: load or raise, in bounded memory.

#include <functional>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/png.h>
#include <brume/core/io/safetensors.h>
#include <brume/core/io/tar.h>
#include <brume/core/io/torch_pt.h>
#include <brume/core/json.h>

#include "tests/io/allocations.h"
#include "tests/io/archive_bytes.h"
#include "tests/io/fake_disk.h"
#include "tests/io/files.h"
#include "tests/io/png_bytes.h"

namespace brume::test {
namespace {

const std::string kPath = "file";

struct Format {
  const char* name;
  std::string sample;  // small and valid
  void (*load)();      // reads kPath
};

std::string small_safetensors() {
  return safetensors_bytes(
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[4,6]},)"
      R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})",
      std::string("\0\0\x80\x3f\1\0", 6));
}

// A tensor's row of two, in today's archive and in the stream before it.
std::string small_torch() {
  const std::vector<std::pair<std::string, Tensor>> state{{"a", from_vector<uint8_t>({7, 8}, {2})}};
  return io::torch_bytes(state);
}

std::string small_torch_stream() {
  using namespace std::string_literals;
  return "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s + "\x80\2M\xe9\3."s +
         "\x80\2}X\x0d\0\0\0little_endian\x88s."s +
         "\x80\2ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nByteStorage\n"s +
         "X\1\0\0\0kX\3\0\0\0cpuK\2NtQK\0K\2\x85K\1\x85\x89)tR."s + "\x80\2]X\1\0\0\0ka."s +
         little(2, 8) + "\7\x8"s;
}

void load_torch() {
  const io::TorchFile file = io::open_torch(kPath);
  for (const io::TorchEntry& e : file.entries()) file.read(e.tensor);
}

std::vector<Format> formats() {
  std::vector<Format> out = {
      {"safetensors", small_safetensors(), [] { io::load_safetensors(kPath); }},
      {"npy",
       npy_bytes("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 1), }\n", "\1\2\3\4"),
       [] { io::read_npy(kPath); }},
      {"JSON", R"({"a":[1,-2.5e3,"é\n\u00e9",true,null],"b":{"c":{}}})",
       [] { parse_json(io::read_file(kPath, 1000), kPath); }},
      {"torch stream", small_torch_stream(), load_torch},
      {"tar", tar_archive({{"a", "content"}}), [] {
         const io::FileSource archive(kPath);
         check<FormatError>(!io::read_tar(archive).empty(), "empty");
       }}};
  if (io::has_zip()) out.push_back({"torch", small_torch(), load_torch});
  if (io::has_png())
    out.push_back({"PNG",
                   png_bytes({.width = 2, .height = 2, .colour = 3, .interlace = 1},
                             {"\1", std::string(1, '\0'), std::string("\0\1", 2)},
                             png_chunk("PLTE", "abcdef") + png_chunk("tRNS", "\x7f")),
                   [] { io::read_png(kPath, {.keep_alpha = true}); }});
  return out;
}

// True if the bytes load, false if they raise an Error; any other exception ends the test.
bool loads(FakeDisk& disk, const Format& format, const std::string& bytes) {
  disk.add(kPath, bytes);
  try {
    format.load();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a file cut off at any byte loads or raises, and the whole file loads") {
  FakeDisk disk;
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    for (size_t size = 0; size < format.sample.size(); ++size)
      CHECK_FALSE(loads(disk, format, format.sample.substr(0, size)));
    CHECK(loads(disk, format, format.sample));
    CHECK(disk.open_files() == 0);
  }
}

TEST_CASE("a file with any one byte changed to any other loads or raises") {
  FakeDisk disk;
  for (const Format& format : formats()) {
    CAPTURE(format.name);
    std::string bytes = format.sample;
    int64_t loaded = 0, raised = 0;
    for (char& byte : bytes) {
      const char before = byte;
      for (int change = 1; change < 256; ++change) {
        byte = static_cast<char>(before ^ change);
        ++(loads(disk, format, bytes) ? loaded : raised);
      }
      byte = before;
    }
    CHECK(loaded + raised == static_cast<int64_t>(255 * bytes.size()));
    CHECK(raised > 0);
    CHECK(disk.open_files() == 0);
  }
}

TEST_CASE("loading takes at most twice the file's size and 64 MB") {
  FakeDisk disk;
  const auto most = [&](const std::string& bytes, const std::function<void()>& load) {
    disk.add(kPath, bytes);
    start_measuring();
    try {
      load();
    } catch (const Error&) {
    }
    const auto allowed = static_cast<int64_t>(2 * bytes.size() + (size_t{64} << 20));
    CHECK(most_bytes_in_use() <= allowed);
  };
  SUBCASE("safetensors with as many entries as the header may hold") {
    std::string header = "{";
    for (int i = 0; i < 1 << 17; ++i)
      header += (i ? ",\"" : "\"") + std::to_string(i) +
                R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    most(safetensors_bytes(header + "}", ""), [] { io::load_safetensors(kPath); });
  }
  SUBCASE("safetensors whose metadata fill the header") {
    std::string header = R"({"__metadata__":{)";
    for (int i = 0; i < 1 << 17; ++i)
      header += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"" + std::string(100, 'x') + "\"";
    most(safetensors_bytes(header + "}}", ""), [] { io::load_safetensors(kPath); });
  }
  SUBCASE("a large tensor") {
    const std::string entry =
        R"({"a":{"dtype":"F32","shape":[16777216],"data_offsets":[0,67108864]}})";
    most(safetensors_bytes(entry, std::string(size_t{64} << 20, 'x')),
         [] { io::load_safetensors(kPath); });
  }
  SUBCASE("pickles of as many values as they may have") {
    if (!io::has_zip()) return;
    const int count = (3 << 17) - 1;
    const std::string nested = "]" + std::string(count, '\x85') + ".";
    std::string listed = "](";
    for (int i = 0; i < count / 2; ++i) listed += "]K\1";
    listed += "e.";
    for (const std::string& pickle : {nested, listed})
      most(zip_archive({{"m/data.pkl", pickle}}), [] { io::open_torch(kPath).entries(); });
  }
  SUBCASE("a large tensor of torch, and a view of it") {
    if (!io::has_zip()) return;
    const Tensor x = zeros({1 << 22});
    const std::vector<std::pair<std::string, Tensor>> state{{"x", x}};
    most(io::torch_bytes(state), load_torch);
  }
  SUBCASE("a column-major npy") {
    most(npy_bytes("{'descr': '<f4', 'fortran_order': True, 'shape': (4096, 4096), }",
                   std::string(size_t{64} << 20, 'x')),
         [] { io::read_npy(kPath); });
  }
  SUBCASE("JSON of many small values") {
    for (const std::string value : {"0", "[]", "\"\"", "{\"\":0}", "[[0],0]"}) {
      std::string text = "[0";
      while (text.size() + 20 < kMaxJsonBytes) text += "," + value;
      most(text + "]", [] { parse_json(io::read_file(kPath, kMaxJsonBytes), kPath); });
    }
  }
  SUBCASE("pictures as large as a small file may claim") {
    if (!io::has_png()) return;
    for (const int interlace : {0, 1}) {
      const uint32_t side = interlace ? 5000 : 7000;
      most(png_bytes({.width = side, .height = side, .interlace = interlace}, {"x"}),
           [] { io::read_png(kPath); });
    }
  }
}

TEST_CASE("when the i-th allocation fails, loading raises, leaks nothing, and works again") {
  FakeDisk disk;
  for (const Format& format : formats()) {
    // The JSON library allocates when it destroys an array or an object; out of memory it aborts.
    if (std::string_view(format.name) == "JSON") continue;
    CAPTURE(format.name);
    disk.add(kPath, format.sample);
    format.load();
    fail_allocation(-1);
    format.load();
    const int64_t count = allocations();
    CHECK(count > 0);
    for (int64_t i = 0; i < count; ++i) {
      bool failed = false;
      fail_allocation(i);
      try {
        format.load();
      } catch (const std::bad_alloc&) {
        failed = true;
      } catch (const Error&) {
        failed = true;  // libpng reports it in its own words
      }
      fail_allocation(-1);
      CHECK(failed);
      CHECK(disk.open_files() == 0);
    }
    format.load();
  }
}

}  // namespace brume::test
