// A group through the C ABI, in one process: messages, calls and their replies, queries, claims, views.
#include "capi/capi_testing.hpp"

#include <atomic>
#include <cstring>
#include <thread>

namespace libderecho::capi_testing {
namespace {

uint64_t send(TestNode& node, const std::string& text) {
    uint64_t ticket = 0;
    EXPECT_DERECHO_OK(derecho_shard_send(node.shard, text.data(), text.size(), &ticket));
    return ticket;
}

uint64_t call(TestNode& node, uint32_t method, const std::string& args, uint32_t flags = DERECHO_CALL_REPLY) {
    uint64_t id = 0;
    EXPECT_DERECHO_OK(derecho_shard_call(node.shard, method, flags, args.data(), args.size(), &id));
    return id;
}

std::vector<std::string> messages(const TestNode& node) {
    std::vector<std::string> texts;
    for (const Seen* one : node.all(DERECHO_EVENT_MESSAGE)) texts.push_back(one->data);
    return texts;
}

class GroupOfThree : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override { form(all, {{"wire", GetParam()}}); }

    TestNode a{1}, b{2}, c{3};
    Nodes all{&a, &b, &c};
};

INSTANTIATE_TEST_SUITE_P(Wires, GroupOfThree, ::testing::Values("shm", "tcp"));

TEST_P(GroupOfThree, messages_come_to_all_members_in_the_same_order) {
    constexpr size_t kEach = 200;
    for (size_t i = 0; i < kEach; ++i)
        for (TestNode* node : all) send(*node, std::to_string(node->id()) + "/" + std::to_string(i));
    ASSERT_TRUE(pump(all, [&] {
        return std::all_of(all.begin(), all.end(),
                           [](TestNode* n) { return n->count(DERECHO_EVENT_MESSAGE) == 3 * kEach; });
    }));
    EXPECT_EQ(messages(a), messages(b));
    EXPECT_EQ(messages(a), messages(c));
    uint64_t version = 0;
    for (const Seen* one : a.all(DERECHO_EVENT_MESSAGE)) {
        EXPECT_GT(one->event.version, version);
        version = one->event.version;
    }
}

TEST_P(GroupOfThree, a_message_carries_its_ticket_back_to_its_sender_only) {
    send(a, "first");
    const uint64_t ticket = send(a, "second");
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_MESSAGE) == 2 && b.count(DERECHO_EVENT_MESSAGE) == 2; }));
    const Seen& own = *a.all(DERECHO_EVENT_MESSAGE)[1];
    EXPECT_EQ(own.event.id, ticket);
    EXPECT_TRUE(own.event.flags & DERECHO_FLAG_OWN);
    EXPECT_FALSE(b.all(DERECHO_EVENT_MESSAGE)[1]->event.flags & DERECHO_FLAG_OWN);
    EXPECT_EQ(b.all(DERECHO_EVENT_MESSAGE)[1]->event.node, a.id());
}

TEST_P(GroupOfThree, every_member_answers_a_call_and_the_caller_learns_who_owes_an_answer) {
    b.answer = [](const Seen&) { return Answer{{DERECHO_REMOTE_ERROR, "ValueError: no"}}; };
    const uint64_t id = call(a, 7, "args");
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 3; }));

    const auto ordered = a.all(DERECHO_EVENT_ORDERED);
    ASSERT_EQ(ordered.size(), 1u);
    EXPECT_EQ(ordered[0]->event.id, id);
    uint32_t nodes[3];
    ASSERT_EQ(ordered[0]->data.size(), sizeof nodes);
    std::memcpy(nodes, ordered[0]->data.data(), sizeof nodes);
    EXPECT_EQ(std::vector(nodes, nodes + 3), (std::vector<uint32_t>{1, 2, 3}));

    EXPECT_EQ(a.reply(id, 1)->data, "got args");
    EXPECT_EQ(a.reply(id, 3)->data, "got args");
    EXPECT_EQ(a.reply(id, 2)->event.status, DERECHO_REMOTE_ERROR);
    EXPECT_EQ(a.reply(id, 2)->data, "ValueError: no");
    const Seen& at_c = *c.all(DERECHO_EVENT_CALL)[0];
    EXPECT_EQ(at_c.event.method, 7u);
    EXPECT_EQ(at_c.event.node, 1u);
    EXPECT_EQ(at_c.event.id, id);
}

