#include <brume/core/cpu/scratch.h>

#include <algorithm>
#include <new>
#include <vector>

#include <brume/core/cpu/memory.h>

namespace brume::cpu {
namespace {

#ifdef BRUME_SANITIZE
constexpr std::align_val_t kAlign{64};
constexpr size_t kFirstSlab = 0;  // every piece is an allocation of its own: overruns are seen
#else
constexpr std::align_val_t kAlign{kHugePage};
constexpr size_t kFirstSlab = kHugePage;
#endif

struct Slab {
  std::byte* data;
  size_t size, used;
};

// A stack of slabs. Only the last one in use is partly filled.
struct Stack {
  std::vector<Slab> slabs;
  size_t current = 0;

  ~Stack() { release(); }
  void release() {
    for (const Slab& slab : slabs) ::operator delete(slab.data, kAlign);
    slabs.clear();
  }
  bool is_unused() const { return current == 0 && slabs[0].used == 0; }
  // One slab that holds what all of them did.
  void merge() {
    size_t total = 0;
    for (const Slab& slab : slabs) total += slab.size;
    release();
    add(total);
  }
  void add(size_t bytes) {
    slabs.push_back({static_cast<std::byte*>(::operator new(bytes, kAlign)), bytes, 0});
    ask_for_huge_pages(slabs.back().data, bytes);
  }
};

thread_local Stack stack;

}  // namespace

Scratch::Scratch()
    : slab_(stack.current), used_(stack.slabs.empty() ? 0 : stack.slabs[stack.current].used) {}

Scratch::~Scratch() {
  if (stack.slabs.empty()) return;
  for (size_t i = slab_ + 1; i <= stack.current; ++i) stack.slabs[i].used = 0;
  stack.current = slab_;
  stack.slabs[slab_].used = used_;
#ifdef BRUME_SANITIZE
  if (slab_ == 0 && used_ == 0) stack.release();
#endif
}

void* Scratch::take_bytes(size_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  if (stack.slabs.size() > 1 && stack.is_unused()) stack.merge();
  if (stack.slabs.empty()) stack.add(std::max(bytes, kFirstSlab));
  while (stack.slabs[stack.current].size - stack.slabs[stack.current].used < bytes) {
    if (stack.current + 1 == stack.slabs.size()) stack.add(std::max(bytes, kFirstSlab));
    ++stack.current;
  }
  Slab& slab = stack.slabs[stack.current];
  void* data = slab.data + slab.used;
  slab.used += bytes;
  return data;
}

}  // namespace brume::cpu
