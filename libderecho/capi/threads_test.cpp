// Threads, waiting, and the end of a group: several at a time sending and polling, closing while others wait, waking by
// descriptor, what an idle node costs, and that nothing is left behind.
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <set>

#include "capi/capi_testing.hpp"

namespace libderecho::capi_testing {
namespace {

using namespace std::chrono_literals;

size_t entries(const char* directory) {
    const auto all = std::filesystem::directory_iterator(directory);
    return static_cast<size_t>(std::distance(begin(all), end(all)));
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Polls a node on a thread of its own until told to stop.
class Poller {
public:
    explicit Poller(TestNode& node, int64_t timeout_ns = 10'000'000)
        : thread_([this, &node, timeout_ns] {
              while (!stop_) node.poll(timeout_ns);
          }) {}
    ~Poller() {
        stop_ = true;
        thread_.join();
    }

private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// Try again as long as there is no room.
template <class Call>
derecho_status insist(Call&& call) {
    derecho_status status;
    while ((status = call()) == DERECHO_AGAIN || status == DERECHO_WEDGED) std::this_thread::sleep_for(20us);
    return status;
}

TEST(Threads, sixteen_threads_send_and_call_at_once_and_everything_comes_once_and_in_the_order_of_each) {
    constexpr uint32_t kThreads = 16, kEach = 500;
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}, {{"ring_bytes", "65536"}}));
    a.answer = b.answer = [](const Seen&) { return Answer{{DERECHO_OK, "r"}}; };
    std::atomic<uint32_t> running{kThreads};
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (uint32_t i = 0; i < kEach; ++i) {
                const uint32_t body[2] = {t, i};
                uint64_t id = 0;
                const derecho_status status = insist([&] {
                    if (i % 3 == 0) return derecho_shard_call(a.shard, t, DERECHO_CALL_REPLY, body, sizeof body, &id);
                    if (i % 3 == 1) return derecho_shard_call(a.shard, t, 0, body, sizeof body, nullptr);
                    derecho_claim claim{};
                    const derecho_status claimed = derecho_shard_claim(a.shard, t, 0, 64, &claim);
                    if (claimed != DERECHO_OK) return claimed;
                    std::memcpy(claim.data, body, sizeof body);
                    return derecho_claim_commit(a.shard, &claim, sizeof body);
                });
                EXPECT_EQ(status, DERECHO_OK) << derecho_last_error();
                if (i % 10 == 0) {
                    EXPECT_EQ(
                        insist([&] { return derecho_shard_query(a.shard, 1 + t % 2, t, body, sizeof body, &id); }),
                        DERECHO_OK);
                }
            }
            --running;
        });
    }
    const size_t replies = kThreads * (2 * ((kEach + 2) / 3) + kEach / 10);
    ASSERT_TRUE(pump(
        {&a, &b},
        [&] {
            return running == 0 && a.count(DERECHO_EVENT_REPLY) == replies &&
                   b.count(DERECHO_EVENT_CALL) == kThreads * kEach;
        },
        60));
    for (auto& thread : threads) thread.join();
    uint32_t next[kThreads] = {};
    for (const Seen* one : b.all(DERECHO_EVENT_CALL)) {
        uint32_t body[2];
        ASSERT_EQ(one->data.size(), sizeof body);
        std::memcpy(body, one->data.data(), sizeof body);
        EXPECT_EQ(body[0], one->event.method);
        EXPECT_EQ(body[1], next[body[0]]++);
    }
    std::set<uint64_t> calls;
    for (const Seen* one : a.all(DERECHO_EVENT_ORDERED)) EXPECT_TRUE(calls.insert(one->event.id).second);
}

TEST(Threads, several_threads_poll_one_group_and_each_event_comes_to_one_of_them) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    constexpr int kMessages = 20'000;
    std::atomic<int> got{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            while (got < kMessages) {
                derecho_event events[8];
                size_t count = 0;
                uint64_t lease = 0;
                // A thread that is put aside with its lease holds back all others' after a while.
                EXPECT_EQ(insist([&] { return derecho_poll(a.group, events, 8, 5'000'000, &count, &lease); }),
                          DERECHO_OK);
                for (size_t i = 0; i < count; ++i) got += events[i].kind == DERECHO_EVENT_MESSAGE;
                EXPECT_DERECHO_OK(derecho_release(a.group, lease));
            }
        });
    for (int i = 0; i < kMessages; ++i)
        EXPECT_EQ(insist([&] { return derecho_shard_send(a.shard, "x", 1, nullptr); }), DERECHO_OK);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(got, kMessages);
}

