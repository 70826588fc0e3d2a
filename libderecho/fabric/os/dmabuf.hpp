// Device memory as Linux has drivers share it: a dma-buf, which is a file descriptor.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.hpp"
#include "fabric/direct.hpp"

namespace libderecho {

// `size_bytes` of it, from `offset` on. The descriptor is duplicated: the caller keeps its own.
Status open_dmabuf(int fd, uint64_t offset, uint64_t size_bytes, std::unique_ptr<DeviceMemory>& out);

}  // namespace libderecho
