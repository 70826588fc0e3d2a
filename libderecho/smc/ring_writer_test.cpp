// The writing side of a byte ring: claims by many threads, published in order, carried over a change of view.
#include "smc/ring_writer.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "smc/batch.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kRing = 64 << 10;

struct Ring {
    std::vector<std::byte> bytes = std::vector<std::byte>(kRing);
};

std::vector<std::string> messages(const Ring& ring, uint64_t from, uint64_t to) {
    std::vector<std::string> found;
    while (from < to) {
        FrameTag frame;
        std::memcpy(&frame, ring.bytes.data() + from % kRing, sizeof frame);
        if (frame.kind == FrameKind::message) {
            found.emplace_back(reinterpret_cast<const char*>(ring.bytes.data() + from % kRing + sizeof(FrameHeader)),
                               frame.size_bytes);
        }
        from += whole_frame_bytes(frame);
    }
    return found;
}

class RingWriterTest : public ::testing::Test {
protected:
    RingWriterTest() {
        writer.move_to(ring.bytes, 0, 1);
        writer.unseal();
    }
    Claim claim(const std::string& text) {
        Claim made;
        EXPECT_EQ(writer.claim(text.size(), made), RingWriter::Result::ok);
        std::memcpy(made.payload, text.data(), text.size());
        return made;
    }
    void send(const std::string& text) {
        const Claim made = claim(text);
        EXPECT_TRUE(writer.commit(made, FrameKind::message, 0, text.size()));
    }

    RingWriter writer{kRing};
    Ring ring;
};

TEST_F(RingWriterTest, nothing_is_public_before_its_commit_and_claims_keep_their_order) {
    const Claim first = claim("first");
    send("second");
    EXPECT_FALSE(writer.publish(1));  // the open claim holds back the later one
    EXPECT_EQ(writer.published_bytes(), 0u);
    writer.commit(first, FrameKind::message, 0, 5);
    EXPECT_TRUE(writer.publish(1));
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()), (std::vector<std::string>{"first", "second"}));
    EXPECT_EQ(writer.published_rounds(), 2u);
}

TEST_F(RingWriterTest, a_message_may_use_less_than_it_claimed) {
    Claim made;
    ASSERT_EQ(writer.claim(1000, made), RingWriter::Result::ok);
    std::memcpy(made.payload, "abc", 3);
    writer.commit(made, FrameKind::message, 0, 3);
    send("next");
    writer.publish(1);
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()), (std::vector<std::string>{"abc", "next"}));
}

TEST_F(RingWriterTest, an_aborted_claim_is_no_message) {
    const Claim made = claim("never");
    send("seen");
    writer.abort(made);
    writer.publish(1);
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()), std::vector<std::string>{"seen"});
    EXPECT_EQ(writer.published_rounds(), 1u);
}

TEST_F(RingWriterTest, a_full_ring_refuses_until_its_readers_release) {
    const std::string large(kRing / 8, 'x');
    Claim made;
    size_t fitted = 0;
    while (writer.claim(large.size(), made) == RingWriter::Result::ok) {
        writer.commit(made, FrameKind::message, 0, large.size());
        ++fitted;
    }
    EXPECT_EQ(fitted, 7u);
    writer.publish(1);
    writer.reuse_below(writer.published_bytes() / 7 * 3);
    EXPECT_EQ(writer.claim(large.size(), made), RingWriter::Result::ok);
}

TEST_F(RingWriterTest, frames_never_cross_the_end_of_the_ring) {
    uint64_t released = 0;
    uint64_t seen = 0;
    for (size_t i = 0; i < 5000; ++i) {
        const std::string text(i * 37 % 3000, static_cast<char>('a' + i % 26));
        send(text);
        writer.publish(i);
        const auto found = messages(ring, released, writer.published_bytes());
        ASSERT_EQ(found.size(), 1u);
        ASSERT_EQ(found[0], text);
        released = writer.published_bytes();
        writer.reuse_below(released);
        ++seen;
    }
    EXPECT_GT(writer.published_bytes(), 100 * kRing);
    EXPECT_EQ(writer.published_rounds(), seen);
}

