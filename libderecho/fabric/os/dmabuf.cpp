#include "fabric/os/dmabuf.hpp"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/assert.hpp"
#include "fabric/os/memory.hpp"

namespace libderecho {
namespace {

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

class DmaBuf final : public DeviceMemory {
public:
    Status open(int fd, uint64_t offset, uint64_t size_bytes);
    void begin_touching(bool write) const override {
        DERECHO_ASSERT(mapped_);
        synchronize(DMA_BUF_SYNC_START, write);
    }
    void end_touching(bool write) const override { synchronize(DMA_BUF_SYNC_END, write); }

private:
    // A driver that has nothing to do for it may not know the call.
    void synchronize(uint64_t when, bool write) const {
        dma_buf_sync sync{when | (write ? DMA_BUF_SYNC_RW : DMA_BUF_SYNC_READ)};
        while (::ioctl(fd_, DMA_BUF_IOCTL_SYNC, &sync) != 0 && (errno == EINTR || errno == EAGAIN)) continue;
    }

    UniqueFd own_;
    Mapping addresses_;
};

Status DmaBuf::open(int fd, uint64_t offset, uint64_t size_bytes) {
    own_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!own_.valid()) return failure(DERECHO_NO_MEMORY, because("the descriptor is not duplicated"));
    fd_ = own_.get();
    offset_ = offset;
    // From its beginning: some drivers take no notice of where a mapping shall begin. So its first byte is as far into
    // a page in the dma-buf as here, too, which RDMA devices insist on.
    const uint64_t length = offset + size_bytes;
    void* at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    mapped_ = at != MAP_FAILED;
    if (!mapped_) at = ::mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return failure(DERECHO_NO_MEMORY, because(std::to_string(size_bytes) + " bytes of addresses"));
    addresses_ = Mapping(at, length);
    bytes_ = addresses_.bytes().subspan(offset);
    return {};
}

// That it is one, and reaches that far.
Status check(int fd, uint64_t offset, uint64_t size_bytes) {
    const std::string name = "descriptor " + std::to_string(fd);
    struct statfs kind {};
    if (::fstatfs(fd, &kind) != 0) return failure(DERECHO_INVALID, because(name));
    if (kind.f_type != DMA_BUF_MAGIC)
        return failure(DERECHO_INVALID,
                       name + " is not a dma-buf; a process's own memory is registered by its address");
    const off_t end = ::lseek(fd, 0, SEEK_END);
    const auto whole = static_cast<uint64_t>(end);
    if (end < 0 || (offset <= whole && size_bytes <= whole - offset)) return {};
    return failure(DERECHO_INVALID,
                   "offset and size_bytes reach beyond the end of the dma-buf, of " + std::to_string(whole) + " bytes");
}

}  // namespace

Status open_dmabuf(int fd, uint64_t offset, uint64_t size_bytes, std::unique_ptr<DeviceMemory>& out) {
    if (Status status = check(fd, offset, size_bytes); !status.ok()) return status;
    auto made = std::make_unique<DmaBuf>();
    if (Status status = made->open(fd, offset, size_bytes); !status.ok()) return status;
    out = std::move(made);
    return {};
}

}  // namespace libderecho