TEST_P(GroupOfThree, ordered_comes_before_any_reply_even_if_the_caller_polls_last) {
    const uint64_t id = call(a, 1, "x");
    // The others deliver and answer long before the caller takes its own call.
    const Nodes others{&b, &c};
    ASSERT_TRUE(pump(others, [&] { return b.count(DERECHO_EVENT_CALL) == 1 && c.count(DERECHO_EVENT_CALL) == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 3; }));
    bool ordered = false;
    for (const Seen& one : a.seen) {
        if (one.event.kind == DERECHO_EVENT_ORDERED) ordered = true;
        EXPECT_TRUE(ordered || one.event.kind != DERECHO_EVENT_REPLY);
    }
    EXPECT_EQ(a.reply(id, 2)->data, "got x");
}

TEST_P(GroupOfThree, a_poll_of_one_event_at_a_time_gives_the_same_events) {
    for (TestNode* node : all) node->capacity = 1;
    for (int i = 0; i < 20; ++i) call(*all[static_cast<size_t>(i % 3)], 1, std::to_string(i));
    ASSERT_TRUE(pump(all, [&] {
        return a.count(DERECHO_EVENT_REPLY) == 21 && b.count(DERECHO_EVENT_REPLY) == 21 &&
               c.count(DERECHO_EVENT_REPLY) == 18;
    }));
    for (TestNode* node : all) EXPECT_EQ(node->count(DERECHO_EVENT_CALL), 20u);
}

TEST_P(GroupOfThree, a_call_without_reply_is_answered_by_nobody) {
    call(a, 1, "x", 0);
    const uint64_t id = call(a, 2, "y");
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 3; }));
    EXPECT_EQ(a.all(DERECHO_EVENT_CALL)[0]->event.flags, DERECHO_FLAG_OWN);
    EXPECT_EQ(a.all(DERECHO_EVENT_REPLY)[0]->event.id, id);
    EXPECT_EQ(a.count(DERECHO_EVENT_ORDERED), 1u);
}

TEST_P(GroupOfThree, a_member_that_dies_before_it_answers_is_reported_as_removed) {
    c.answer = [](const Seen&) { return Answer{}; };
    const uint64_t id = call(a, 1, "x");
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 2 && c.count(DERECHO_EVENT_CALL) == 1; }));
    c.close();
    const Nodes left{&a, &b};
    ASSERT_TRUE(pump(left, [&] { return a.reply(id, 3) != nullptr; }));
    EXPECT_EQ(a.reply(id, 3)->event.status, DERECHO_REMOVED);
    EXPECT_EQ(a.count(DERECHO_EVENT_REPLY), 3u);
}

TEST_P(GroupOfThree, a_query_is_answered_by_the_node_it_was_sent_to) {
    uint64_t to_other = 0, to_self = 0;
    ASSERT_DERECHO_OK(derecho_shard_query(a.shard, 2, 5, "q", 1, &to_other));
    ASSERT_DERECHO_OK(derecho_shard_query(a.shard, 1, 6, "s", 1, &to_self));
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 2; }));
    EXPECT_EQ(a.reply(to_other, 2)->data, "got q");
    EXPECT_EQ(a.reply(to_self, 1)->data, "got s");
    EXPECT_EQ(b.all(DERECHO_EVENT_QUERY)[0]->event.method, 5u);
    EXPECT_EQ(c.count(DERECHO_EVENT_QUERY), 0u);
}

TEST_P(GroupOfThree, a_query_to_a_node_that_dies_is_answered_with_removed) {
    b.answer = [](const Seen&) { return Answer{}; };
    uint64_t id = 0;
    ASSERT_DERECHO_OK(derecho_shard_query(a.shard, 2, 5, "q", 1, &id));
    ASSERT_TRUE(pump(all, [&] { return b.count(DERECHO_EVENT_QUERY) == 1; }));
    b.close();
    const Nodes left{&a, &c};
    ASSERT_TRUE(pump(left, [&] { return a.reply(id, 2) != nullptr; }));
    EXPECT_EQ(a.reply(id, 2)->event.status, DERECHO_REMOVED);
    EXPECT_EQ(derecho_shard_query(a.shard, 2, 5, "q", 1, &id), DERECHO_NOT_MEMBER);
    EXPECT_EQ(derecho_shard_query(a.shard, 99, 5, "q", 1, &id), DERECHO_NOT_MEMBER);
}