TEST(Threads, those_who_wait_return_closed_when_the_group_is_closed) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    std::atomic<int> closed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            derecho_event events[4];
            size_t count = 0;
            uint64_t lease = 0;
            derecho_status status;
            do {
                status = derecho_poll(a.group, events, 4, t % 2 ? -1 : 1'000'000, &count, &lease);
                if (status == DERECHO_OK) status = derecho_release(a.group, lease);
            } while (status == DERECHO_OK);
            EXPECT_EQ(status, DERECHO_CLOSED);
            ++closed;
        });
    std::this_thread::sleep_for(20ms);
    const auto begin = Clock::now();
    ASSERT_DERECHO_OK(derecho_group_close(a.group));
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(closed, 4);
    EXPECT_LT(Clock::now() - begin, 2s);
    a.group = nullptr;
}

TEST(Threads, closing_races_with_every_use_without_harm) {
    for (int round = 0; round < 30; ++round) {
        TestNode a(1);
        ASSERT_NO_FATAL_FAILURE(a.join(nullptr));
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        const std::vector<std::function<derecho_status()>> uses{
            [&] { return derecho_shard_send(a.shard, "x", 1, nullptr); },
            [&] {
                uint64_t id;
                return derecho_shard_query(a.shard, 1, 1, "x", 1, &id);
            },
            [&] {
                derecho_event events[4];
                size_t count;
                uint64_t lease;
                const derecho_status status = derecho_poll(a.group, events, 4, 1000, &count, &lease);
                return status == DERECHO_OK ? derecho_release(a.group, lease) : status;
            },
            [&] {
                derecho_stats stats{};
                stats.struct_bytes = sizeof stats;
                return derecho_group_stats(a.group, &stats);
            },
            [&] { return derecho_wake(a.group); },
        };
        for (const auto& use : uses)
            threads.emplace_back([&] {
                while (!go) std::this_thread::yield();
                derecho_status status;
                do status = use();
                while (status == DERECHO_OK || status == DERECHO_AGAIN);
                EXPECT_EQ(status, DERECHO_CLOSED) << derecho_last_error();
            });
        go = true;
        std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
        ASSERT_DERECHO_OK(derecho_group_close(a.group));
        for (auto& thread : threads) thread.join();
        a.group = nullptr;
    }
}

TEST(Closing, leased_data_and_open_claims_stay_readable_until_given_back) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}));
    ASSERT_DERECHO_OK(derecho_shard_send(b.shard, "precious", 8, nullptr));
    derecho_event event{};
    size_t count = 0;
    uint64_t lease = 0;
    while (count == 0 || event.kind != DERECHO_EVENT_MESSAGE) {
        ASSERT_DERECHO_OK(derecho_poll(a.group, &event, 1, 1'000'000, &count, &lease));
        b.poll();
    }
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 1000, &claim));
    const std::string address = a.address();
    ASSERT_DERECHO_OK(derecho_group_close(a.group));
    TestNode successor(3);
    ASSERT_NO_FATAL_FAILURE(successor.join(nullptr, {{"listen", address}}));
    EXPECT_EQ(std::string(static_cast<const char*>(event.data), event.size_bytes), "precious");
    std::memset(claim.data, 1, 1000);
    // To the others it is dead already.
    ASSERT_TRUE(pump(
        {&b}, [&] { return b.view().member_count == 1 || b.count(DERECHO_EVENT_CLOSED) == 1; }, 5));
    EXPECT_EQ(derecho_release(a.group, lease), DERECHO_OK);
    EXPECT_EQ(derecho_release(a.group, lease), DERECHO_CLOSED);
    static_cast<char*>(claim.data)[0] = 2;
    EXPECT_EQ(derecho_claim_commit(a.shard, &claim, 10), DERECHO_CLOSED);
    EXPECT_EQ(derecho_claim_abort(a.shard, &claim), DERECHO_CLOSED);
    a.group = nullptr;
}

