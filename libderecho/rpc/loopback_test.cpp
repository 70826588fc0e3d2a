// Letters to oneself: in order, in place, and their space is used again only after it was released.
#include "rpc/loopback.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "rpc/outbox.hpp"

namespace libderecho {
namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

TEST(Loopback, letters_come_back_in_order_whatever_their_size) {
    Loopback loop(4096);
    std::mt19937 random(1);
    std::vector<std::string> sent;
    size_t read = 0;
    for (int i = 0; i < 10'000; ++i) {
        std::string letter(random() % 1000, static_cast<char>('a' + i % 26));
        if (loop.send(static_cast<uint8_t>(1 + i % 3), bytes(letter))) sent.push_back(std::move(letter));
        Loopback::Letter back;
        while (random() % 2 && loop.read(back)) {
            ASSERT_EQ(text(back.bytes), sent[read++]);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(back.bytes.data()) % 8, 0u);
            back.mark.point->position = back.mark.position;
        }
    }
    EXPECT_GT(sent.size(), 5000u);
}

TEST(Loopback, space_is_not_used_again_before_it_is_released) {
    Loopback loop(4096);
    const std::string letter(1000, 'x');
    size_t fit = 0;
    while (loop.send(1, bytes(letter))) ++fit;
    EXPECT_EQ(fit, 4u);
    Loopback::Letter back;
    ASSERT_TRUE(loop.read(back));
    EXPECT_FALSE(loop.send(1, bytes(letter)));
    back.mark.point->position = back.mark.position;
    EXPECT_TRUE(loop.send(1, bytes(letter)));
}

TEST(Outbox, letters_wait_in_order_while_there_is_no_room) {
    Outbox outbox;
    EXPECT_FALSE(outbox.any_waiting());
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(outbox.post(NodeId{static_cast<uint32_t>(i % 2)}, 1, bytes("head"), bytes(std::to_string(i))));
    std::string got;
    int room = 3;
    const auto send = [&](NodeId node, uint8_t kind, std::span<const std::byte> letter) {
        EXPECT_EQ(kind, 1);
        if (node == NodeId{1} && room-- <= 0) return false;
        got += text(letter).substr(4);
        return true;
    };
    EXPECT_TRUE(outbox.drain(send));
    EXPECT_EQ(got, "02468135");
    EXPECT_FALSE(outbox.drain(send));
    room = 10;
    EXPECT_TRUE(outbox.drain(send));
    EXPECT_EQ(got, "0246813579");
    EXPECT_FALSE(outbox.any_waiting());
}

TEST(Outbox, one_slow_receiver_does_not_use_up_the_room_of_others) {
    Outbox outbox;
    const std::string big(1 << 20, 'x');
    size_t fit = 0;
    while (outbox.post(NodeId{1}, 1, {}, bytes(big))) ++fit;
    EXPECT_EQ(fit, Outbox::kReceiverBytesMax / big.size() - 1);  // and their heads
    EXPECT_TRUE(outbox.post(NodeId{2}, 1, {}, bytes(big)));
    outbox.drop(NodeId{1});
    EXPECT_TRUE(outbox.post(NodeId{1}, 1, {}, bytes(big)));
    outbox.drop(NodeId{1});
    outbox.drop(NodeId{2});
    EXPECT_FALSE(outbox.any_waiting());
}

}  // namespace
}  // namespace libderecho