TEST_P(GroupOfThree, a_client_queries_members_and_is_in_no_view) {
    TestNode client(50);
    ASSERT_NO_FATAL_FAILURE(client.join(&a, {{"role", "client"}, {"wire", GetParam()}}));
    const Nodes everybody{&a, &b, &c, &client};
    ASSERT_TRUE(pump(everybody, [&] { return client.count(DERECHO_EVENT_VIEW) > 0; }));
    EXPECT_EQ(client.view().self_rank, UINT32_MAX);
    EXPECT_EQ(client.view().member_count, 3u);
    uint64_t id = 0;
    derecho_status status = DERECHO_NOT_MEMBER;
    ASSERT_TRUE(pump(everybody, [&] {  // until it is connected to that member, too
        status = derecho_shard_query(client.shard, 3, 5, "q", 1, &id);
        return status == DERECHO_OK;
    }));
    ASSERT_TRUE(pump(everybody, [&] { return client.reply(id, 3) != nullptr; }));
    EXPECT_EQ(client.reply(id, 3)->data, "got q");
    EXPECT_EQ(derecho_shard_send(client.shard, "x", 1, nullptr), DERECHO_NOT_MEMBER);
    EXPECT_NE(std::string(derecho_last_error()).find("clients only query"), std::string::npos);
    EXPECT_EQ(derecho_shard_call(client.shard, 1, 0, "x", 1, nullptr), DERECHO_NOT_MEMBER);
    EXPECT_EQ(derecho_shard_query(a.shard, 50, 5, "q", 1, &id), DERECHO_NOT_MEMBER);
}

TEST_P(GroupOfThree, a_claim_is_filled_in_place_and_sent_with_what_was_used) {
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 3, DERECHO_CALL_REPLY, 100, &claim));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(claim.data) % 8, 0u);
    std::memcpy(claim.data, "placed", 6);
    ASSERT_DERECHO_OK(derecho_claim_commit(a.shard, &claim, 6));
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_REPLY) == 3; }));
    EXPECT_EQ(a.reply(claim.id, 2)->data, "got placed");
    EXPECT_EQ(derecho_claim_commit(a.shard, &claim, 6), DERECHO_INVALID);
    EXPECT_EQ(derecho_claim_abort(a.shard, &claim), DERECHO_INVALID);
}

TEST_P(GroupOfThree, an_aborted_claim_is_never_seen_and_holds_nothing_back) {
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 100, &claim));
    send(a, "after");
    ASSERT_DERECHO_OK(derecho_claim_abort(a.shard, &claim));
    ASSERT_TRUE(pump(all, [&] { return c.count(DERECHO_EVENT_MESSAGE) == 1; }));
    EXPECT_EQ(messages(c), std::vector<std::string>{"after"});
}

TEST_P(GroupOfThree, a_claim_that_is_open_across_a_view_change_is_sent_in_the_new_view) {
    derecho_claim message{}, method{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 1000, &message));
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 9, DERECHO_CALL_REPLY, 1000, &method));
    const uint64_t before = a.view().id;
    c.close();
    const Nodes left{&a, &b};
    ASSERT_TRUE(pump(left, [&] { return a.view().id > before && b.view().id > before; }));
    std::memset(message.data, 'm', 1000);
    std::memset(method.data, 'c', 1000);
    ASSERT_DERECHO_OK(derecho_claim_commit(a.shard, &message, 999));
    ASSERT_DERECHO_OK(derecho_claim_commit(a.shard, &method, 10));
    ASSERT_TRUE(pump(left, [&] { return a.count(DERECHO_EVENT_REPLY) == 2; }));
    EXPECT_EQ(messages(b), std::vector<std::string>{std::string(999, 'm')});
    EXPECT_EQ(a.reply(method.id, 2)->data, "got cccccccccc");
}

