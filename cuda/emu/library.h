#pragma once
// The functions of a library's twin, as dlsym finds them.

#include <span>
#include <string_view>

namespace brume::cuda::emu {

struct Symbol {
  std::string_view name;
  void* address;
};

template <class F>
void* address_of(F* function) {
  return reinterpret_cast<void*>(function);
}

std::span<const Symbol> cublaslt_symbols();
std::span<const Symbol> cudnn_symbols();
std::span<const Symbol> cufft_symbols();

}  // namespace brume::cuda::emu