TEST_F(RingWriterTest, a_sealed_ring_takes_no_claims_yet_lets_open_ones_commit) {
    const Claim open = claim("open");
    writer.seal();
    Claim refused;
    EXPECT_EQ(writer.claim(1, refused), RingWriter::Result::sealed);
    EXPECT_TRUE(writer.commit(open, FrameKind::message, 0, 4));
}

TEST_F(RingWriterTest, what_was_not_delivered_goes_on_in_the_next_ring) {
    send("delivered");
    writer.publish(1);
    const uint64_t trim = writer.published_bytes();
    send("published");
    writer.claim_nulls(5);
    writer.publish(2);
    send("committed");
    const Claim orphan = claim("open");
    Ring next;
    writer.move_to(next.bytes, trim, 1);
    writer.unseal();
    EXPECT_EQ(messages(next, 0, writer.published_bytes()), (std::vector<std::string>{"published", "committed"}));
    EXPECT_EQ(writer.published_rounds(), 2u);
    EXPECT_TRUE(writer.has_orphans());
    EXPECT_FALSE(writer.commit(orphan, FrameKind::message, 0, 4));  // refused, and refused again until forgotten
    EXPECT_FALSE(writer.commit(orphan, FrameKind::message, 0, 4));
    writer.forget_orphan(orphan);
    EXPECT_FALSE(writer.has_orphans());
    send("later");
    writer.publish(3);
    EXPECT_EQ(messages(next, 0, writer.published_bytes()),
              (std::vector<std::string>{"published", "committed", "later"}));
}

TEST_F(RingWriterTest, an_orphan_that_is_never_committed_ends_in_a_full_ring_and_not_in_a_mix_up) {
    claim("leaked");
    Ring next;
    writer.move_to(next.bytes, 0, 1);
    writer.unseal();
    Claim made;
    size_t sent = 0;
    while (writer.claim(0, made) == RingWriter::Result::ok && sent < 3 * limits::open_claims_max) {
        writer.commit(made, FrameKind::message, 0, 0);
        writer.publish(1);
        writer.reuse_below(writer.published_bytes());
        ++sent;
    }
    EXPECT_EQ(sent, limits::open_claims_max - 1);
}

std::string bytes_of(const std::vector<std::string>& texts, std::vector<derecho_bytes>& all) {
    for (const std::string& text : texts) all.push_back({text.data(), text.size()});
    std::string payload(plan_batch(all, kRing).bytes, '\0');
    write_batch(all, reinterpret_cast<std::byte*>(payload.data()));
    return payload;
}

TEST_F(RingWriterTest, a_batch_is_one_claim_and_many_messages) {
    const std::vector<std::string> texts{"one", "", "three and more", "four"};
    std::vector<derecho_bytes> all;
    const std::string payload = bytes_of(texts, all);
    send("before");
    const Claim batch = claim(payload);
    send("behind");
    writer.publish(1);
    EXPECT_EQ(writer.published_messages(), 1u);
    EXPECT_TRUE(writer.commit(batch, FrameKind::batch, 0, payload.size()));
    writer.publish(7);
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()),
              (std::vector<std::string>{"before", "one", "", "three and more", "four", "behind"}));
    EXPECT_EQ(writer.published_messages(), 6u);
    EXPECT_EQ(writer.published_rounds(), 6u);
    FrameHeader first;
    std::memcpy(&first, ring.bytes.data() + frame_bytes(6) + sizeof(FrameHeader), sizeof first);
    EXPECT_EQ(first.timestamp_ns, 7u);
    EXPECT_EQ(first.ticket, batch.ticket);
}

