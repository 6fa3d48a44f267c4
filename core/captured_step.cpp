#include <brume/core/captured_step.h>

#include <utility>

#include <brume/core/backend.h>
#include <brume/core/recording.h>

namespace brume {
namespace {

// The first makes what lasts (optimizer state, handles of libraries); the second begins as all
// later ones do, so that the third finds memory for whatever it wants.
constexpr int kRehearsals = 2;

std::unique_ptr<Recording> recording_on(Device device) {
  const auto make = backend(device.type).make_recording;
  return make ? make() : nullptr;
}

}  // namespace

CapturedStep::CapturedStep(Device device, std::function<void()> step)
    : device_(device), step_(std::move(step)), recording_(recording_on(device)) {}

CapturedStep::~CapturedStep() = default;

void CapturedStep::operator()() {
  if (!recording_) return step_();
  if (recorded_) return recording_->replay();
  try {
    if (rehearsals_ < kRehearsals) {
      recording_->rehearse(step_);
      ++rehearsals_;
    } else {
      recording_->record(step_);
      recorded_ = true;
    }
  } catch (...) {
    rehearsals_ = 0;
    recording_ = recording_on(device_);
    throw;
  }
}

}  // namespace brume
