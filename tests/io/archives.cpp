#include <doctest/doctest.h>

#include <brume/core/io/tar.h>
#include <brume/core/io/torch_pt.h>
#include <brume/core/io/zip.h>

#include "tests/io/archive_bytes.h"
#include "tests/io/files.h"
#include "tests/io/png_bytes.h"

namespace brume::test {
namespace {

std::shared_ptr<const io::ByteSource> bytes(std::string text) {
  return std::make_shared<io::TextSource>("archive", std::move(text));
}

std::string zip_error(const std::vector<ZipPart>& parts) {
  return error_of<FormatError>([&] {
    const io::ZipFile file(bytes(zip_archive(parts)));
    for (const io::ZipEntry& e : file.entries()) file.read_text(e, 1000);
  });
}

std::string tar_error(const std::string& archive) {
  return error_of<FormatError>([&] { io::read_tar(*bytes(archive)); });
}

}  // namespace

TEST_CASE("zip: stored and deflated members are read, whole and in parts") {
  if (!io::has_zip()) return;
  const io::ZipFile file(
      bytes(zip_archive({{"a/b", "content"}, {"c", "", false}, {"d", "deflated", true}})));
  REQUIRE(file.entries().size() == 3);
  CHECK(file.read_text(file.at("a/b"), 7) == "content");
  CHECK(file.read_text(file.at("c"), 7).empty());
  CHECK(file.read_text(file.at("d"), 8) == "deflated");
  CHECK(file.find("b") == nullptr);
  CHECK(contains(error_of<FormatError>([&] { file.at("b"); }), "archive: there is no member 'b'"));
  CHECK(contains(error_of<FormatError>([&] { file.read_text(file.at("a/b"), 6); }),
                 "has 7 bytes, and at most 6 are allowed"));
  for (const char* name : {"a/b", "d"}) {
    const auto part = file.open(file.at(name));
    std::string middle(3, ' ');
    part->read(2, std::as_writable_bytes(std::span(middle)));
    CHECK(middle == (name[0] == 'a' ? "nte" : "fla"));
    CHECK_THROWS_AS(part->read(part->size() - 2, std::as_writable_bytes(std::span(middle))),
                    FormatError);
  }
}

TEST_CASE("zip: an archive in an archive is read where it lies") {
  if (!io::has_zip()) return;
  const std::string inner = zip_archive({{"x", "inner content"}});
  for (const bool deflated : {false, true}) {
    const io::ZipFile outer(bytes(zip_archive({{"first", "1"}, {"inner.zip", inner, deflated}})));
    const io::ZipFile file(outer.open(outer.at("inner.zip")));
    CHECK(file.who() == "archive: inner.zip");
    CHECK(file.read_text(file.at("x"), 100) == "inner content");
  }
}

TEST_CASE("zip: what is written is read back, aligned, and is the same every time") {
  if (!io::has_zip()) return;
  const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  const std::vector<io::ZipMember> members = {
      {"text", "some text"}, {"folder/x", transfer(x, kCpu)}, {"empty", zeros({0})}};
  const std::string archive = io::zip_bytes(members, 64);
  CHECK(io::zip_bytes(members, 64) == archive);
  const io::ZipFile file(bytes(archive));
  CHECK(file.read_text(file.at("text"), 100) == "some text");
  CHECK(file.read_text(file.at("folder/x"), 100) == bytes_of(x));
  CHECK(file.at("empty").bytes == 0);
  CHECK(archive.find("some text") % 64 == 0);
  CHECK(archive.find(bytes_of(x)) % 64 == 0);
  const TemporaryFolder folder;
  io::AtomicFile target(folder / "x.zip");
  io::write_zip(target, members, 64);
  target.commit();
  CHECK(get(folder / "x.zip") == archive);
}

TEST_CASE("zip: what lies about itself is refused") {
  if (!io::has_zip()) return;
  CHECK(zip_error({{"a", "b"}}).empty());
  CHECK(contains(zip_error({{"a", "b", false, 123}}), "member 'a': CRC error"));
  CHECK(contains(zip_error({{"a", "b", true, 123}}), "member 'a': CRC error"));
  CHECK(contains(zip_error({{"a", "b", false, {}, 2}}), "stored as 1 bytes and said to have 2"));
  CHECK(zip_error({{"a", "b", true, {}, 2}}) != "");
  CHECK(contains(zip_error({{"a", "b", true, {}, 1U << 30}}), "max_inflation"));
  CHECK(contains(zip_error({{"a", "b", false, {}, {}, "c"}}), "not a sound zip archive"));
  CHECK(contains(zip_error({{"a", "b", false, {}, {}, "", 1}}), "encrypted"));
  for (const char* name : {"../a", "a/../../b", "/a", "a\\b"})
    CHECK(contains(zip_error({{name, "b"}}), "would leave its folder"));
  CHECK(zip_error({{"a", "b"}, {"a", "c"}}) != "");
}

TEST_CASE("zip: members that overlap are refused") {
  if (!io::has_zip()) return;
  // The list names one member twice, once under another name of the same length.
  std::string archive = zip_archive({{"a", std::string(300, 'x')}});
  const size_t list = archive.find("PK\1\2"), end = archive.find("PK\5\6");
  const std::string entry = archive.substr(list, end - list);
  archive.insert(end, entry);
  archive.replace(end + entry.size() + 8, 4, little(2, 2) + little(2, 2));
  archive.replace(end + entry.size() + 12, 4, little(2 * entry.size(), 4));
  const auto refuse = [&] {
    return error_of<FormatError>([&] { const io::ZipFile file(bytes(archive)); });
  };
  CHECK(refuse() != "");
  archive[end + 46] = 'b';
  CHECK(refuse() != "");
}

TEST_CASE("zip: an archive may not claim more members than the limit") {
  if (!io::has_zip()) return;
  const auto refuse = [](const std::string& archive, uint64_t most) {
    return error_of<FormatError>(
        [&] { const io::ZipFile file(bytes(archive), {.max_entries = most}); });
  };
  const std::string two = zip_archive({{"a", "1"}, {"b", "2"}});
  CHECK(refuse(two, 2).empty());
  CHECK(contains(refuse(two, 1), "max_entries allows 1"));
}

TEST_CASE("zip: a comment behind the list of members changes nothing") {
  if (!io::has_zip()) return;
  const std::string archive = zip_archive({{"a", std::string(1000, 'x')}});
  for (const size_t size : {size_t{5}, size_t{65535}}) {
    std::string commented = archive + std::string(size, 'c');
    commented[archive.size() - 2] = static_cast<char>(size & 0xff);
    commented[archive.size() - 1] = static_cast<char>(size >> 8);
    const io::ZipFile file(bytes(commented), {.max_entries = 1});
    CHECK(file.read_text(file.at("a"), 1000) == std::string(1000, 'x'));
    CHECK(contains(error_of<FormatError>(
                       [&] { const io::ZipFile none(bytes(commented), {.max_entries = 0}); }),
                   "1 members; max_entries allows 0"));
  }
}

TEST_CASE("zip: a copy of an entry reads what the entry does") {
  if (!io::has_zip()) return;
  const io::ZipFile file(bytes(zip_archive({{"a", "first"}, {"b", "second"}})));
  const io::ZipEntry copy = file.at("b");
  CHECK(file.read_text(copy, 10) == "second");
  std::string part(3, ' ');
  file.open(copy)->read(3, std::as_writable_bytes(std::span(part)));
  CHECK(part == "ond");
}

TEST_CASE("tar: files are found, also behind long names and folders") {
  const std::string path = "folder/" + std::string(120, 'n');
  const std::string record = "134 path=" + path + "\n";
  CHECK(record.size() == 137);
  const std::string pax = "137 path=" + path + "\n";
  const auto archive = bytes(tar_archive({{"a", "first"},
                                          {"folder", "", '5'},
                                          {"PaxHeader", pax, 'x'},
                                          {"short", "second"},
                                          {"global", "ignored", 'g'},
                                          {"LongLink", path + "2", 'L'},
                                          {"short", ""},
                                          {"old", "third", '\0'}}));
  CHECK(io::is_tar(*archive));
  const std::vector<io::TarEntry> entries = io::read_tar(*archive);
  REQUIRE(entries.size() == 4);
  const char* contents[] = {"first", "second", "", "third"};
  const std::string names[] = {"a", path, path + "2", "old"};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(entries[i].name == names[i]);
    std::string content(static_cast<size_t>(entries[i].bytes), ' ');
    archive->read(entries[i].offset, std::as_writable_bytes(std::span(content)));
    CHECK(content == contents[i]);
  }
}

