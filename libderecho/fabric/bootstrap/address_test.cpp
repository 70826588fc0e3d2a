#include "fabric/bootstrap/address.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <algorithm>

namespace libderecho {
namespace {

int value_of(const UniqueFd& socket, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    ::getsockopt(socket.get(), IPPROTO_TCP, option, &value, &size);
    return value;
}

TEST(EndWhenSilent, neither_an_idle_nor_a_busy_connection_ends_before_and_both_do_soon_after) {
    for (const uint64_t seconds : {1u, 2u, 10u, 30u, 3600u, 432'000u}) {
        const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        end_when_silent(socket.get(), milliseconds(seconds * 1000));
        const auto idle = static_cast<uint64_t>(value_of(socket, TCP_KEEPIDLE)) +
                          static_cast<uint64_t>(value_of(socket, TCP_KEEPINTVL)) *
                              static_cast<uint64_t>(value_of(socket, TCP_KEEPCNT));
        EXPECT_GE(idle, std::min<uint64_t>(seconds, 190'000));
        EXPECT_LE(idle, seconds + 6);
        EXPECT_EQ(static_cast<uint64_t>(value_of(socket, TCP_USER_TIMEOUT)), seconds * 1000);
    }
}

}  // namespace
}  // namespace libderecho