TEST(Closing, nothing_is_left_behind) {
    const auto cycle = [] {
        TestNode a(1), b(2);
        form({&a, &b});
        derecho_shard_send(a.shard, "x", 1, nullptr);
        pump({&a, &b}, [&] { return b.count(DERECHO_EVENT_MESSAGE) == 1; });
        EXPECT_DERECHO_OK(derecho_group_leave(b.group, 5000));
    };
    cycle();
    const size_t fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    for (int i = 0; i < 5; ++i) cycle();
    EXPECT_EQ(entries("/proc/self/fd"), fds);
    EXPECT_EQ(entries("/proc/self/task"), threads);
    std::vector<std::string> failed;
    TestNode c(3);
    EXPECT_NE(c.try_join(nullptr, {{"contacts", "127.0.0.1:9"}}, 50), DERECHO_OK);
    EXPECT_EQ(entries("/proc/self/fd"), fds);
    EXPECT_EQ(entries("/proc/self/task"), threads);
}

TEST(Waiting, a_poll_that_waits_returns_when_another_thread_wakes_it) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    std::thread waker([&] {
        std::this_thread::sleep_for(30ms);
        EXPECT_DERECHO_OK(derecho_wake(a.group));
    });
    const auto begin = Clock::now();
    EXPECT_EQ(a.poll(-1), 0u);
    EXPECT_LT(Clock::now() - begin, 5s);
    waker.join();
    EXPECT_DERECHO_OK(derecho_wake(a.group));  // a wake that comes before the wait counts, too
    EXPECT_EQ(a.poll(-1), 0u);
}

TEST(Waiting, a_poll_without_events_returns_at_its_deadline) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    for (const auto wait : {0us, 100us, 5000us, 50'000us}) {
        const auto begin = Clock::now();
        EXPECT_EQ(a.poll(std::chrono::nanoseconds(wait).count()), 0u);
        const auto took = Clock::now() - begin;
        EXPECT_GE(took, wait - wait / 10);
        EXPECT_LT(took, wait + 1s);
    }
}

TEST(Waiting, a_message_of_a_thread_that_does_not_poll_is_sent_promptly) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}));
    std::this_thread::sleep_for(20ms);  // nobody polls: the reactors drive, and sleep
    for (int i = 0; i < 5; ++i) {
        const auto begin = Clock::now();
        ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "x", 1, nullptr));
        const size_t before = b.count(DERECHO_EVENT_MESSAGE);
        while (b.count(DERECHO_EVENT_MESSAGE) == before && Clock::now() - begin < 5s) b.poll(1'000'000'000);
        EXPECT_LT(Clock::now() - begin, 500ms);
    }
}

TEST(Waiting, who_polls_without_waiting_drives_again_after_the_reactor_did) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    const auto steps = [&] {
        derecho_stats stats{};
        stats.struct_bytes = sizeof stats;
        EXPECT_DERECHO_OK(derecho_group_stats(a.group, &stats));
        return stats.steps;
    };
    const auto drives = [&] {  // while the reactor has the right, and has lost its processor, polls come back at once
        const uint64_t before = steps();
        for (int poll = 0; poll < 1000; ++poll) a.poll();
        return steps() - before > 500;
    };
    for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(20ms);  // nobody polls: the reactor drives, and sleeps
        const auto begin = Clock::now();
        bool driven = false;
        while (!driven && Clock::now() - begin < 5s) driven = drives();
        EXPECT_TRUE(driven);
    }
}

TEST(Waiting, a_member_that_is_alone_leaves_at_once) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    const auto begin = Clock::now();
    ASSERT_DERECHO_OK(derecho_group_leave(a.group, 5000));
    EXPECT_LT(Clock::now() - begin, 2s);
    ASSERT_TRUE(pump({&a}, [&] { return a.count(DERECHO_EVENT_CLOSED) == 1; }));
    EXPECT_EQ(derecho_group_leave(a.group, 5000), DERECHO_CLOSED);
    derecho_event event{};
    size_t count = 0;
    uint64_t lease = 0;
    EXPECT_EQ(derecho_poll(a.group, &event, 1, -1, &count, &lease), DERECHO_CLOSED);
    EXPECT_NE(std::string(derecho_last_error()).find("left"), std::string::npos) << derecho_last_error();
}

bool readable(int fd, int timeout_ms) {
    pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, timeout_ms) == 1;
}

