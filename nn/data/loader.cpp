#include <brume/nn/data/loader.h>

#include <numeric>

#include <brume/core/random.h>

namespace brume::nn {

namespace {

// Their product, the number of a sample, stays far below 2^63.
constexpr int64_t kMostPerBatch = int64_t{1} << 24, kMostBatches = int64_t{1} << 36;

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
  cursor_ = cursor;
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

Batch Loader::make(int64_t number) {
  std::vector<int64_t> indices;
  for (int64_t k = number * options_.batch_size; k < (number + 1) * options_.batch_size; ++k)
    indices.push_back(order_of(k / data_->size())[static_cast<size_t>(k % data_->size())]);
  return data_->gather(indices);
}

void Loader::start() {
  stopping_ = false;
  if (options_.prefetch > 0) thread_ = std::thread([this, first = cursor_] { run(first); });
}

void Loader::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  ready_.clear();
  failure_ = nullptr;
}

void Loader::run(int64_t number) {
  try {
    for (;; ++number) {
      Batch batch = make(number);
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

Batch Loader::next() {
  if (options_.prefetch <= 0) return make(cursor_++);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);  // every later call says so again
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  ++cursor_;
  changed_.notify_all();
  return batch;
}

}  // namespace brume::nn
