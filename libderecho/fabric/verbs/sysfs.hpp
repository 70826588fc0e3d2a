// What the kernel itself says of RDMA devices: libibverbs does not tell why it has one not, or cannot open it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace libderecho {

// Names of this host's devices.
std::vector<std::string> rdma_devices();

// Of one GID: "RoCE v2", "IB/RoCE v1"; empty if there is none.
std::string gid_type(const std::string& device, uint8_t port, int index);

// Why a device of this host cannot be used, in words for behind "RDMA device NAME": for one that libibverbs does not
// list, and for one that it lists but does not open.
std::string why_not_listed(const std::string& device);
std::string why_not_opened(const std::string& device);

}  // namespace libderecho
