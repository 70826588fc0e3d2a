// "host:port" and the sockets behind it.
#pragma once

#include <sys/socket.h>
#include <future>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/os/memory.hpp"

namespace libderecho {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size_bytes = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Both non-blocking, and closed in whatever this process starts. Not valid: errno says why.
UniqueFd open_socket(int family, int type);
UniqueFd accept_from(int listener);

// Split "host:port" or "[v6]:port". The sentence of a failure says what is accepted.
Status parse_address(std::string_view text, std::string& host_out, uint16_t& port_out);

// Listen, non-blocking; `text_out` is the address with the port that was bound.
Status listen_at(std::string_view text, UniqueFd& socket_out, std::string& text_out);

// Whether a socket listens at every address of its host, so that its own says nothing to others.
bool listens_everywhere(int socket);

// The address a socket is connected to, in words.
std::string peer_text(int socket);
// The host that it is connected to, as far as strangers are counted: of IPv6 the network, for its host part is free.
std::string peer_source(int socket);

// Have the kernel end a connection whose other end answers nothing for `patience`, busy or idle: a host that vanished,
// for a process that is held up still acknowledges. Seconds at least.
void end_when_silent(int socket, Duration patience);

// Finds the addresses behind a "host:port". Numbers at once; names on a thread of its own, for a name server may take
// seconds and the driver must not wait for it.
class Resolution {
public:
    explicit Resolution(std::string_view text);
    // Whether an answer is there: then `status` or at least one address is.
    bool done();
    Status status;
    std::vector<SocketAddress> addresses;

private:
    struct Found {
        int error = 0;
        std::vector<SocketAddress> addresses;
    };
    std::string host_;
    std::future<Found> found_;
};

}  // namespace libderecho
