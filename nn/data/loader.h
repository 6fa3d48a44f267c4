#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <brume/core/staging.h>
#include <brume/nn/data/dataset.h>

namespace brume::nn {

struct LoaderOptions {
  int64_t batch_size = 1;
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t prefetch = 2;  // batches prepared ahead by a thread of its own; 0 prepares in next()
  Device device{};       // where batches are delivered
};

/// An endless stream of batches. Batch i is a function of (seed, i) alone: passes over the data
/// follow each other without a gap, each in its own random order. So the position in a checkpoint
/// is one number. On their way to a GPU batches pass through pinned memory beside its work, bytes
/// as bytes, the next one while the last is in use.
class Loader {
 public:
  /// @throws ShapeError if the data are empty or batch_size < 1
  Loader(std::shared_ptr<const Dataset> data, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  Batch next();
  /// Batches delivered so far: the number of the next one.
  int64_t cursor() const { return cursor_; }
  void seek(int64_t cursor);
  /// @throws Error if no run could have come to this batch
  static void check_seek(int64_t cursor);

 private:
  StoredBatch make(int64_t number);
  /// The next batch on the host; nothing if it is not ready and `wait` is false.
  std::optional<StoredBatch> take(bool wait);
  void send(const StoredBatch& batch);
  Batch receive();
  const std::vector<int64_t>& order_of(int64_t pass);
  void start();
  void stop();
  void run(int64_t number);

  std::shared_ptr<const Dataset> data_;
  LoaderOptions options_;
  int64_t cursor_ = 0;  // of the next batch to deliver
  int64_t taken_ = 0;   // of the next batch to take from the host

  // The order of the pass that was asked for last; used by one thread at a time.
  int64_t pass_ = -1;
  std::vector<int64_t> order_;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StoredBatch> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;

  std::unique_ptr<Staging> staging_;  // null for a device that reads the host's memory
  std::deque<StoredBatch> sent_;      // one at most: what is under way, for its shapes
};

}  // namespace brume::nn