TEST_CASE("tar: links, names that climb, and sizes beyond the end are refused") {
  CHECK(tar_error(tar_archive({{"a", "b"}})).empty());
  for (const char type : {'1', '2', '3', '4', '6', 'S'})
    CHECK(contains(tar_error(tar_archive({{"a", "", type}})), "only files and folders"));
  for (const char* name : {"../a", "a/../../b", "/etc/passwd"})
    CHECK(contains(tar_error(tar_archive({{name, "b"}})), "would leave its folder"));
  CHECK(contains(tar_error(tar_archive({{"a", "b", '0', 1U << 30}})), "but only"));
  CHECK(contains(tar_error(tar_archive({{"a", "b"}, {"a", "c"}})), "there twice"));
  CHECK(contains(tar_error(tar_archive({{"p", "99 path=x\n", 'x'}, {"a", "b"}})), "99 bytes"));
  CHECK(contains(tar_error(tar_archive({{"p", "x", 'x'}, {"a", "b"}})), "broken record"));
  CHECK(contains(tar_error(tar_archive({{"p", std::string(1 << 17, 'x'), 'L'}})), "at most 65536"));
  std::string broken = tar_archive({{"a", "b"}});
  broken[3] = 'x';
  CHECK(contains(tar_error(broken), "the checksum is wrong"));
}

TEST_CASE("bad .mdlus files are refused here if the archive or the state in it is at fault") {
  if (!io::has_zip()) return;
  const std::string bad = BRUME_SOURCE_DIR "/tests/conformance/data/bad/mdlus_";
  const auto refuse = [&](const std::string& name) {
    return error_of<FormatError>([&] {
      std::shared_ptr<const io::ByteSource> state,
          archive = std::make_shared<io::FileSource>(bad + name + ".mdlus");
      if (io::is_tar(*archive)) {
        for (const io::TarEntry& e : io::read_tar(*archive))
          if (e.name == "model.pt")
            state = std::make_shared<io::SourcePart>(archive, "model.pt", e.offset, e.bytes);
      } else {
        const io::ZipFile zip(archive);
        state = zip.open(zip.at("model.pt"));
      }
      const io::TorchFile file(state);
      for (const io::TorchEntry& e : file.entries()) (void)file.read(e.tensor);
    });
  };
  for (const char* name : {"truncated", "not_archive", "no_model", "malicious", "tar_traversal"})
    CHECK(refuse(name) != "");
  // The others are at fault in what nn reads.
  for (const char* name : {"no_args", "no_metadata", "bad_args_json", "bad_version",
                           "unknown_argument", "shape_mismatch", "missing_key", "unexpected_key"})
    CHECK(refuse(name).empty());
}

}  // namespace brume::test
