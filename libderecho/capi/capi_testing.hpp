// For tests of the C ABI: members in this process, over real sockets and shared memory on the loopback interface, with
// a record of all their events.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <derecho.h>

namespace libderecho::capi_testing {

using Clock = std::chrono::steady_clock;
using Texts = std::map<std::string, std::string>;

inline ::testing::AssertionResult succeeded(derecho_status status) {
    if (status == DERECHO_OK) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << derecho_status_name(status) << ": " << derecho_last_error();
}
#define ASSERT_DERECHO_OK(call) ASSERT_TRUE(succeeded(call))
#define EXPECT_DERECHO_OK(call) EXPECT_TRUE(succeeded(call))

struct Seen {
    derecho_event event;
    std::string data;
};

// What a handler answers: a status and a text; nothing: no reply.
using Answer = std::optional<std::pair<derecho_status, std::string>>;

class TestNode {
public:
    explicit TestNode(uint32_t id) : id_(id) {}
    ~TestNode() {
        if (group) derecho_group_close(group);
    }
    TestNode(const TestNode&) = delete;
    TestNode& operator=(const TestNode&) = delete;

    // Joins the group of `contact`, or founds one.
    derecho_status try_join(const TestNode* contact, Texts options = {}, int64_t timeout_ms = 10'000) {
        derecho_config* config = nullptr;
        EXPECT_DERECHO_OK(derecho_config_create(&config));
        Texts all{{"node", std::to_string(id_)}};
        if (!options.contains("role")) all["listen"] = "127.0.0.1:0";
        if (contact) all["contacts"] = contact->address();
        if (!contact && !options.contains("contacts") && !options.contains("role")) all["found"] = "true";
        for (const auto& [key, value] : options) all[key] = value;
        for (const auto& [key, value] : all) EXPECT_DERECHO_OK(derecho_config_set(config, key.c_str(), value.c_str()));
        for (const auto& service : services)
            EXPECT_DERECHO_OK(derecho_config_add_service(config, service.c_str(), schema_hash));
        const derecho_status status = derecho_group_join(config, timeout_ms, &group);
        error = derecho_last_error();
        EXPECT_DERECHO_OK(derecho_config_close(config));
        if (status == DERECHO_OK) {
            EXPECT_DERECHO_OK(derecho_shard_open(group, services[0].c_str(), &shard));
        }
        return status;
    }
    void join(const TestNode* contact, Texts options = {}) {
        ASSERT_EQ(DERECHO_OK, try_join(contact, std::move(options))) << error;
    }
    void close() { EXPECT_DERECHO_OK(derecho_group_close(std::exchange(group, nullptr))); }

    // One poll; what came is recorded, answered and released. Returns how many came.
    size_t poll(int64_t timeout_ns = 0) {
        derecho_event events[32];
        size_t count = 0;
        uint64_t lease = 0;
        const derecho_status status = derecho_poll(group, events, capacity, timeout_ns, &count, &lease);
        EXPECT_TRUE(status == DERECHO_OK || status == DERECHO_CLOSED) << derecho_last_error();
        for (size_t i = 0; i < count; ++i) take(events[i]);
        if (group && lease) {
            EXPECT_DERECHO_OK(derecho_release(group, lease));
        }
        return count;
    }

    std::vector<const Seen*> all(uint32_t kind) const {
        std::vector<const Seen*> found;
        for (const Seen& one : seen)
            if (one.event.kind == kind) found.push_back(&one);
        return found;
    }
    size_t count(uint32_t kind) const { return all(kind).size(); }
    // The reply of a node to a call.
    const Seen* reply(uint64_t call, uint32_t node) const {
        for (const Seen& one : seen)
            if (one.event.kind == DERECHO_EVENT_REPLY && one.event.id == call && one.event.node == node) return &one;
        return nullptr;
    }
    uint64_t view_id() const {
        const auto views = all(DERECHO_EVENT_VIEW);
        return views.empty() ? 0 : views.back()->event.id;
    }
    derecho_view view() const {
        derecho_view view{};
        view.struct_bytes = sizeof view;
        EXPECT_DERECHO_OK(derecho_group_view(group, &view));
        return view;
    }
    // This node's view is of so many members, and all of them vote.
    bool sees_voters(size_t members) const {
        const derecho_view now = view();
        return now.member_count == members &&
               std::all_of(now.members, now.members + members,
                           [](const derecho_member& member) { return (member.flags & DERECHO_MEMBER_VOTES) != 0; });
    }
    std::string address() const {
        const derecho_view now = view();
        for (uint32_t rank = 0; rank < now.member_count; ++rank)
            if (now.members[rank].node == id_) return now.members[rank].address;
        return {};
    }
    uint32_t id() const { return id_; }

    std::vector<std::string> services{"raw"};
    uint64_t schema_hash = 0;
    size_t capacity = 32;
    std::string state = "the state";
    size_t state_pieces = 1;
    std::function<Answer(const Seen&)> answer = [](const Seen& s) { return Answer{{DERECHO_OK, "got " + s.data}}; };
    bool gives_state = true;

    derecho_group* group = nullptr;
    derecho_shard* shard = nullptr;
    std::string error;
    std::vector<Seen> seen;

private:
    void take(const derecho_event& event) {
        Seen one{event, {}};
        if (event.size_bytes > 0) one.data.assign(static_cast<const char*>(event.data), event.size_bytes);
        seen.push_back(one);
        if (event.kind == DERECHO_EVENT_STATE_REQUEST && gives_state) send_state(event);
        const bool call = event.kind == DERECHO_EVENT_CALL || event.kind == DERECHO_EVENT_QUERY;
        if (!call || !(event.flags & DERECHO_FLAG_REPLY)) return;
        const Answer given = answer(one);
        if (!given) return;
        const auto& [status, text] = *given;
        EXPECT_DERECHO_OK(derecho_group_reply(group, event.node, event.id, status, text.data(), text.size()));
    }
    void send_state(const derecho_event& event) {
        for (size_t piece = 0; piece < state_pieces; ++piece)
            EXPECT_DERECHO_OK(derecho_group_state(group, event.node, event.id, state.data(), state.size(),
                                                  piece + 1 == state_pieces));
    }

    uint32_t id_;
};

using Nodes = std::vector<TestNode*>;

// Poll all nodes in turn until `done`; fails after a while.
inline ::testing::AssertionResult pump(const Nodes& nodes, const std::function<bool()>& done, int seconds = 20) {
    const auto give_up = Clock::now() + std::chrono::seconds(seconds);
    while (!done()) {
        size_t came = 0;
        for (TestNode* node : nodes) came += node->poll();
        if (came == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
        if (Clock::now() > give_up) return ::testing::AssertionFailure() << "not done after " << seconds << " s";
    }
    return ::testing::AssertionSuccess();
}

// A group whose members all have the state, and have seen the view in which all of them vote.
inline void form(const Nodes& nodes, const Texts& options = {}) {
    for (TestNode* node : nodes) {
        ASSERT_NO_FATAL_FAILURE(node->join(node == nodes[0] ? nullptr : nodes[0], options));
        Nodes so_far(nodes.begin(), std::find(nodes.begin(), nodes.end(), node) + 1);
        ASSERT_TRUE(pump(so_far, [&] {
            for (TestNode* each : so_far)
                if (!each->sees_voters(so_far.size())) return false;
            return node == nodes[0] || node->count(DERECHO_EVENT_STATE) >= node->services.size();
        }));
    }
    for (TestNode* node : nodes) node->seen.clear();
}

}  // namespace libderecho::capi_testing