TEST_P(GroupOfThree, a_node_that_leaves_hears_of_its_end_and_the_others_go_on) {
    send(b, "last words");
    ASSERT_TRUE(pump(all, [&] { return c.count(DERECHO_EVENT_MESSAGE) == 1; }));
    ASSERT_DERECHO_OK(derecho_group_leave(b.group, 10'000));
    ASSERT_TRUE(pump(all, [&] { return b.count(DERECHO_EVENT_CLOSED) == 1 && a.view().member_count == 2; }));
    EXPECT_EQ(b.seen.back().event.status, DERECHO_CLOSED);
    EXPECT_EQ(derecho_shard_send(b.shard, "x", 1, nullptr), DERECHO_CLOSED);
    const Nodes left{&a, &c};
    send(a, "on");
    ASSERT_TRUE(pump(left, [&] { return c.count(DERECHO_EVENT_MESSAGE) == 2; }));
    EXPECT_EQ(messages(c), (std::vector<std::string>{"last words", "on"}));
}

TEST_P(GroupOfThree, many_messages_sent_by_one_call_are_messages_like_others) {
    std::vector<std::string> texts{""};
    for (int i = 0; i < 500; ++i)
        texts.push_back(std::string(static_cast<size_t>(i) * 7 % 300, 'x') + std::to_string(i));
    texts.insert(texts.begin() + 100, std::string(300'000, 'L'));  // more than a batch holds
    std::vector<derecho_bytes> all_bytes;
    for (const std::string& text : texts) all_bytes.push_back({text.data(), text.size()});
    size_t sent = 0;
    uint64_t ticket = 0;
    ASSERT_DERECHO_OK(derecho_shard_send_many(b.shard, all_bytes.data(), all_bytes.size(), &sent, &ticket));
    ASSERT_EQ(sent, texts.size());
    send(b, "last");
    for (TestNode* node : all)
        ASSERT_TRUE(pump(all, [&] { return node->count(DERECHO_EVENT_MESSAGE) == texts.size() + 1; }));
    texts.push_back("last");
    for (TestNode* node : all) EXPECT_TRUE(messages(*node) == texts) << "node " << node->id();
    const auto own = b.all(DERECHO_EVENT_MESSAGE);
    EXPECT_EQ(own[texts.size() - 2]->event.id, ticket);
    EXPECT_GT(own.back()->event.id, ticket);
    EXPECT_TRUE(std::ranges::is_sorted(own, {}, [](const Seen* one) { return one->event.id; }));
    EXPECT_TRUE(std::ranges::is_sorted(own, std::less_equal<>{}, [](const Seen* one) { return one->event.version; }));
}

TEST_P(GroupOfThree, many_messages_stop_at_the_first_that_does_not_go) {
    const std::string text(1000, 'x'), huge((1 << 20) + 1, 'x');
    const std::vector<derecho_bytes> with_huge{{text.data(), 10}, {huge.data(), huge.size()}, {text.data(), 10}};
    size_t sent = 7;
    ASSERT_DERECHO_OK(derecho_shard_send_many(a.shard, with_huge.data(), 3, &sent, nullptr));
    EXPECT_EQ(sent, 1u);
    EXPECT_EQ(derecho_shard_send_many(a.shard, with_huge.data() + 1, 2, &sent, nullptr), DERECHO_TOO_LARGE);
    EXPECT_EQ(sent, 0u);
    EXPECT_DERECHO_OK(derecho_shard_send_many(a.shard, nullptr, 0, &sent, nullptr));
    EXPECT_EQ(derecho_shard_send_many(a.shard, nullptr, 1, &sent, nullptr), DERECHO_INVALID);
    const derecho_bytes nothing{nullptr, 1};
    EXPECT_EQ(derecho_shard_send_many(a.shard, &nothing, 1, &sent, nullptr), DERECHO_INVALID);

    const std::vector<derecho_bytes> more(10'000, derecho_bytes{text.data(), text.size()});  // than the ring holds
    ASSERT_DERECHO_OK(derecho_shard_send_many(a.shard, more.data(), more.size(), &sent, nullptr));
    EXPECT_GT(sent, 0u);
    EXPECT_LT(sent, more.size());
    size_t total = sent;
    ASSERT_TRUE(pump(all, [&] {
        const derecho_status status =
            derecho_shard_send_many(a.shard, more.data() + total, more.size() - total, &sent, nullptr);
        EXPECT_TRUE(status == DERECHO_OK || (status == DERECHO_AGAIN && sent == 0));
        total += sent;
        return total == more.size() && c.count(DERECHO_EVENT_MESSAGE) == total + 1;
    }));
}

TEST_P(GroupOfThree, what_was_sent_before_leaving_is_delivered) {
    const std::string text(1000, 'x');
    for (int i = 0; i < 300; ++i) send(b, text);
    derecho_claim forgotten{};
    ASSERT_DERECHO_OK(derecho_shard_claim(b.shard, 0, DERECHO_CLAIM_MESSAGE, 10, &forgotten));
    send(b, "last words");
    ASSERT_DERECHO_OK(derecho_group_leave(b.group, 10'000));
    ASSERT_TRUE(pump(Nodes{&a, &c}, [&] { return a.view().member_count == 2 && c.view().member_count == 2; }));
    pump(all, [&] { return b.count(DERECHO_EVENT_CLOSED) == 1; });
    for (TestNode* node : all) {
        EXPECT_EQ(node->count(DERECHO_EVENT_MESSAGE), 301u) << "node " << node->id();
        EXPECT_EQ(messages(*node).back(), "last words");
    }
    EXPECT_EQ(derecho_claim_commit(b.shard, &forgotten, 10), DERECHO_CLOSED);
}

// The ring's space comes back only behind the open claim's bytes, so that there is none for it when it is its turn.
TEST_P(GroupOfThree, a_claim_that_was_open_while_the_ring_filled_up_is_committed_all_the_same) {
    for (const uint32_t flags : {DERECHO_CLAIM_MESSAGE, DERECHO_CALL_REPLY}) {
        const size_t before = c.count(DERECHO_EVENT_MESSAGE);
        derecho_claim claim{};
        ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, flags, 5, &claim));
        std::memcpy(claim.data, "early", 5);
        send(b, "b waits for a");
        ASSERT_TRUE(pump(all, [&] { return c.count(DERECHO_EVENT_MESSAGE) == before + 1; }));
        size_t sent = 0;
        for (const size_t size : {100'000u, 1000u, 1u}) {
            const std::string text(size, 'x');
            for (auto blocked = Clock::now(); Clock::now() - blocked < std::chrono::milliseconds(20);) {
                if (derecho_shard_send(a.shard, text.data(), text.size(), nullptr) == DERECHO_OK) {
                    ++sent;
                    blocked = Clock::now();
                }
                for (TestNode* node : all) node->poll();
            }
        }
        ASSERT_GT(sent, 10u);
        derecho_status status = DERECHO_AGAIN;
        const bool committed = pump(all, [&] {
            status = derecho_claim_commit(a.shard, &claim, 5);
            return status != DERECHO_AGAIN;
        });
        ASSERT_TRUE(committed);
        ASSERT_DERECHO_OK(status);
        EXPECT_EQ(derecho_claim_commit(a.shard, &claim, 5), DERECHO_INVALID) << "once only";
        const bool message = flags == DERECHO_CLAIM_MESSAGE;
        ASSERT_TRUE(pump(all, [&] {
            return c.count(DERECHO_EVENT_MESSAGE) == before + 1 + sent + message &&
                   a.count(DERECHO_EVENT_MESSAGE) == c.count(DERECHO_EVENT_MESSAGE) &&
                   (message || a.count(DERECHO_EVENT_REPLY) == 3);
        }));
        if (message) {
            EXPECT_TRUE(messages(c).back() == "early");
            EXPECT_EQ(a.all(DERECHO_EVENT_MESSAGE).back()->event.id, claim.id) << "the ticket it was sent with";
        } else {
            EXPECT_EQ(a.reply(claim.id, 3)->data, "got early");
        }
    }
}

TEST_P(GroupOfThree, what_is_larger_than_the_limit_is_refused_with_both_sizes) {
    const std::string huge((1 << 20) + 1, 'x');
    EXPECT_EQ(derecho_shard_send(a.shard, huge.data(), huge.size(), nullptr), DERECHO_TOO_LARGE);
    EXPECT_NE(std::string(derecho_last_error()).find("1048577"), std::string::npos);
    EXPECT_NE(std::string(derecho_last_error()).find("message_max_bytes"), std::string::npos);
    uint64_t id = 0;
    EXPECT_EQ(derecho_shard_query(a.shard, 2, 1, huge.data(), huge.size(), &id), DERECHO_TOO_LARGE);
    EXPECT_NE(std::string(derecho_last_error()).find("mail_bytes"), std::string::npos);
    EXPECT_EQ(derecho_group_reply(a.group, 2, 1, DERECHO_OK, huge.data(), huge.size()), DERECHO_TOO_LARGE);
    EXPECT_EQ(derecho_group_state(a.group, 2, 256, huge.data(), huge.size(), 1), DERECHO_TOO_LARGE);
    derecho_claim claim{};
    EXPECT_EQ(derecho_shard_claim(a.shard, 1, 0, huge.size(), &claim), DERECHO_TOO_LARGE);
}

TEST_P(GroupOfThree, the_largest_message_and_the_largest_call_arrive_whole) {
    const std::string big(1 << 20, 'b');
    send(a, big);
    const Nodes& nodes = all;
    ASSERT_TRUE(
        pump(nodes, [&] { return c.count(DERECHO_EVENT_MESSAGE) == 1 && a.count(DERECHO_EVENT_MESSAGE) == 1; }));
    b.answer = [](const Seen& s) { return Answer{{DERECHO_OK, s.data.substr(0, 200'000)}}; };
    a.answer = c.answer = b.answer;
    uint64_t id = 0;
    ASSERT_TRUE(pump(nodes, [&] {
        return derecho_shard_call(a.shard, 1, DERECHO_CALL_REPLY, big.data(), big.size(), &id) == DERECHO_OK;
    }));
    ASSERT_TRUE(pump(nodes, [&] { return a.count(DERECHO_EVENT_REPLY) == 3; }));
    EXPECT_EQ(messages(c)[0], big);
    EXPECT_EQ(a.reply(id, 2)->data, std::string(200'000, 'b'));
}

TEST(StateTransfer, a_joiner_gets_the_state_in_pieces_and_then_what_came_after_it) {
    TestNode a(1), b(2);
    a.services = b.services = {"first", "second"};
    a.state = std::string(100'000, 's');
    a.state_pieces = 30;
    ASSERT_NO_FATAL_FAILURE(a.join(nullptr));
    ASSERT_TRUE(pump({&a}, [&] { return a.view().member_count == 1; }));
    send(a, "before");
    ASSERT_TRUE(pump({&a}, [&] { return a.count(DERECHO_EVENT_MESSAGE) == 1; }));
    ASSERT_NO_FATAL_FAILURE(b.join(&a));
    send(a, "after");
    const auto last_pieces = [&] {
        size_t n = 0;
        for (const Seen* s : b.all(DERECHO_EVENT_STATE)) n += (s->event.flags & DERECHO_FLAG_LAST) ? 1 : 0;
        return n;
    };
    ASSERT_TRUE(pump({&a, &b}, [&] { return last_pieces() == 2 && b.count(DERECHO_EVENT_MESSAGE) == 1; }));
    EXPECT_EQ(b.count(DERECHO_EVENT_STATE), 60u);
    EXPECT_EQ(messages(b), std::vector<std::string>{"after"});
    size_t firsts = 0;
    for (const Seen* s : b.all(DERECHO_EVENT_STATE)) firsts += (s->event.flags & DERECHO_FLAG_FIRST) ? 1 : 0;
    EXPECT_EQ(firsts, 2u);
    for (const Seen& one : b.seen) {
        if (one.event.kind != DERECHO_EVENT_MESSAGE) continue;
        EXPECT_GT(&one, b.all(DERECHO_EVENT_STATE)[29]);  // not before the first service's state
    }
}

TEST(StateTransfer, another_member_gives_the_state_when_the_one_that_was_asked_dies) {
    TestNode a(1), b(2), c(3), d(4);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a, &b, &c}));
    for (TestNode* node : {&a, &b, &c}) {
        node->state = "state of " + std::to_string(node->id());
        node->gives_state = false;
    }
    ASSERT_NO_FATAL_FAILURE(d.join(&b));
    const Nodes all{&a, &b, &c, &d};
    TestNode* donor = nullptr;
    ASSERT_TRUE(pump(all, [&] {
        for (TestNode* node : {&a, &b, &c})
            if (node->count(DERECHO_EVENT_STATE_REQUEST) > 0) donor = node;
        return donor != nullptr;
    }));
    // Half of it, then death.
    const derecho_event& request = donor->all(DERECHO_EVENT_STATE_REQUEST)[0]->event;
    ASSERT_DERECHO_OK(derecho_group_state(donor->group, 4, request.id, "stale", 5, 0));
    ASSERT_TRUE(pump(all, [&] { return d.count(DERECHO_EVENT_STATE) == 1; }));
    Nodes left;
    for (TestNode* node : all) {
        if (node == donor) continue;
        left.push_back(node);
        node->gives_state = true;
    }
    donor->close();
    ASSERT_TRUE(pump(left, [&] {
        const auto pieces = d.all(DERECHO_EVENT_STATE);
        return !pieces.empty() && (pieces.back()->event.flags & DERECHO_FLAG_LAST);
    }));
    const Seen& last = *d.all(DERECHO_EVENT_STATE).back();
    EXPECT_TRUE(last.event.flags & DERECHO_FLAG_FIRST);
    EXPECT_EQ(last.data, "state of " + std::to_string(last.event.node));
}

TEST(Joining, a_duplicate_node_is_refused_at_once) {
    TestNode a(1), b(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    const auto begin = Clock::now();
    EXPECT_EQ(b.try_join(&a), DERECHO_DUPLICATE) << b.error;
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
    EXPECT_NE(b.error.find("node id 1"), std::string::npos) << b.error;
}

TEST(Joining, a_node_with_other_services_is_refused_with_the_difference) {
    TestNode a(1), b(2), c(3);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    b.services = {"other"};
    EXPECT_EQ(b.try_join(&a), DERECHO_INCOMPATIBLE) << b.error;
    EXPECT_NE(b.error.find("other"), std::string::npos) << b.error;
    c.schema_hash = 77;
    EXPECT_EQ(c.try_join(&a), DERECHO_INCOMPATIBLE) << c.error;
}

TEST(Joining, a_taken_listen_address_is_named) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    EXPECT_EQ(b.try_join(&a, {{"listen", a.address()}}), DERECHO_ADDRESS_IN_USE) << b.error;
    EXPECT_NE(b.error.find(a.address()), std::string::npos) << b.error;
}

TEST(Joining, contacts_that_do_not_answer_are_named_when_the_time_is_over) {
    TestNode b(2);
    const auto begin = Clock::now();
    EXPECT_EQ(b.try_join(nullptr, {{"contacts", "127.0.0.1:9"}}, 300), DERECHO_UNREACHABLE) << b.error;
    EXPECT_NE(b.error.find("127.0.0.1:9"), std::string::npos) << b.error;
    EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(300));
    EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(2000));
}

TEST(Ending, a_claim_that_is_committed_after_the_end_is_refused_with_the_reason) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}));
    derecho_claim message{}, method{}, given_back{};
    ASSERT_DERECHO_OK(derecho_shard_claim(b.shard, 0, DERECHO_CLAIM_MESSAGE, 10, &message));
    ASSERT_DERECHO_OK(derecho_shard_claim(b.shard, 1, DERECHO_CALL_REPLY, 10, &method));
    ASSERT_DERECHO_OK(derecho_shard_claim(b.shard, 0, DERECHO_CLAIM_MESSAGE, 10, &given_back));
    a.close();
    ASSERT_TRUE(pump(Nodes{&b}, [&] { return b.count(DERECHO_EVENT_CLOSED) == 1; }));
    ASSERT_EQ(b.all(DERECHO_EVENT_CLOSED).back()->event.status, DERECHO_NO_MAJORITY);
    EXPECT_EQ(derecho_claim_commit(b.shard, &message, 10), DERECHO_NO_MAJORITY);
    EXPECT_EQ(derecho_claim_commit(b.shard, &method, 10), DERECHO_NO_MAJORITY);
    EXPECT_DERECHO_OK(derecho_claim_abort(b.shard, &given_back));
}

TEST(Claims, one_that_was_moved_out_of_the_ring_is_still_none_of_another_shard) {
    TestNode a(1), b(2);
    for (TestNode* node : {&a, &b}) node->services = {"one", "two"};
    const Nodes both{&a, &b};
    ASSERT_NO_FATAL_FAILURE(form(both, {{"ring_bytes", "65536"}, {"message_max_bytes", "1000"}}));
    derecho_shard* other = nullptr;
    ASSERT_DERECHO_OK(derecho_shard_open(a.group, "two", &other));
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 5, &claim));
    std::memcpy(claim.data, "early", 5);
    send(b, "b waits for a");
    ASSERT_TRUE(pump(both, [&] { return b.count(DERECHO_EVENT_MESSAGE) == 1; }));
    size_t sent = 0;
    for (const size_t size : {1000u, 100u, 1u})
        for (auto blocked = Clock::now(); Clock::now() - blocked < std::chrono::milliseconds(20);) {
            const std::string text(size, 'x');
            if (derecho_shard_send(a.shard, text.data(), text.size(), nullptr) == DERECHO_OK) {
                ++sent;
                blocked = Clock::now();
            }
            for (TestNode* node : both) node->poll();
        }
    ASSERT_EQ(derecho_claim_commit(a.shard, &claim, 5), DERECHO_AGAIN);
    EXPECT_EQ(derecho_claim_commit(other, &claim, 5), DERECHO_INVALID);
    EXPECT_EQ(derecho_claim_abort(other, &claim), DERECHO_INVALID);
    ASSERT_TRUE(pump(both, [&] { return derecho_claim_commit(a.shard, &claim, 5) == DERECHO_OK; }));
    ASSERT_TRUE(pump(both, [&] { return b.count(DERECHO_EVENT_MESSAGE) == 2 + sent; }));
    EXPECT_EQ(b.all(DERECHO_EVENT_MESSAGE).back()->event.shard, 0u);
}

// It may fail to load it, and take others with it whose majority it would be.
TEST(StateTransfer, who_has_not_released_the_last_piece_does_not_hold_the_state_yet_and_gets_no_vote) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a}));
    ASSERT_NO_FATAL_FAILURE(b.join(&a));
    std::vector<uint64_t> leases;
    for (bool last = false; !last;) {
        a.poll();
        derecho_event events[32];
        size_t count = 0;
        uint64_t lease = 0;
        ASSERT_DERECHO_OK(derecho_poll(b.group, events, 32, 1'000'000, &count, &lease));
        if (count > 0) leases.push_back(lease);
        for (size_t i = 0; i < count; ++i)
            last |= events[i].kind == DERECHO_EVENT_STATE && (events[i].flags & DERECHO_FLAG_LAST) != 0;
    }
    const auto flags_of_b = [&] { return a.view().member_count == 2 ? a.view().members[1].flags : 0u; };
    for (const auto until = Clock::now() + std::chrono::milliseconds(100); Clock::now() < until;) {
        a.poll();
        EXPECT_EQ(flags_of_b(), 0u);
    }
    for (const uint64_t lease : leases) EXPECT_DERECHO_OK(derecho_release(b.group, lease));
    EXPECT_TRUE(pump({&a, &b}, [&] { return a.sees_voters(2) && b.sees_voters(2); }));
}

