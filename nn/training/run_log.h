#pragma once
// What a run reports: one row of numbers per report, as JSON lines, CSV and TensorBoard events.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brume::nn {

class EventFile;

using LogRow = std::vector<std::pair<std::string, double>>;

/// log.jsonl, log.csv and events.out.tfevents.* of a run directory. All rows have the same names.
class RunLog {
 public:
  /// Goes on behind `step`: rows of later steps, which a killed run may have left, are dropped
  /// from the two text files; of events, TensorBoard shows the newer file's.
  explicit RunLog(const std::string& folder, int64_t step = 0);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void append(int64_t step, const LogRow& row);

 private:
  std::string jsonl_, csv_;
  std::unique_ptr<EventFile> events_;
};

struct LoggedRow {
  int64_t step = 0;
  LogRow values;
};
/// The rows of a log.jsonl. @throws IoError, FormatError
std::vector<LoggedRow> read_log(const std::string& path);

}  // namespace brume::nn
