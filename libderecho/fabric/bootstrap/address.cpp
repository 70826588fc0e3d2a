#include "fabric/bootstrap/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "base/names.hpp"
#include "fabric/os/apart.hpp"

namespace libderecho {
namespace {

constexpr int kBacklog = 128;

int lookup(const std::string& host, uint16_t port, int flags, std::vector<SocketAddress>& out) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0) return error;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        SocketAddress address;
        if (each->ai_addrlen > sizeof address.storage) continue;
        std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
        address.size_bytes = each->ai_addrlen;
        out.push_back(address);
    }
    ::freeaddrinfo(found);
    return out.empty() ? EAI_NONAME : 0;
}

Status unknown_host(const std::string& host, int error) {
    return failure(DERECHO_UNREACHABLE, "host '" + host + "' is not known: " + ::gai_strerror(error));
}

uint16_t port_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

UniqueFd open_socket(int family, int type) {
    return after_fork::without_fork([&] { return UniqueFd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
}

UniqueFd accept_from(int listener) {
    return after_fork::without_fork(
        [&] { return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); });
}

Status parse_address(std::string_view text, std::string& host_out, uint16_t& port_out) {
    const size_t colon = text.rfind(':');
    const std::string shown = "address " + quoted(text.substr(0, 80));
    if (!is_printable(text)) return failure(DERECHO_INVALID, shown + " is no plain text");
    if (colon == std::string_view::npos || colon == 0)
        return failure(DERECHO_INVALID, shown + " is not of the form host:port, such as 127.0.0.1:7001");
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return failure(DERECHO_INVALID, shown + ": write an IPv6 address as [address]:port");
    const std::string_view digits = text.substr(colon + 1);
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || port > 65535)
        return failure(DERECHO_INVALID, shown + " has no port between 0 and 65535 after its last colon");
    host_out = host;
    port_out = static_cast<uint16_t>(port);
    return {};
}

Status listen_at(std::string_view text, UniqueFd& socket_out, std::string& text_out) {
    std::string host;
    uint16_t port = 0;
    if (Status status = parse_address(text, host, port); !status.ok()) return status;
    std::vector<SocketAddress> addresses;
    if (const int error = lookup(host, port, AI_PASSIVE, addresses); error != 0)
        return failure(DERECHO_INVALID, unknown_host(host, error).detail);
    const SocketAddress& address = addresses.front();
    UniqueFd socket = open_socket(address.storage.ss_family, SOCK_STREAM);
    if (!socket.valid())
        return failure(DERECHO_NO_MEMORY, std::string("no socket to listen with: ") + std::strerror(errno));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool bound =
        ::bind(socket.get(), address.get(), address.size_bytes) == 0 && ::listen(socket.get(), kBacklog) == 0;
    if (!bound && errno == EADDRINUSE)
        return failure(DERECHO_ADDRESS_IN_USE,
                       "another process listens at " + std::string(text) +
                           " already: perhaps this node runs already; otherwise choose another port");
    if (!bound)
        return failure(DERECHO_INVALID, "cannot listen at " + std::string(text) + ": " + std::strerror(errno) +
                                            "; use an address of this host");
    sockaddr_storage actual{};
    socklen_t size = sizeof actual;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&actual), &size);
    text_out = std::string(text.substr(0, text.rfind(':') + 1)) + std::to_string(port_of(actual));
    socket_out = std::move(socket);
    return {};
}

bool listens_everywhere(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
    if (address.ss_family == AF_INET6) {
        const in6_addr& at = reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
        return std::memcmp(&at, &in6addr_any, sizeof at) == 0;
    }
    return reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr == htonl(INADDR_ANY);
}

std::string peer_text(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return host;
    if (address.ss_family == AF_INET6)
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(address).sin6_addr, host, sizeof host);
    else
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(address).sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(port_of(address));
}

std::string peer_source(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    const auto bytes = [](const void* from, size_t n) { return std::string(static_cast<const char*>(from), n); };
    if (address.ss_family != AF_INET6)
        return bytes(&reinterpret_cast<const sockaddr_in&>(address).sin_addr, sizeof(in_addr));
    const in6_addr& at = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return IN6_IS_ADDR_V4MAPPED(&at) ? bytes(at.s6_addr + 12, 4) : bytes(at.s6_addr, 8);
}

void end_when_silent(int socket, Duration patience) {
    constexpr int kProbes = 5, kSecondsMax = 32'767;
    const auto set = [&](int level, int option, int value) {
        ::setsockopt(socket, level, option, &value, sizeof value);
    };
    const uint64_t seconds = (patience.ns + 999'999'999) / 1'000'000'000;
    const int between = static_cast<int>(std::clamp<uint64_t>((seconds + kProbes) / (kProbes + 1), 1, kSecondsMax));
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, between);
    set(IPPROTO_TCP, TCP_KEEPINTVL, between);
    set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::min<uint64_t>(seconds * 1000, INT32_MAX)));
}

Resolution::Resolution(std::string_view text) {
    uint16_t port = 0;
    status = parse_address(text, host_, port);
    if (status.ok() && port == 0) status = failure(DERECHO_INVALID, "address '" + std::string(text) + "' has port 0");
    if (!status.ok() || lookup(host_, port, AI_NUMERICHOST, addresses) == 0) return;
    try {
        found_ = apart([host = host_, port] {
            Found found;
            found.error = lookup(host, port, 0, found.addresses);
            return found;
        });
    } catch (const std::system_error&) {
        status = failure(DERECHO_NO_MEMORY, "no thread to look up host '" + host_ + "'");
    }
}

bool Resolution::done() {
    if (!found_.valid()) return true;
    if (!is_there(found_)) return false;
    Found found = found_.get();
    if (found.error != 0) status = unknown_host(host_, found.error);
    addresses = std::move(found.addresses);
    return true;
}

}  // namespace libderecho
