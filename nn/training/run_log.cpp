#include <brume/nn/training/run_log.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/core/json.h>
#include <brume/nn/training/event_file.h>

namespace brume::nn {
namespace {

constexpr uint64_t kMaxLogBytes = uint64_t{1} << 30;

void append_line(const std::string& path, const std::string& line) {
  io::File file = io::File::append(path);
  file.write(line + "\n");
  file.close();
}

// Calls f(line, its number), from 1; an unfinished last line is none.
template <class F>
void for_each_line(const std::string& text, F f) {
  int64_t number = 1;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    f(text.substr(begin, end - begin), number++);
}

// Keeps the lines for which `keep` holds; an unfinished last line goes.
template <class Keep>
void filter_lines(const std::string& path, Keep keep) {
  if (io::file_status(path).kind == io::FileKind::missing) return;
  const std::string text = io::read_file(path, kMaxLogBytes);
  std::string kept;
  for_each_line(text, [&](const std::string& line, int64_t number) {
    if (keep(line, number)) kept += line + "\n";
  });
  if (kept != text) io::write_file(path, kept);
}

// With the digits of an f32, which is what losses and norms are computed in.
double as_f32(double value) {
  const std::string digits = cat(static_cast<float>(value));
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

int64_t step_of_csv(const std::string& line) {
  int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  return error == std::errc() ? step : 0;  // the heading stays
}

Json parse_line(const std::string& line, const std::string& path, int64_t number) {
  const std::string place = cat("'", path, "', line ", number);
  try {
    Json json = parse_json(line, place);
    const bool counts =
        json.is_object() && json.contains("step") && json["step"].is_number_integer();
    check<FormatError>(counts, place, ": a row wants an integer \"step\"");
    return json;
  } catch (const FormatError& error) {
    throw FormatError(cat(error.what(), "; delete this line, the run does not need it"));
  }
}

LoggedRow parse_row(const std::string& line, const std::string& path, int64_t number) {
  const Json json = parse_line(line, path, number);
  LoggedRow row{.step = json["step"].get<int64_t>(), .values = {}};
  for (const auto& [key, value] : json.items())
    if (key != "step")
      row.values.emplace_back(key, value.is_number() ? value.get<double>() : std::nan(""));
  return row;
}

}  // namespace

RunLog::RunLog(const std::string& folder, int64_t step)
    : jsonl_(io::join_path(folder, "log.jsonl")),
      csv_(io::join_path(folder, "log.csv")),
      events_(std::make_unique<EventFile>(folder, step)) {
  filter_lines(jsonl_, [&](const std::string& line, int64_t number) {
    return parse_row(line, jsonl_, number).step <= step;
  });
  filter_lines(csv_, [&](const std::string& line, int64_t) { return step_of_csv(line) <= step; });
}

RunLog::~RunLog() = default;

void RunLog::append(int64_t step, const LogRow& row) {
  Json json{{"step", step}};
  std::string heading = "step", line = std::to_string(step);
  for (const auto& [name, exact] : row) {
    const double value = as_f32(exact);
    json[name] = std::isfinite(value) ? Json(value) : Json(cat(value));
    heading += "," + name;
    line += "," + cat(value);
    events_->add_scalar(step, name, static_cast<float>(value));
  }
  append_line(jsonl_, dump_json(json));
  if (io::file_status(csv_).bytes == 0) append_line(csv_, heading);
  append_line(csv_, line);
}

std::vector<LoggedRow> read_log(const std::string& path) {
  if (io::file_status(path).kind == io::FileKind::missing) return {};
  const std::string text = io::read_file(path, kMaxLogBytes);
  std::vector<LoggedRow> rows;
  for_each_line(text, [&](const std::string& line, int64_t number) {
    rows.push_back(parse_row(line, path, number));
  });
  return rows;
}

}  // namespace brume::nn