TEST(Waiting, the_descriptor_becomes_readable_when_events_come_and_not_before) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}));
    int fd = -1;
    ASSERT_DERECHO_OK(derecho_group_fd(b.group, &fd));
    for (int i = 0; i < 20; ++i) {
        while (b.poll() > 0) {
        }
        EXPECT_FALSE(readable(fd, i == 0 ? 50 : 0));
        ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "x", 1, nullptr));
        ASSERT_TRUE(readable(fd, 5000));
        const size_t before = b.count(DERECHO_EVENT_MESSAGE);
        const auto begin = Clock::now();
        while (b.count(DERECHO_EVENT_MESSAGE) == before && Clock::now() - begin < 5s) b.poll();
        EXPECT_EQ(b.count(DERECHO_EVENT_MESSAGE), before + 1);
        a.poll();
    }
}

TEST(Waiting, without_reactor_there_is_no_descriptor_and_polling_alone_drives) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(a.join(nullptr, {{"reactor", "false"}}));
    ASSERT_TRUE(pump({&a}, [&] { return a.view().member_count == 1; }));
    int fd = -1;
    EXPECT_EQ(derecho_group_fd(a.group, &fd), DERECHO_INVALID);
    ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "x", 1, nullptr));
    ASSERT_TRUE(pump({&a}, [&] { return a.count(DERECHO_EVENT_MESSAGE) == 1; }));
}

TEST(Waiting, too_many_leases_are_refused_until_one_is_released) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    std::vector<uint64_t> leases;
    derecho_status status = DERECHO_OK;
    while (status == DERECHO_OK && leases.size() < 100'000) {
        ASSERT_EQ(insist([&] { return derecho_shard_send(a.shard, "x", 1, nullptr); }), DERECHO_OK);
        derecho_event event{};
        size_t count = 0;
        uint64_t lease = 0;
        status = derecho_poll(a.group, &event, 1, 1'000'000'000, &count, &lease);
        if (status == DERECHO_OK && lease) leases.push_back(lease);
    }
    EXPECT_EQ(status, DERECHO_AGAIN);
    for (const uint64_t lease : leases) EXPECT_DERECHO_OK(derecho_release(a.group, lease));
    ASSERT_TRUE(pump({&a}, [&] { return a.count(DERECHO_EVENT_MESSAGE) > 0; }));
}

class Idle : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(PollersOrReactors, Idle, ::testing::Bool());

TEST_P(Idle, an_idle_group_of_three_uses_under_one_percent_of_a_core_a_node) {
    TestNode a(1), b(2), c(3);
    const Nodes all{&a, &b, &c};
    ASSERT_NO_FATAL_FAILURE(form(all));
    std::vector<std::thread> waiters;
    if (GetParam())
        for (TestNode* node : all) waiters.emplace_back([node] { node->poll(4'500'000'000); });
    std::this_thread::sleep_for(300ms);
    // A host that takes the processor away may have that charged to whoever was running: the least of some stretches.
    double used = 1;
    for (int stretch = 0; stretch < 4; ++stretch) {
        const double before = cpu_seconds();
        std::this_thread::sleep_for(1s);
        used = std::min(used, cpu_seconds() - before);
    }
    for (auto& thread : waiters) thread.join();
    RecordProperty("percent_of_a_core_a_node", std::to_string(used / 3 * 100));
    EXPECT_LT(used / 3, 0.01) << "seconds of processor a second and node";
}

TEST(Waiting, a_wake_that_nobody_waits_for_costs_nothing) {
    TestNode a(1);
    ASSERT_NO_FATAL_FAILURE(form(Nodes{&a}));
    EXPECT_DERECHO_OK(derecho_wake(a.group));
    std::this_thread::sleep_for(50ms);
    const double before = cpu_seconds();
    std::this_thread::sleep_for(1s);
    EXPECT_LT(cpu_seconds() - before, 0.1);
    const auto begin = Clock::now();
    EXPECT_EQ(a.poll(5'000'000'000), 0u);
    EXPECT_LT(Clock::now() - begin, 2s) << "it still counts";
}

TEST(Waiting, every_poll_that_found_nothing_arms_the_descriptor_also_one_that_waited) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}));
    int fd = -1;
    ASSERT_DERECHO_OK(derecho_group_fd(b.group, &fd));
    for (int i = 0; i < 3; ++i) {
        while (b.poll(20'000'000) > 0) {
        }
        EXPECT_FALSE(readable(fd, 0)) << i;
        ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "x", 1, nullptr));
        ASSERT_TRUE(readable(fd, 2000)) << i;
    }
}

