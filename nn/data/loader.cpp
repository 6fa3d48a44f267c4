#include <brume/nn/data/loader.h>

#include <cstring>
#include <numeric>

#include <brume/autograd/mode.h>
#include <brume/core/backend.h>
#include <brume/core/random.h>
#include <brume/core/recording.h>

namespace brume::nn {

namespace {

// Their product, the number of a sample, stays far below 2^63.
constexpr int64_t kMostPerBatch = int64_t{1} << 24, kMostBatches = int64_t{1} << 36;

size_t bytes_of(const Tensor& x) {
  return x.defined() ? static_cast<size_t>(x.numel() * item_size(x.dtype())) : 0;
}
constexpr size_t aligned(size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

Loader::Loader(std::shared_ptr<const Dataset> data, LoaderOptions options)
    : data_(std::move(data)), options_(options) {
  check<Error>(data_ != nullptr, "Loader: wants data, got a null pointer");
  check(data_->size() > 0, "Loader: the data are empty");
  check(options.batch_size >= 1 && options.batch_size <= kMostPerBatch,
        "Loader: wants a batch_size of 1 to ", kMostPerBatch, ", got ", options.batch_size);
  start();
}

Loader::~Loader() { stop(); }

void Loader::check_seek(int64_t cursor) {
  check(cursor >= 0 && cursor <= kMostBatches, "Loader: wants a batch from 0 to ", kMostBatches,
        ", got ", cursor);
}

void Loader::seek(int64_t cursor) {
  check_seek(cursor);
  stop();
  cursor_ = taken_ = cursor;
  start();
}

const std::vector<int64_t>& Loader::order_of(int64_t pass) {
  if (pass == pass_) return order_;
  pass_ = pass;
  order_.resize(static_cast<size_t>(data_->size()));
  std::iota(order_.begin(), order_.end(), 0);
  if (options_.shuffle) {
    Generator rng = Generator(options_.seed).for_sample(static_cast<uint64_t>(pass));
    for (size_t i = order_.size(); i > 1; --i)  // Fisher and Yates
      std::swap(order_[i - 1], order_[static_cast<size_t>(rng.integer(static_cast<int64_t>(i)))]);
  }
  return order_;
}

StoredBatch Loader::make(int64_t number) {
  std::vector<int64_t> indices;
  for (int64_t k = number * options_.batch_size; k < (number + 1) * options_.batch_size; ++k)
    indices.push_back(order_of(k / data_->size())[static_cast<size_t>(k % data_->size())]);
  if (staging_) return data_->gather_stored(indices);
  Batch batch = data_->gather(indices);
  return {.x = std::move(batch.x), .label = std::move(batch.label)};
}

void Loader::start() {
  stopping_ = false;
  const auto make_staging = backend(options_.device.type).make_staging;
  staging_ = make_staging ? make_staging() : nullptr;
  if (options_.prefetch > 0) thread_ = std::thread([this, first = taken_] { run(first); });
}

void Loader::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  ready_.clear();
  sent_.clear();
  failure_ = nullptr;
}

void Loader::run(int64_t number) {
  try {
    for (;; ++number) {
      StoredBatch batch = make(number);
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return stopping_ || static_cast<int64_t>(ready_.size()) < options_.prefetch;
      });
      if (stopping_) return;
      ready_.push_back(std::move(batch));
      changed_.notify_all();
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

std::optional<StoredBatch> Loader::take(bool wait) {
  if (options_.prefetch <= 0) {
    if (!wait) return {};
    return make(taken_++);
  }
  std::unique_lock lock(mutex_);
  if (!wait && ready_.empty()) return {};
  changed_.wait(lock, [&] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);  // every later call says so again
  StoredBatch batch = std::move(ready_.front());
  ready_.pop_front();
  ++taken_;
  changed_.notify_all();
  return batch;
}

// x, then the labels behind it.
void Loader::send(const StoredBatch& batch) {
  const size_t x = bytes_of(batch.x), labels = bytes_of(batch.label);
  std::byte* const to = staging_->fill(aligned(x) + labels);
  std::memcpy(to, batch.x.data(), x);
  if (labels > 0) std::memcpy(to + aligned(x), batch.label.data(), labels);
  staging_->send();
  sent_.push_back(batch);
}

Batch Loader::receive() {
  const NoGrad no_grad;
  const StoredBatch host = std::move(sent_.front());
  sent_.pop_front();
  std::byte* const from = staging_->receive();
  const auto own = [&](const Tensor& like, std::byte* at) {
    const Tensor y = empty(like.shape(), {.dtype = like.dtype(), .device = options_.device});
    copy_(y, from_memory(at, like.shape(), like.dtype(), {}, options_.device));
    return y;
  };
  StoredBatch batch = host;
  batch.x = own(host.x, from);
  if (host.label.defined()) batch.label = own(host.label, from + aligned(bytes_of(host.x)));
  staging_->release();
  return final_batch(batch);
}

Batch Loader::next() {
  if (!staging_) {
    StoredBatch batch = *take(true);
    ++cursor_;
    return {.x = std::move(batch.x), .label = std::move(batch.label)};
  }
  refuse_in_captured_step("Loader", "batches come to the device between steps");
  if (sent_.empty()) send(*take(true));
  const Batch batch = receive();
  ++cursor_;
  if (const std::optional<StoredBatch> ahead = take(false)) send(*ahead);
  return batch;
}

}  // namespace brume::nn
