#include "fabric/tcp/link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace libderecho {
namespace {

constexpr size_t kPiecesMax = 256;
constexpr size_t kReceiveBytesPerPoll = 4 << 20;  // then the layers above get to work

Status connection_lost(int error) {
    return failure(DERECHO_UNREACHABLE, std::string("connection broke: ") + std::strerror(error));
}

}  // namespace

TcpLink::TcpLink(UniqueFd socket, MirrorTable& mirrors, uint64_t queue_bytes_max)
    : socket_(std::move(socket)), receiver_(mirrors), queue_bytes_max_(queue_bytes_max) {
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void TcpLink::announce_with_contents(const OwnRegion& region) {
    announce(region);
    const std::span<const std::byte> bytes = region.bytes();
    for (size_t at = 0; at < bytes.size(); at += kBlockBytes) {
        const auto block = bytes.subspan(at, std::min(kBlockBytes, bytes.size() - at));
        if (!all_zero(block)) queue_.copied_data(region.id(), at, block);
    }
    initial_bytes_ = queue_.held_bytes();
}

Status TcpLink::send() {
    std::array<iovec, kPiecesMax> pieces;
    socket_full_ = false;
    while (!queue_.empty() && !socket_full_) {
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = queue_.gather(pieces);
        size_t due = 0;
        for (size_t i = 0; i < message.msg_iovlen; ++i) due += pieces[i].iov_len;
        const ssize_t n = due == 0 ? 0 : ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)) {
            socket_full_ = true;
            break;
        }
        if (n < 0) return connection_lost(errno);
        queue_.sent(static_cast<size_t>(n));
        socket_full_ = static_cast<size_t>(n) < due;
    }
    if (queue_.empty()) initial_bytes_ = 0;
    return {};
}

Status TcpLink::receive() {
    for (size_t total = 0; total < kReceiveBytesPerPoll;) {
        std::array<iovec, 2> pieces;
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = receiver_.prepare(pieces);
        size_t room = 0;
        for (size_t i = 0; i < message.msg_iovlen; ++i) room += pieces[i].iov_len;
        const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
        if (n == 0) return failure(DERECHO_UNREACHABLE, "its process ended or closed the connection");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)) return {};
        if (n < 0) return connection_lost(errno);
        if (Status status = receiver_.received(static_cast<size_t>(n)); !status.ok()) return status;
        if (static_cast<size_t>(n) < room) return {};  // that was all
        total += static_cast<size_t>(n);
    }
    return {};
}

Status TcpLink::check_backlog() const {
    const uint64_t held = queue_.held_bytes();
    if (held <= queue_bytes_max_ + initial_bytes_) return {};
    return failure(DERECHO_UNREACHABLE,
                   "it reads too slowly: " + std::to_string(held) +
                       " bytes wait for it, more than tcp_queue_bytes_max = " + std::to_string(queue_bytes_max_));
}

}  // namespace libderecho