TEST(Waiting, the_descriptor_is_armed_by_a_poll_while_another_thread_leaves) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(a.join(nullptr, {{"reactor", "false"}}));
    ASSERT_TRUE(pump({&a}, [&] { return a.view().member_count == 1; }));
    std::atomic<bool> joined{false};
    std::thread joining([&] {
        b.join(&a);
        joined = true;
    });
    ASSERT_TRUE(pump({&a}, [&] { return joined.load(); }));
    joining.join();
    ASSERT_TRUE(pump({&a, &b}, [&] { return b.count(DERECHO_EVENT_STATE) == 1; }));
    std::thread leaving([&] { EXPECT_DERECHO_OK(derecho_group_leave(b.group, 20'000)); });
    std::this_thread::sleep_for(100ms);  // it drives, and waits for the other one
    int fd = -1;
    ASSERT_DERECHO_OK(derecho_group_fd(b.group, &fd));
    EXPECT_EQ(b.poll(), 0u);
    EXPECT_TRUE(pump({&a}, [&] { return a.view().member_count == 1; }));
    leaving.join();
    ASSERT_TRUE(readable(fd, 2000)) << "the end is to be taken";
    while (b.poll() > 0) {
    }
    EXPECT_EQ(b.count(DERECHO_EVENT_CLOSED), 1u);
}

// It stays for a newcomer that needs its state, which its own application has to give.
TEST(Waiting, who_leaves_lets_who_polls_have_its_turn) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a}));
    ASSERT_NO_FATAL_FAILURE(b.join(&a));
    std::thread leaving([&] { EXPECT_DERECHO_OK(derecho_group_leave(a.group, 20'000)); });
    std::this_thread::sleep_for(200ms);  // it drives
    const Poller one(a), two(b);
    leaving.join();
}

TEST(Waiting, the_longest_time_there_is_is_no_short_one) {
    TestNode a(1);
    EXPECT_EQ(a.try_join(nullptr, {}, INT64_MAX), DERECHO_OK) << a.error;
    ASSERT_TRUE(pump({&a}, [&] { return a.view().member_count == 1; }));
    ASSERT_DERECHO_OK(derecho_group_leave(a.group, INT64_MAX));
}

TEST(Waiting, an_open_claim_of_a_node_that_sleeps_delays_others_only_briefly) {
    TestNode a(1), b(2);
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}, {{"heartbeat_ms", "1000"}, {"suspect_ms", "10000"}}));
    for (int i = 0; i < 5; ++i) {
        derecho_claim claim{};
        ASSERT_EQ(insist([&] { return derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 10, &claim); }),
                  DERECHO_OK);
        std::this_thread::sleep_for(20ms);  // nobody polls a: its reactor drives, and sleeps
        const auto begin = Clock::now();
        ASSERT_DERECHO_OK(derecho_shard_send(b.shard, "x", 1, nullptr));
        const size_t before = b.count(DERECHO_EVENT_MESSAGE);
        while (b.count(DERECHO_EVENT_MESSAGE) == before && Clock::now() - begin < 5s) b.poll(1'000'000);
        EXPECT_LT(Clock::now() - begin, 100ms);
        EXPECT_DERECHO_OK(derecho_claim_abort(a.shard, &claim));
    }
}

TEST(JoinCancel, a_join_that_waits_returns_at_once_and_later_ones_do_not_begin) {
    derecho_config* config = nullptr;
    ASSERT_DERECHO_OK(derecho_config_create(&config));
    for (const auto& [key, value] : Texts{{"node", "2"}, {"listen", "127.0.0.1:0"}, {"contacts", "127.0.0.1:9"}})
        ASSERT_DERECHO_OK(derecho_config_set(config, key.c_str(), value.c_str()));
    ASSERT_DERECHO_OK(derecho_config_add_service(config, "raw", 0));
    std::string said;
    const auto join = [&] {
        derecho_group* group = nullptr;
        EXPECT_EQ(derecho_group_join(config, 60'000, &group), DERECHO_CLOSED);
        said = derecho_last_error();
    };
    const auto started = Clock::now();
    std::thread joining(join);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_DERECHO_OK(derecho_join_cancel(config));
    joining.join();
    EXPECT_EQ(said, "joining was cancelled");
    join();
    EXPECT_LT(Clock::now() - started, std::chrono::seconds(30));
    EXPECT_DERECHO_OK(derecho_config_close(config));
    EXPECT_EQ(derecho_join_cancel(config), DERECHO_CLOSED);
}

}  // namespace
}  // namespace libderecho::capi_testing
