#include "info.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include <brume/core/io/fs.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/quote.h>
#include <brume/core/json.h>
#include <brume/nn/model_file.h>
#include <brume/nn/training/run_log.h>

#include "run_folder.h"
#include "run_options.h"

namespace brume::tools {
namespace {

Json describe(const nn::ModelFile& file) {
  Json out{{"file", file.path}, {"format", to_string(file.format)}};
  if (!file.class_name.empty()) {
    out["class"] = file.class_name;
    out["config"] = parse_json(file.config, file.path);
  }
  out["notes"] = Json::object();
  for (const auto& [key, value] : file.notes) out["notes"][key] = value;
  out["tensors"] = Json::array();
  int64_t elements = 0, bytes = 0;
  for (const nn::StoredTensor& t : file.tensors) {
    const int64_t count = numel(t.shape), size = count * item_size(t.dtype);
    elements += count;
    bytes += size;
    Json shape = Json::array();
    for (int64_t n : t.shape) shape.push_back(n);
    out["tensors"].push_back(
        {{"name", t.name}, {"dtype", to_string(t.dtype)}, {"shape", shape}, {"bytes", size}});
  }
  out["elements"] = elements;
  out["bytes"] = bytes;
  return out;
}

constexpr size_t kLongest = 2000;  // texts of a file are shown as far as a terminal bears them

void print_tensors(const Json& tensors) {
  size_t width = 4;
  for (const Json& t : tensors)
    width = std::max(width, io::printable(t["name"].get<std::string>(), kLongest).size());
  for (const Json& t : tensors)
    std::printf("%-*s  %-5s %s\n", static_cast<int>(width),
                io::printable(t["name"].get<std::string>(), kLongest).c_str(),
                t["dtype"].get<std::string>().c_str(), t["shape"].dump().c_str());
}

void print(const Json& all, bool tensors) {
  const auto line = [](const std::string& key, const std::string& value) {
    std::printf("%-16s %s\n", io::printable(key, kLongest).c_str(),
                io::printable(value, kLongest).c_str());
  };
  line("format", all["format"].get<std::string>());
  if (all.contains("class")) {
    line("class", all["class"].get<std::string>());
    line("config", dump_json(all["config"]));
  }
  for (const auto& note : all["notes"].items()) line(note.key(), note.value().get<std::string>());
  if (tensors) print_tensors(all["tensors"]);
  std::printf("%zu tensors%s, %lld elements, %lld bytes\n", all["tensors"].size(),
              tensors ? "" : " (--tensors lists them)",
              static_cast<long long>(all["elements"].get<int64_t>()),
              static_cast<long long>(all["bytes"].get<int64_t>()));
}

// What a run folder's files say of it: the summary above the model's own description.
Json describe_run(const std::string& run) {
  const RunOptions o = options_of_run(run);
  Json out{{"run", run},
           {"task", names_of(o.task)[static_cast<size_t>(o.task)]},
           {"data", o.data.x},
           {"steps", o.steps}};
  const std::string log = io::join_path(run, "log.jsonl");
  if (io::file_status(log).kind != io::FileKind::missing) {
    const std::vector<nn::LoggedRow> rows = nn::read_log(log);
    if (!rows.empty()) {
      out["step"] = rows.back().step;
      for (const auto& [name, value] : rows.back().values)
        if (name == "loss") out["loss"] = value;
    }
  }
  out["files"] = io::list_folder(run);
  return out;
}

void print_run(const Json& run) {
  std::string files;
  for (const Json& name : run["files"])
    files += cat(files.empty() ? "" : ", ", io::printable(name.get<std::string>()));
  const bool reported = run.contains("loss");
  std::printf(
      "%-16s %s, %s of %s\n%-16s %s of %lld%s\n%-16s %s\n", "run",
      io::printable(run["run"].get<std::string>()).c_str(), run["task"].get<std::string>().c_str(),
      io::printable(run["data"].get<std::string>()).c_str(), "steps",
      run.contains("step") ? cat(run["step"].get<int64_t>()).c_str() : "0",
      static_cast<long long>(run["steps"].get<int64_t>()),
      reported ? cat(", the last report's loss is ", run["loss"].get<double>()).c_str() : "",
      "files", files.c_str());
}

int info_of_array(const std::string& path, bool json) {
  const auto [dtype, sizes] = io::read_npy_header(path);
  Json shape = Json::array();
  for (int64_t n : sizes) shape.push_back(n);
  const Json all{{"file", path},
                 {"format", "npy"},
                 {"dtype", to_string(dtype)},
                 {"shape", shape},
                 {"bytes", numel(sizes) * item_size(dtype)}};
  if (json)
    std::printf("%s\n", dump_json(all, 2).c_str());
  else
    std::printf("%-16s npy\n%-16s %s %s\n", "format", "array",
                std::string(to_string(dtype)).c_str(), shape.dump().c_str());
  return 0;
}

}  // namespace

int info(const std::string& path, bool json, bool tensors) {
  if (path.ends_with(".npy")) return info_of_array(path, json);
  Json all = describe(nn::open_model_file(model_of(path)));
  const bool is_run =
      io::file_status(io::join_path(path, "options.json")).kind == io::FileKind::regular;
  if (is_run) all["run"] = describe_run(path);
  if (json) {
    std::printf("%s\n", dump_json(all, 2).c_str());
    return 0;
  }
  if (is_run) print_run(all["run"]);
  print(all, tensors);
  return 0;
}

}  // namespace brume::tools
