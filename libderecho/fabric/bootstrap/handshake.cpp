#include "fabric/bootstrap/handshake.hpp"

#include <sys/socket.h>
#include <cerrno>
#include <cstring>

namespace libderecho {

MessageReader::Result MessageReader::fill(int socket, std::byte* to, size_t size_bytes, size_t& got, Status& why) {
    while (got < size_bytes) {
        const ssize_t n = ::recv(socket, to + got, size_bytes - got, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Result::nothing;
        if (n <= 0) {
            why = failure(DERECHO_UNREACHABLE, n == 0 ? std::string("it closed the connection during the handshake")
                                                      : std::string("connection broke: ") + std::strerror(errno));
            return Result::failed;
        }
        got += static_cast<size_t>(n);
    }
    return Result::message;
}

MessageReader::Result MessageReader::read(int socket, Status& why) {
    const bool header_is_new = header_got_ < sizeof header_;
    Result result = fill(socket, reinterpret_cast<std::byte*>(&header_), sizeof header_, header_got_, why);
    if (result != Result::message) return result;
    if (header_is_new) {
        why = check(header_);
        if (!why.ok()) return Result::failed;
        body_.resize(header_.length_bytes);
        body_got_ = 0;
    }
    result = fill(socket, body_.data(), body_.size(), body_got_, why);
    if (result == Result::message) header_got_ = 0;
    return result;
}

bool send_whole(int socket, std::span<const std::byte> message) {
    return ::send(socket, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(message.size());
}

const char* Handshake::waits_for() const {
    switch (stage) {
        case Stage::resolving:
            return "its host name was not found";
        case Stage::connecting:
            return "nothing answered there";
        case Stage::hello_due:
            return "something accepted the connection but did not introduce itself";
        case Stage::unix_due:
            return "it did not open its shared memory";
        case Stage::verbs_due:
            return "it did not open its end of the RDMA connection";
        case Stage::pair_due:
            return "it was not found on the RDMA network";
        case Stage::probe_due:
            return "no write over RDMA reached it";
        case Stage::yielded:
            return "it connects here itself, but did not finish";
        default:
            return "it did not finish the handshake";
    }
}

}  // namespace libderecho