// A new view begins transfers anew: a vote for who is ready waits for who nearly is, as long as the first took.
TEST(StateTransfer, those_that_get_the_state_at_about_the_same_time_get_their_votes_in_one_view) {
    for (const bool second_comes : {true, false}) {
        TestNode a(1), b(2), c(3);
        const Nodes all{&a, &b, &c};
        ASSERT_NO_FATAL_FAILURE(form({&a}));
        a.gives_state = false;
        ASSERT_NO_FATAL_FAILURE(b.join(&a));
        ASSERT_NO_FATAL_FAILURE(c.join(&a));
        ASSERT_TRUE(
            pump(all, [&] { return a.view().member_count == 3 && a.all(DERECHO_EVENT_STATE_REQUEST).size() == 3; }));
        const auto votes = [&](size_t rank) { return (a.view().members[rank].flags & DERECHO_MEMBER_VOTES) != 0; };
        const auto for_ms = [&](int ms) {
            const auto until = Clock::now() + std::chrono::milliseconds(ms);
            ASSERT_TRUE(pump(all, [&] { return Clock::now() > until; }));
        };
        const auto give = [&](uint32_t node) {
            const auto requests = a.all(DERECHO_EVENT_STATE_REQUEST);
            const auto last = std::ranges::find_if(requests.rbegin(), requests.rend(),
                                                   [&](const Seen* one) { return one->event.node == node; });
            ASSERT_DERECHO_OK(derecho_group_state(a.group, node, (*last)->event.id, "s", 1, 1));
        };
        const uint64_t view = a.view().id;
        for_ms(2000);  // so long is waited for the second, however slow this machine is
        give(2);
        for_ms(200);
        EXPECT_FALSE(votes(1));
        if (second_comes) give(3);
        ASSERT_TRUE(pump(all, [&] { return votes(1); }));
        EXPECT_EQ(votes(2), second_comes);
        EXPECT_EQ(a.view().id, view + 1);
    }
}

