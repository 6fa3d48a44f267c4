#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace brume::nn {

/// The scalars of a run as TensorBoard reads them: records of a length, protocol-buffer bytes and
/// masked CRC-32C sums. Each start of a run has its own file, as TensorBoard joins them by step.
class EventFile {
 public:
  /// Writes events.out.tfevents.<step> in `folder`, over one that is there.
  EventFile(const std::string& folder, int64_t step);
  void add_scalar(int64_t step, std::string_view tag, float value);

 private:
  void add_record(std::string_view event);
  std::string path_;
};

/// The Castagnoli checksum. @source RFC 3720, appendix B.4
uint32_t crc32c(std::string_view bytes);

}  // namespace brume::nn