TEST_F(RingWriterTest, a_batch_goes_on_in_the_next_ring_from_whichever_message_was_not_delivered) {
    const std::vector<std::string> texts{"one", "two", "three"};
    std::vector<derecho_bytes> all;
    const std::string payload = bytes_of(texts, all);
    const Claim published = claim(payload), committed = claim(payload);
    EXPECT_TRUE(writer.commit(published, FrameKind::batch, 0, payload.size()));
    writer.publish(1);
    EXPECT_TRUE(writer.commit(committed, FrameKind::batch, 0, payload.size()));
    const Claim open = claim(payload);
    Ring next;
    writer.move_to(next.bytes, sizeof(FrameHeader) + 2 * frame_bytes(3), 2);  // "one" and "two" were delivered
    writer.unseal();
    EXPECT_EQ(writer.published_messages(), 6u);
    EXPECT_FALSE(writer.commit(open, FrameKind::batch, 0, payload.size()));
    writer.forget_orphan(open);
    const Claim again = claim(payload);
    EXPECT_TRUE(writer.commit(again, FrameKind::batch, 0, payload.size()));
    writer.publish(3);
    EXPECT_EQ(messages(next, 0, writer.published_bytes()),
              (std::vector<std::string>{"three", "one", "two", "three", "one", "two", "three"}));
}

TEST_F(RingWriterTest, a_batch_takes_what_fits) {
    const std::string text(100, 'x');
    const std::vector<derecho_bytes> all(10, derecho_bytes{text.data(), text.size()});
    EXPECT_EQ(plan_batch(all, 10 * frame_bytes(100)).count, 10u);
    EXPECT_EQ(plan_batch(all, 10 * frame_bytes(100) - 1).count, 9u);
    EXPECT_EQ(plan_batch(all, 99).count, 0u);
    const derecho_bytes huge{text.data(), ~0ull};
    EXPECT_EQ(plan_batch({&huge, 1}, limits::batch_bytes).count, 0u);
    EXPECT_EQ(plan_batch({}, limits::batch_bytes).bytes, 0u);
}

// The slot that is looked at next is the orphan's, and its commit is being refused at that very moment.
TEST_F(RingWriterTest, an_orphan_is_never_taken_for_the_claim_a_lap_later) {
    const Claim orphan = claim("open");
    ASSERT_TRUE(writer.set_aside_open_claims(1));
    Claim made;
    while (writer.claim(0, made) == RingWriter::Result::ok) {
        writer.commit(made, FrameKind::message, 0, 0);
        writer.publish(1);
        writer.reuse_below(writer.published_bytes());
    }
    std::atomic<bool> over{false};
    std::thread refused([&] {
        while (!over) EXPECT_FALSE(writer.commit(orphan, FrameKind::message, 0, 4));
    });
    const uint64_t published = writer.published_bytes();
    for (int i = 0; i < 200'000 && writer.published_bytes() == published; ++i) writer.publish(1);
    over = true;
    refused.join();
    EXPECT_EQ(writer.published_bytes(), published);
}

TEST_F(RingWriterTest, a_claim_that_stays_open_is_set_aside_and_keeps_its_bytes_to_itself) {
    send("before");
    const Claim first = claim("slow"), second = claim("slower");
    send("behind");
    ASSERT_TRUE(writer.set_aside_open_claims(1));
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()), (std::vector<std::string>{"before", "behind"}));
    EXPECT_EQ(writer.reusable(writer.published_bytes()), frame_bytes(6));  // nobody may write where they still do
    std::memcpy(first.payload, "SLOW", 4);
    EXPECT_FALSE(writer.commit(first, FrameKind::message, 0, 4));  // to be sent again
    EXPECT_EQ(messages(ring, 0, writer.published_bytes()), (std::vector<std::string>{"before", "behind"}));
    writer.forget_orphan(first);
    EXPECT_EQ(writer.reusable(writer.published_bytes()), frame_bytes(6));
    EXPECT_FALSE(writer.abort(second));
    writer.forget_orphan(second);
    EXPECT_EQ(writer.reusable(writer.published_bytes()), writer.published_bytes());
}

TEST_F(RingWriterTest, open_claims_over_the_end_of_the_ring_are_set_aside_too) {
    const std::string large(kRing / 5, 'x');
    for (int i = 0; i < 4; ++i) send(large);
    writer.publish(1);
    writer.reuse_below(writer.published_bytes());
    const uint64_t from = writer.published_bytes();
    const Claim at_the_end = claim("end"), wrapped = claim(large);
    send("behind");
    ASSERT_TRUE(writer.set_aside_open_claims(1));
    EXPECT_EQ(messages(ring, from, writer.published_bytes()), std::vector<std::string>{"behind"});
    EXPECT_FALSE(writer.abort(at_the_end));
    EXPECT_FALSE(writer.abort(wrapped));
}

