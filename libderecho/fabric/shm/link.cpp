#include "fabric/shm/link.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/assert.hpp"
#include "fabric/os/sleeper.hpp"

namespace libderecho {
namespace {

constexpr size_t kMessagesPerReceive = 256;  // then the layers above get to work
constexpr size_t kFdsMax = 1;

union ControlBuffer {
    cmsghdr align;
    char bytes[CMSG_SPACE(kFdsMax * sizeof(int))];
};

// The kernel has thrown away what it brought.
Status no_descriptors() {
    return failure(DERECHO_NO_MEMORY, "this process has no descriptors left to map a peer's memory (ulimit -n)");
}

Status lost(const std::string& why) { return failure(DERECHO_UNREACHABLE, why); }

}  // namespace

int send_unix(int socket, const UnixMessage& message, std::span<const int> fds) {
    DERECHO_ASSERT(fds.size() <= kFdsMax);
    iovec piece{const_cast<UnixMessage*>(&message), sizeof message};
    ControlBuffer control{};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
    }
    for (;;) {
        const ssize_t n = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return 1;
        // ETOOMANYREFS: too many descriptors are in flight already; they drain like a full buffer does. What the kernel
        // lacks for a moment is no reason to lose a peer.
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)
            return 0;
        if (errno != EINTR) return -1;
    }
}

int receive_unix(int socket, UnixMessage& message, std::span<UniqueFd> fds) {
    iovec piece{&message, sizeof message};
    ControlBuffer control{};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    ssize_t n;
    do n = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
    size_t filled = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            UniqueFd owned(fd);
            if (filled < fds.size()) fds[filled++] = std::move(owned);
        }
    }
    errno = n == 0 ? ENOLINK : header.msg_flags & MSG_CTRUNC ? EMFILE : EPROTO;
    return n == sizeof message && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? 1 : -1;
}

ShmLink::ShmLink(ShmParts parts, MirrorTable& mirrors) : parts_(std::move(parts)), mirrors_(mirrors) {
    DERECHO_ASSERT(parts_.complete());
}

void ShmLink::announce(const OwnRegion& region) {
    UnixMessage message;
    message.kind = static_cast<uint32_t>(UnixKind::region);
    message.region = region.id().value;
    message.size_bytes = region.bytes().size();
    outgoing_.push_back({message, region.memory()});
}

void ShmLink::synced() {
    UnixMessage message;
    message.kind = static_cast<uint32_t>(UnixKind::synced);
    outgoing_.push_back({message, nullptr});
}

Status ShmLink::send() {
    while (!outgoing_.empty()) {
        const Outgoing& next = outgoing_.front();
        const int fd = next.memory ? next.memory->fd.get() : -1;
        const int sent = send_unix(parts_.socket.get(), next.message, {&fd, next.memory ? 1u : 0u});
        if (sent == 0) break;
        if (sent < 0) return lost(std::string("connection broke: ") + std::strerror(errno));
        outgoing_.pop_front();
    }
    return {};
}

Status ShmLink::receive() {
    for (size_t i = 0; i < kMessagesPerReceive; ++i) {
        UnixMessage message;
        std::array<UniqueFd, kFdsMax> fds;
        const int got = receive_unix(parts_.socket.get(), message, fds);
        if (got == 0) return {};
        if (got < 0 && errno == EPROTO) return lost("it sent a malformed message");
        if (got < 0 && errno == EMFILE) return no_descriptors();
        if (got < 0) return lost("its process ended or closed the connection");
        if (Status status = take(message, fds[0]); !status.ok()) return status;
        // Nothing else is there, as a rule; if it is, the next look finds it.
        if (message.kind == static_cast<uint32_t>(UnixKind::wake)) return {};
    }
    return {};
}

Status ShmLink::take(const UnixMessage& message, const UniqueFd& fd) {
    switch (static_cast<UnixKind>(message.kind)) {
        case UnixKind::region:
            if (!fd.valid()) break;
            return mirrors_.announce_sealed({message.region}, message.size_bytes, fd.get());
        case UnixKind::synced:
            mirrors_.synced();
            return {};
        case UnixKind::wake:
            return {};
        case UnixKind::open:
            break;
    }
    return lost("it sent a malformed message");
}

bool ShmLink::wake_if_asleep() {
    auto* control = reinterpret_cast<ControlMemory*>(parts_.control.data());
    const uint64_t epoch = std::atomic_ref<uint64_t>(control->asleep_epoch).load(std::memory_order_relaxed);
    if (epoch % 2 == 0 || epoch == woken_epoch_) return false;
    woken_epoch_ = epoch;
    UnixMessage message;
    message.kind = static_cast<uint32_t>(UnixKind::wake);
    send_unix(parts_.socket.get(), message, {});
    return true;
}

bool ShmLink::process_ended() const {
    pollfd entry{parts_.process.get(), POLLIN, 0};
    return parts_.process.valid() && ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN);
}

}  // namespace libderecho
