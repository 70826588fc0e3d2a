#include "fabric/os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace libderecho {
namespace {

constexpr long kSharedMemory = 0x01021994;  // TMPFS_MAGIC: its pages are there whenever they are read
constexpr int kNoResize = F_SEAL_GROW | F_SEAL_SHRINK;
constexpr int kSeals = kNoResize | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

Status no_memory(const char* what) {
    return failure(DERECHO_NO_MEMORY, std::string(what) + ": " + std::strerror(errno));
}

// Make `to` the same as `from`, leaving untouched pages that are zero in both; whether anything was different.
bool copy_differences(Mapping& to, const Mapping& from) {
    constexpr size_t kPage = 4096;
    bool different = false;
    for (size_t at = 0; at < from.size(); at += kPage) {
        const size_t n = std::min(kPage, from.size() - at);
        if (std::memcmp(to.data() + at, from.data() + at, n) == 0) continue;
        std::memcpy(to.data() + at, from.data() + at, n);
        different = true;
    }
    return different;
}

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    if (this == &other) return *this;
    reset();
    at_ = std::exchange(other.at_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    return *this;
}

void Mapping::reset() {
    if (at_) after_fork::disown(at_);
    if (at_) ::munmap(at_, size_bytes_);
    at_ = nullptr;
    size_bytes_ = 0;
}

Status map_anonymous(size_t size_bytes, Mapping& out) {
    void* at = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return no_memory("mmap of private memory");
    out = Mapping(at, size_bytes);
    return {};
}

Status create_sealed(const char* name, size_t size_bytes, UniqueFd& fd_out, Mapping& mapping_out) {
    if (rlimit most{}; ::getrlimit(RLIMIT_FSIZE, &most) == 0 && size_bytes > most.rlim_cur)  // it would be a SIGXFSZ
        return failure(DERECHO_NO_MEMORY, "shared memory of " + std::to_string(size_bytes) +
                                              " bytes is more than this process may make a file (ulimit -f, " +
                                              std::to_string(most.rlim_cur) + " bytes): raise it, or use wire tcp");
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid()) return no_memory("memfd_create");
    if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) return no_memory("sizing shared memory");
    void* at = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return no_memory("mmap of shared memory");
    Mapping mapping(at, size_bytes);
    mapping.own_after_fork(fd.get());
    if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return no_memory("sealing shared memory");
    fd_out = std::move(fd);
    mapping_out = std::move(mapping);
    return {};
}

Status map_sealed(int fd, size_t size_bytes, Mapping& out) {
    struct stat about {};
    if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || static_cast<uint64_t>(about.st_size) != size_bytes)
        return failure(DERECHO_INVALID, "shared memory is not of the size announced");
    struct statfs where {};
    if (::fstatfs(fd, &where) != 0 || static_cast<long>(where.f_type) != kSharedMemory)
        return failure(DERECHO_INVALID, "shared memory is not ordinary memory");
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & kNoResize) != kNoResize)
        return failure(DERECHO_INVALID, "shared memory is not sealed against resizing");
    void* at = ::mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return no_memory("mmap of a peer's memory");
    out = Mapping(at, size_bytes);
    return {};
}

Status freeze(Mapping& mapping) {
    if (!mapping.valid()) return {};
    Mapping copy;
    if (Status status = map_anonymous(mapping.size(), copy); !status.ok()) return status;
    // Counters come first in every region, then data: an ascending copy never shows a counter without its data. Again
    // if the owner was writing meanwhile.
    for (int attempt = 0; attempt < 3 && copy_differences(copy, mapping); ++attempt) continue;
    ::mprotect(copy.data(), copy.size(), PROT_READ);
    if (::mremap(copy.data(), copy.size(), copy.size(), MREMAP_MAYMOVE | MREMAP_FIXED, mapping.data()) == MAP_FAILED)
        return no_memory("a copy of a peer's memory");
    copy.release();
    return {};
}

bool all_zero(std::span<const std::byte> bytes) {
    return bytes.empty() ||
           (bytes[0] == std::byte{0} && !std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1));
}

}  // namespace libderecho