TEST_F(RingWriterTest, tickets_go_on_over_rings) {
    send("a");
    Ring next;
    writer.move_to(next.bytes, 0, 1);
    writer.unseal();
    EXPECT_EQ(claim("b").ticket, 1u);
}

// Else a thread that is in the middle of a claim would take the second ring for the first.
TEST_F(RingWriterTest, a_ring_in_which_nothing_was_claimed_has_positions_of_its_own_all_the_same) {
    const Claim first = claim("a");
    writer.abort(first);
    writer.publish(1);
    Ring second, third;
    writer.move_to(second.bytes, 0, 1);
    writer.unseal();
    writer.move_to(third.bytes, 0, 1);
    writer.unseal();
    EXPECT_GT(claim("b").end, 2 * kRing);
}

class RingWriterThreads : public RingWriterTest, public ::testing::WithParamInterface<bool> {};

// Threads claim and commit while the driver publishes, and now and then moves the ring or sets open claims aside, at
// any moment of a commit; nothing is lost or doubled, and each thread's messages keep their order.
TEST_P(RingWriterThreads, what_they_commit_is_sent_once_though_claims_become_orphans) {
    const bool sets_aside = GetParam();
    constexpr size_t kThreads = 2;
    const size_t each = sets_aside ? 300'000 : 40'000;
    std::vector<std::thread> threads;
    std::atomic<size_t> running{kThreads};
    for (size_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (size_t i = 0; i < each;) {
                const uint64_t texts[2][2] = {{t, i}, {t, i + 1}};
                const derecho_bytes all[2] = {{texts[0], sizeof texts[0]}, {texts[1], sizeof texts[1]}};
                const bool both = i % 3 == 0 && i + 1 < each;
                const FrameKind kind = both ? FrameKind::batch : FrameKind::message;
                const uint64_t bytes = both ? plan_batch(all, kRing).bytes : sizeof texts[0];
                Claim made;
                if (writer.claim(bytes, made) != RingWriter::Result::ok) {
                    std::this_thread::yield();
                    continue;
                }
                if (both) {
                    write_batch(all, made.payload);
                } else {
                    std::memcpy(made.payload, texts[0], bytes);
                }
                while (!writer.commit(made, kind, 0, bytes)) {
                    Claim fresh;
                    if (writer.claim(bytes, fresh) != RingWriter::Result::ok) {
                        writer.move_out(made);
                        std::this_thread::yield();
                        continue;
                    }
                    std::memcpy(fresh.payload, made.payload, bytes);
                    writer.forget_orphan(made);
                    made = fresh;
                }
                i += both ? 2 : 1;
            }
            --running;
        });
    }
    std::vector<std::unique_ptr<Ring>> rings;  // old ones stay, for orphans
    Ring* current = &ring;
    uint64_t at = 0;
    std::vector<uint64_t> next(kThreads, 0);
    size_t total = 0, steps = 0;
    while (running > 0 || writer.anything_claimed() || at < writer.published_bytes()) {
        writer.publish(1);
        if (sets_aside) writer.set_aside_open_claims(1);
        for (const std::string& text : messages(*current, at, writer.published_bytes())) {
            uint64_t words[2];
            std::memcpy(words, text.data(), sizeof words);
            ASSERT_EQ(words[1], next[words[0]]);
            ++next[words[0]];
            ++total;
        }
        at = writer.published_bytes();
        writer.reuse_below(writer.reusable(at));
        if (++steps % 50 == 0 && running > 0) {
            rings.push_back(std::make_unique<Ring>());
            current = rings.back().get();
            writer.move_to(current->bytes, at, 1);
            writer.unseal();
            at = 0;
        }
        if (!sets_aside) std::this_thread::yield();
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(total, kThreads * each);
    EXPECT_FALSE(writer.has_orphans());
}

INSTANTIATE_TEST_SUITE_P(SetAside, RingWriterThreads, ::testing::Values(false, true));

}  // namespace
}  // namespace libderecho
