// The raw ring of derecho.hpp: owners that close themselves, exceptions for statuses, payloads in place.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

#include <derecho.hpp>

namespace derecho {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/** Polls until an event of a kind came; the batch holds it. */
const derecho_event& next(RawGroup& group, EventBatch& batch, uint32_t kind) {
    for (int i = 0; i < 100; i++) {
        group.poll(batch, milliseconds(100));
        for (const derecho_event& event : batch) {
            if (event.kind == kind) return event;
        }
    }
    throw Timeout("no event of kind " + std::to_string(kind) + " came within 10 s");
}

/** A group of one, its first view taken. */
RawGroup found(Config& config) {
    config.node(1).listen("127.0.0.1:0").set("found", "true").service("log");
    RawGroup group = RawGroup::join(config, seconds(5));
    EventBatch batch;
    next(group, batch, DERECHO_EVENT_VIEW);
    return group;
}

std::string text_of(const derecho_event& event) {
    const BytesView data = data_of(event);
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

TEST(CppRaw, a_claim_is_filled_in_place_and_delivered_in_place) {
    Config config;
    RawGroup group = found(config);
    Claim claim = group.shard("log").claim(8);
    std::ranges::copy(bytes_of("in place"), claim.data().begin());
    claim.commit();
    EXPECT_FALSE(claim.open());
    EXPECT_THROW(claim.commit(), InvalidArgument);
    EventBatch batch;
    EXPECT_EQ(text_of(next(group, batch, DERECHO_EVENT_MESSAGE)), "in place");
    batch.release();
    EXPECT_TRUE(batch.empty());
}

TEST(CppRaw, a_claim_that_is_dropped_is_not_sent) {
    Config config;
    RawGroup group = found(config);
    { const Claim dropped = group.shard("log").claim(8); }
    group.shard("log").claim(8).abort();
    group.shard("log").send(bytes_of("next"));
    EventBatch batch;
    EXPECT_EQ(text_of(next(group, batch, DERECHO_EVENT_MESSAGE)), "next");
}

TEST(CppRaw, send_many_says_how_many_went) {
    Config config;
    RawGroup group = found(config);
    const derecho_bytes messages[] = {{"a", 1}, {"bc", 2}, {"", 0}};
    EXPECT_EQ(group.shard("log").send_many(messages), 3u);
    EventBatch batch;
    next(group, batch, DERECHO_EVENT_MESSAGE);
    ASSERT_EQ(batch.size(), 3u);
    EXPECT_EQ(text_of(batch[1]), "bc");
}

TEST(CppRaw, statuses_are_exceptions_with_the_cores_sentence) {
    Config config;
    try {
        config.set("nodde", "1");
        FAIL();
    } catch (const InvalidArgument& error) {
        EXPECT_EQ(error.status(), DERECHO_INVALID);
        EXPECT_NE(std::string(error.what()).find("nodde"), std::string::npos);
    }
    EXPECT_THROW(config.group(std::string("a\0", 2)), InvalidArgument) << "C would take it for \"a\"";
    EXPECT_THROW(config.service(std::string("a\0", 2)), InvalidArgument);
    RawGroup group = found(config);
    EXPECT_THROW(group.shard("other"), InvalidArgument);
    EXPECT_THROW(group.shard(std::string("log\0", 4)), InvalidArgument);
    EXPECT_THROW(group.shard("log").send(Bytes(64 << 20)), TooLarge);
    EXPECT_EQ(config.get("node"), "1");
}

TEST(CppRaw, what_was_closed_says_so) {
    Config config;
    RawGroup group = found(config);
    Shard shard = group.shard("log");
    Claim claim = shard.claim(8);
    group.close();
    EXPECT_THROW(group.close(), Closed);
    EXPECT_THROW(shard.send({}), Closed);
    EXPECT_THROW(claim.commit(), Closed);
    EXPECT_THROW(group.view(), Closed);
    EventBatch batch;
    EXPECT_THROW(group.poll(batch, milliseconds(1)), Closed);
    config.close();
    EXPECT_THROW(config.set("node", "2"), Closed);
}

TEST(CppRaw, owners_move) {
    Config config;
    RawGroup first = found(config);
    RawGroup second = std::move(first);
    second.shard("log").send(bytes_of("x"));
    EventBatch batch;
    next(second, batch, DERECHO_EVENT_MESSAGE);
    EventBatch moved = std::move(batch);
    EXPECT_TRUE(batch.empty());  // NOLINT: what a moved batch is, is part of its promise
    EXPECT_EQ(text_of(moved[0]), "x");
    EXPECT_EQ(second.view().nodes(), std::vector<uint32_t>{1});
    EXPECT_GT(second.stats().steps, 0u);
    EXPECT_GE(second.fd(), 0);
}

TEST(CppRaw, copies_of_a_buffer_share_it_and_the_last_one_frees_it) {
    Buffer buffer(5000);
    ASSERT_EQ(buffer.data().size(), 5000u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data().data()) % 4096, 0u);
    buffer.data()[4999] = std::byte{7};
    Buffer copy = buffer;
    buffer.release();
    EXPECT_EQ(copy.data()[4999], std::byte{7});
    copy.release();
    EXPECT_THROW(copy.data(), Closed);
    EXPECT_THROW(Buffer(0), InvalidArgument);
}

TEST(CppRaw, a_buffer_that_is_released_twice_leaves_its_copies_theirs) {
    Buffer buffer(100);
    const Buffer copy = buffer;
    buffer.release();
    buffer.release();
    EXPECT_EQ(copy.data().size(), 100u);
}

TEST(CppRaw, a_claim_that_moved_is_no_longer_open) {
    Config config;
    RawGroup group = found(config);
    Claim first = group.shard("log").claim(8);
    Claim second = std::move(first);
    EXPECT_TRUE(first.data().empty());               // NOLINT: what a moved claim is, is part of its promise
    EXPECT_THROW(first.commit(0), InvalidArgument);  // NOLINT
    second.commit();
}

}  // namespace
}  // namespace derecho
