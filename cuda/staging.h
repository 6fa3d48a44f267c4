#pragma once

#include <memory>

#include <brume/core/staging.h>

namespace brume::cuda {

/// Two pinned buffers and a stream for their copies. Per buffer one event says that its copy has
/// landed, another that the work which reads it is done.
std::unique_ptr<Staging> make_staging();

}  // namespace brume::cuda
