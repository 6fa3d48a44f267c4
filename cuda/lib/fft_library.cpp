#include <brume/cuda/lib/fft_library.h>

#include <cuda_runtime.h>
#include <cufftXt.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include <brume/core/error.h>
#include <brume/core/recording.h>
#include <brume/cuda/lib/shared_library.h>
#include <brume/cuda/scratch.h>

namespace brume::cuda {
namespace {

/// The library's functions.
struct Library {
  decltype(&cufftGetVersion) get_version = nullptr;
  decltype(&cufftCreate) create = nullptr;
  decltype(&cufftDestroy) destroy = nullptr;
  decltype(&cufftSetAutoAllocation) set_auto_allocation = nullptr;
  decltype(&cufftMakePlanMany64) make_plan = nullptr;
  decltype(&cufftSetStream) set_stream = nullptr;
  decltype(&cufftSetWorkArea) set_work_area = nullptr;
  decltype(&cufftXtExec) execute = nullptr;
  std::string state;  // for the user
  bool usable = false;
};

/// Why the library is not usable; empty if it is.
std::string open(const std::string& file, Library& l) {
  SharedLibrary opened(file);
  opened.find("cufftGetVersion", l.get_version);
  opened.find("cufftCreate", l.create);
  opened.find("cufftDestroy", l.destroy);
  opened.find("cufftSetAutoAllocation", l.set_auto_allocation);
  opened.find("cufftMakePlanMany64", l.make_plan);
  opened.find("cufftSetStream", l.set_stream);
  opened.find("cufftSetWorkArea", l.set_work_area);
  opened.find("cufftXtExec", l.execute);
  return opened.reason();
}

Library find_library() {
  Library l;
  if (!asks_for("BRUME_FFT", "cufft")) {
    l.state = "Fourier transforms: brume's own kernels (BRUME_FFT=cufft asks for cuFFT)";
    return l;
  }
  const std::string file = cat("libcufft.so.", CUFFT_VER_MAJOR);
  const std::string reason = open(file, l);
  l.usable = reason.empty();
  int version = 0;
  if (l.usable) l.get_version(&version);
  l.state = l.usable ? cat("Fourier transforms: cuFFT ", version)
                     : cat("Fourier transforms: brume's own kernels, since ", file, " ", reason);
  return l;
}

const Library& library() {
  static const Library& found = *new Library(find_library());
  return found;
}

void check_fft(cufftResult status, const char* call, const char* op) {
  check<CudaError>(status == CUFFT_SUCCESS, op, ": cuFFT's ", call, " says ",
                   static_cast<int>(status));
}

using Form = LibraryTransform::Form;

cufftType type_of(const LibraryTransform& t) {
  const bool wide = t.dtype == DType::f64;
  switch (t.form) {
    case Form::complex:
      return wide ? CUFFT_Z2Z : CUFFT_C2C;
    case Form::from_real:
      return wide ? CUFFT_D2Z : CUFFT_R2C;
    default:
      return wide ? CUFFT_Z2D : CUFFT_C2R;
  }
}

/// Transforms of one layout. The work area is brume's, another one at each call.
struct Plan {
  cufftHandle handle = -1;
  size_t work_bytes = 0;

  Plan() = default;
  ~Plan() {
    if (handle >= 0) library().destroy(handle);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
};

std::shared_ptr<const Plan> plan_of(const LibraryTransform& t, const char* op) {
  const Library& l = library();
  auto plan = std::make_shared<Plan>();
  check_fft(l.create(&plan->handle), "Create", op);
  check_fft(l.set_auto_allocation(plan->handle, 0), "SetAutoAllocation", op);
  // The lengths of what a single axis lies in do not matter, but must be there.
  long long n = t.n;
  check_fft(l.make_plan(plan->handle, 1, &n, &n, t.x.step, t.x.distance, &n, t.y.step, t.y.distance,
                        type_of(t), t.count, &plan->work_bytes),
            "MakePlanMany64", op);
  return plan;
}

/// What a plan depends on.
using Key = std::array<int64_t, 8>;

Key key_of(const LibraryTransform& t) {
  return {static_cast<int64_t>(t.form),
          static_cast<int64_t>(t.dtype),
          t.n,
          t.count,
          t.x.step,
          t.x.distance,
          t.y.step,
          t.y.distance};
}

using Plans = std::map<Key, std::shared_ptr<const Plan>>;

constexpr size_t kMostPlans = 256;  // that no captured step keeps

// A process that keeps asking for new layouts starts again. Captured steps refer to what their
// plans hold on the device.
void make_room(Plans& plans, Stream stream) {
  if (plans.size() < kMostPlans) return;
  synchronize(stream);
  std::erase_if(plans, [](const auto& plan) { return plan.second.use_count() == 1; });
}

}  // namespace

bool has_fft_library() { return library().usable; }

std::string fft_library_state() { return library().state; }

void transform_by_library(const LibraryTransform& t, Stream stream) {
  static std::mutex& mutex = *new std::mutex;
  static Plans& plans = *new Plans;
  const std::scoped_lock lock(mutex);
  const Key key = key_of(t);
  auto found = plans.find(key);
  if (found == plans.end()) {
    refuse_in_captured_step(stream.op, "cuFFT has met no transform of this layout before");
    make_room(plans, stream);
    found = plans.emplace(key, plan_of(t, stream.op)).first;
  }
  const std::shared_ptr<const Plan>& plan = found->second;
  if (Recording* const recording = Recording::current()) recording->keep(plan);
  const Library& l = library();
  Scratch scratch;
  void* const work = scratch.take<unsigned char>(static_cast<int64_t>(plan->work_bytes));
  check_fft(l.set_work_area(plan->handle, work), "SetWorkArea", stream.op);
  check_fft(l.set_stream(plan->handle, stream.handle), "SetStream", stream.op);
  check_fft(l.execute(plan->handle, t.x.data, t.y.data, t.inverse ? CUFFT_INVERSE : CUFFT_FORWARD),
            "XtExec", stream.op);
}

}  // namespace brume::cuda
