#include "base/digest.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace libderecho {
namespace {

uint64_t of(std::string_view text) { return digest_of(std::as_bytes(std::span(text))); }

TEST(Digest, is_the_published_one) {
    EXPECT_EQ(of(""), 0xef46db3751d8e999ull);
    EXPECT_EQ(of("a"), 0xd24ec4f1a98c6e5bull);
    EXPECT_EQ(of("abc"), 0x44bc2cf5ad770999ull);
    EXPECT_EQ(of("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1ull);
}

TEST(Digest, is_the_same_however_bytes_are_cut) {
    std::vector<std::byte> bytes(257);
    for (size_t n = 0; n < bytes.size(); ++n) bytes[n] = static_cast<std::byte>(n * 37);
    const uint64_t whole = digest_of(bytes, 5);
    for (size_t piece = 1; piece < 100; ++piece) {
        Digest digest(5);
        for (size_t at = 0; at < bytes.size(); at += piece)
            digest.add(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
        EXPECT_EQ(digest.value(), whole) << piece;
    }
}

}  // namespace
}  // namespace libderecho
