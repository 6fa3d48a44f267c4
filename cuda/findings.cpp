#include <brume/cuda/findings.h>

#include <cuda_runtime.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <brume/core/error.h>
#include <brume/cuda/memory.h>

namespace brume::cuda {

struct Findings::Places {
  static constexpr size_t kMost = 1024, kBytes = kMost * sizeof(uint64_t);

  uint64_t *device = nullptr, *host = nullptr;  // kMost of each
  std::vector<std::function<void(uint64_t)>> tell;
  bool is_over = false;  // its step has ended

  Places() : device(static_cast<uint64_t*>(memory.allocate(kBytes))) {
    void* pinned = nullptr;
    check_cuda(cudaMallocHost(&pinned, kBytes), "captured step");
    host = static_cast<uint64_t*>(pinned);
    clear();
  }
  ~Places() {
    cudaFreeHost(host);
    memory.free(device, kBytes);
  }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  void clear() const {
    std::fill_n(host, kMost, 0);
    memory.fill_bytes(device, 0, kBytes);
  }
  /// Its number, or tell.size().
  size_t first_found() const {
    const auto end = static_cast<std::ptrdiff_t>(tell.size());
    return static_cast<size_t>(std::find_if(host, host + end, [](uint64_t w) { return w != 0; }) -
                               host);
  }
};

namespace {

struct All {
  std::mutex mutex;
  std::vector<std::shared_ptr<Findings::Places>> places;
};

All& all() {
  static All& instance = *new All;
  return instance;
}

}  // namespace

Findings::Findings() : places_(std::make_shared<Places>()) {
  const std::scoped_lock lock(all().mutex);
  all().places.push_back(places_);
}

Findings::~Findings() {
  const std::scoped_lock lock(all().mutex);
  places_->is_over = true;
  if (places_->first_found() == places_->tell.size()) std::erase(all().places, places_);
}

uint64_t* Findings::add(std::function<void(uint64_t)> tell) {
  const std::scoped_lock lock(all().mutex);
  check<Error>(places_->tell.size() < Places::kMost, "captured step: checks more than ",
               Places::kMost, " indices; capture a smaller step");
  places_->tell.push_back(std::move(tell));
  return places_->device + places_->tell.size() - 1;
}

void Findings::bring(Stream stream) const {
  if (places_->tell.empty()) return;
  check_cuda(
      cudaMemcpyAsync(places_->host, places_->device, places_->tell.size() * sizeof(uint64_t),
                      cudaMemcpyDeviceToHost, stream.handle),
      stream.op);
}

void tell_findings() {
  std::function<void(uint64_t)> tell;
  uint64_t word = 0;
  {
    const std::scoped_lock lock(all().mutex);
    auto& places = all().places;
    const auto found = std::find_if(places.begin(), places.end(), [](const auto& p) {
      return p->first_found() < p->tell.size();
    });
    if (found == places.end()) return;
    const size_t i = (*found)->first_found();
    tell = (*found)->tell[i];
    word = (*found)->host[i];
    (*found)->clear();  // what came behind follows from it
    if ((*found)->is_over) places.erase(found);
  }
  tell(word);
}

}  // namespace brume::cuda