// The leader, who connected to the joiner first, may have no state itself: then the donor hears of the joiner before it
// is connected to it.
TEST(StateTransfer, a_donor_that_is_not_connected_to_the_joiner_yet_does_not_lose_its_state) {
    TestNode d(1), a(2), b(3), c(4);
    ASSERT_NO_FATAL_FAILURE(d.join(nullptr));
    ASSERT_TRUE(pump({&d}, [&] { return d.view().member_count == 1; }));
    d.gives_state = false;
    ASSERT_NO_FATAL_FAILURE(a.join(&d));
    ASSERT_TRUE(pump({&d, &a}, [&] { return a.view().member_count == 2 && d.view().member_count == 2; }));
    ASSERT_NO_FATAL_FAILURE(b.join(&d));
    ASSERT_TRUE(pump({&d, &a, &b}, [&] { return d.count(DERECHO_EVENT_STATE_REQUEST) >= 3; }));
    const derecho_event of_b = [&] {
        for (const Seen* one : d.all(DERECHO_EVENT_STATE_REQUEST))
            if (one->event.node == 3) return one->event;
        return derecho_event{};
    }();
    ASSERT_DERECHO_OK(derecho_group_state(d.group, 3, of_b.id, "s", 1, 1));
    ASSERT_TRUE(pump({&d, &a, &b}, [&] { return b.count(DERECHO_EVENT_STATE) == 1; }));
    b.gives_state = false;
    ASSERT_DERECHO_OK(derecho_group_leave(d.group, 10'000));  // a would be no majority if it died
    ASSERT_TRUE(pump({&d, &a, &b}, [&] { return a.view().member_count == 2 && b.view().member_count == 2; }));
    d.close();
    const std::string contact = a.address();
    std::atomic<bool> done{false};
    std::thread joining([&] {
        EXPECT_EQ(c.try_join(&a), DERECHO_OK) << c.error;
        done = true;
    });
    // As soon as it is asked, it sends.
    derecho_status status = DERECHO_AGAIN;
    const auto answer = [&] {
        for (const Seen* one : b.all(DERECHO_EVENT_STATE_REQUEST))
            if (one->event.node == 4 && status == DERECHO_AGAIN)
                status = derecho_group_state(b.group, 4, one->event.id, "s", 1, 1);
    };
    ASSERT_TRUE(pump({&a, &b}, [&] {
        answer();
        return done.load();
    }));
    joining.join();
    EXPECT_TRUE(pump(
        {&a, &b, &c},
        [&] {
            answer();
            return c.count(DERECHO_EVENT_STATE) == 1;
        },
        5));
    EXPECT_EQ(status, DERECHO_OK);
}

}  // namespace
}  // namespace libderecho::capi_testing
