// State in pieces, its failures and its progress, and the order of maps, over the C++ header alone.
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpp/members.hpp"

namespace derecho::testing {
namespace {

using std::chrono::seconds;

/** A counter that saves in so many pieces, while it must not change. */
class Pieces {
public:
    int64_t add(int64_t by) { return total += by; }

    Bytes save_state() const { throw std::logic_error("it saves in pieces"); }
    StatePieces save_state_pieces() const {
        return [this, left = pieces](Bytes& piece) mutable {
            if (left == fail_at) throw std::runtime_error("the disk is gone");
            if (left == 0) return false;
            --left;
            piece.assign(piece_bytes, static_cast<std::byte>(total));
            return true;
        };
    }
    void load_state(Bytes state) {
        loaded = std::move(state);
        total = loaded.empty() ? 0 : std::to_integer<int64_t>(loaded.front());
    }

    static constexpr auto derecho_service = service("Pieces", ordered<&Pieces::add>("add", "by"));

    int64_t total = 0;
    size_t pieces = 0, piece_bytes = 1, fail_at = SIZE_MAX;
    Bytes loaded;
};

Config config_of(uint32_t node, const Group* contact = nullptr) {
    Config config;
    config.node(node).listen("127.0.0.1:0").set("mail_bytes", "65536");
    if (contact != nullptr) {
        const View view = contact->view();
        config.contacts(view.members[view.self_rank].address);
    } else {
        config.found();
    }
    return config;
}

TEST(CppState, comes_in_pieces_as_of_the_request_while_calls_go_on) {
    Pieces first, second;
    first.pieces = 3000;
    first.piece_bytes = 1000;
    first.total = 7;
    Config one = config_of(1);
    Group founder = Group::join(one, first);
    std::vector<Progress> seen;
    Config two = config_of(2, &founder);
    Group joiner = Group::join(
        two, seconds(20), [&](const Progress& progress) { seen.push_back(progress); }, second);
    EXPECT_EQ(second.loaded, Bytes(3'000'000, std::byte{7}));
    EXPECT_GT(seen.size(), 100u);
    EXPECT_EQ(seen.back().bytes, 3'000'000u);
    EXPECT_EQ(seen.back().total_bytes, 0u) << "of pieces nobody knows how many there will be";
    EXPECT_GT(seen.back().bytes_per_second(), 0);
    EXPECT_EQ(founder.replicated<Pieces>().ordered<&Pieces::add>(1).all(seconds(20)).size(), 2u);
    EXPECT_EQ(first.total, 8);
}

TEST(CppState, that_cannot_be_saved_fails_the_joiner_with_the_reason) {
    Pieces first, second;
    first.pieces = 10;
    first.fail_at = 5;
    Config one = config_of(1);
    Group founder = Group::join(one, first);
    Config two = config_of(2, &founder);
    try {
        Group::join(two, seconds(20), second);
        FAIL() << "it joined";
    } catch (const StateError& error) {
        EXPECT_NE(std::string::npos, std::string(error.what())
                                         .find("member 1 cannot give the state of Pieces: "
                                               "runtime_error: the disk is gone"))
            << error.what();
    }
}

TEST(CppState, maps_keep_the_order_of_insertion) {
    CacheMember one(1);
    for (const char* key : {"b", "c", "a", "b"}) one.cache->ordered<&Cache::put>(key, Bytes{}).get(seconds(20));
    CacheMember two(2, &one);
    std::string order;
    for (const auto& [key, value] : two.service.items()) order += key;
    EXPECT_EQ(order, "bca");
}

TEST(CppMap, is_a_map_in_the_order_of_insertion) {
    Map<std::string, int> map{{"b", 1}, {"a", 2}};
    map["c"] = 3;
    EXPECT_FALSE(map.emplace("a", 9).second);
    EXPECT_EQ(map.insert_or_assign("b", 4).first, map.begin()) << "an old key stays at its place";
    EXPECT_EQ(map.erase("a"), 1u);
    EXPECT_EQ(map.erase("a"), 0u);
    map["a"] = 5;
    const Map<std::string, int> copy = map;
    std::string order;
    for (const auto& [key, value] : copy) order += key + std::to_string(value);
    EXPECT_EQ(order, "b4c3a5");
    EXPECT_EQ(copy, map);
    EXPECT_EQ(copy.at(std::string_view("c")), 3);
    EXPECT_THROW(copy.at("d"), std::out_of_range);
    map.clear();
    EXPECT_TRUE(map.empty() && !map.contains("b") && copy.contains("b"));
}

}  // namespace
}  // namespace derecho::testing
