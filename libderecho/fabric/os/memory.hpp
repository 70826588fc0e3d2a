// Descriptors and mappings that clean up after themselves, and sealed memory that its owner alone can write.
#pragma once

#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/after_fork.hpp"
#include "base/status.hpp"

namespace libderecho {

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) { after_fork::own(fd); }
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    void reset(int fd = -1) {
        if (fd_ >= 0) after_fork::close(fd_);
        fd_ = fd;
        after_fork::own(fd);
    }

private:
    int fd_ = -1;
};

// A piece of address space, unmapped when dropped.
class Mapping {
public:
    Mapping() = default;
    Mapping(void* at, size_t size_bytes) : at_(static_cast<std::byte*>(at)), size_bytes_(size_bytes) {}
    Mapping(Mapping&& other) noexcept
        : at_(std::exchange(other.at_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept;
    // It is shared, and writable, by this descriptor: not so in the child of a fork().
    void own_after_fork(int fd) const { after_fork::own(at_, size_bytes_, fd); }
    ~Mapping() { reset(); }

    std::byte* data() const { return at_; }
    size_t size() const { return size_bytes_; }
    std::span<std::byte> bytes() const { return {at_, size_bytes_}; }
    bool valid() const { return at_ != nullptr; }
    void reset();
    void release() { at_ = nullptr, size_bytes_ = 0; }  // somebody else unmaps it

private:
    std::byte* at_ = nullptr;
    size_t size_bytes_ = 0;
};

// Zeroed private memory.
Status map_anonymous(size_t size_bytes, Mapping& out);

// Zeroed memory that its maker can write and everybody else who gets the descriptor can only read: the kernel refuses
// them a writable mapping, a write and a change of size. Nothing of it is left when its last user dies.
Status create_sealed(const char* name, size_t size_bytes, UniqueFd& fd_out, Mapping& mapping_out);

// Map another process's sealed memory read-only, after checking that it has the size and the seals it is said to have
// (without them its owner could shrink it and crash the reader).
Status map_sealed(int fd, size_t size_bytes, Mapping& out);

// Replace what is mapped at a mirror by a private copy of it as it is now, at the same address: its owner lives on, and
// nothing more of its must show. Without memory for it nothing is done: then this node must not look at it any more.
Status freeze(Mapping& mapping);

// Contents of a region are looked at, and sent, in blocks; fresh memory is zero anyway.
inline constexpr size_t kBlockBytes = 4096;
bool all_zero(std::span<const std::byte> bytes);

}  // namespace libderecho
