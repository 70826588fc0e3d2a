// What a C++ service sees of a group: calls, failures, state, views, waiting and ending, over the header alone.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cpp/members.hpp"

namespace derecho::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Bytes kValue = {std::byte{1}, std::byte{2}};

struct Pinned {  // tests/python/test_schema.py pins the same number
    int64_t put(std::string_view, BytesView) { return 0; }
    std::optional<Bytes> get(std::string_view) const { return std::nullopt; }
    static constexpr auto derecho_service =
        service("Cache", ordered<&Pinned::put>("put", "key", "value"), query<&Pinned::get>("get", "key"));
};

struct Other {
    void put(int32_t) {}
    Bytes save_state() const { return {}; }
    void load_state(Bytes) {}
    static constexpr auto derecho_service = service("Cache", ordered<&Other::put>("put", "key"));
};

TEST(CppSchema, a_described_class_has_the_hash_of_the_annotated_one) {
    EXPECT_EQ(schema_text<Pinned>(),
              "service Cache\nordered put(key:str,value:bytes)->i64\nquery get(key:str)->optional<bytes>\n");
    static_assert(schema_hash<Pinned>() == 0x57e971a22b988e36);
}

TEST(CppSchema, concepts_tell_methods_apart) {
    static_assert(OrderedMethod<Cache, &Cache::put> && !QueryMethod<Cache, &Cache::put>);
    static_assert(QueryMethod<Cache, &Cache::get> && !OrderedMethod<Cache, &Cache::get>);
    static_assert(!MethodOfService<Cache, &Cache::save_state>);
    static_assert(ArgumentsOf<&Cache::put, const char*, Bytes>);
    static_assert(!ArgumentsOf<&Cache::put, const char*> && !ArgumentsOf<&Cache::put, int, Bytes>);
}

TEST(CppGroup, members_read_and_write_each_others_memory) {
    CacheMember one(1), two(2, &one);
    two.group->wait_view(2);
    Bytes there(1'000'000, std::byte{7}), here(1'000'000);
    RegisteredMemory theirs = one.group->register_memory(there, DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE);
    RegisteredMemory mine = two.group->register_memory(here, 0);
    const MemoryKey key = theirs.key_for(2);
    const derecho_piece all[] = {mine.piece()};
    EXPECT_EQ(two.group->read(1, key, 0, all).get(), here.size());
    EXPECT_EQ(here, there);
    here[0] = here[1] = std::byte{8};
    const derecho_piece pieces[] = {mine.piece(0, 1), mine.piece(5, 0), mine.piece(1, 1)};
    EXPECT_EQ(two.group->write(1, key, 999'998, pieces).get(), 2u);
    EXPECT_EQ(there[999'997], std::byte{7});
    EXPECT_EQ(there[999'999], std::byte{8});
    EXPECT_THROW(two.group->read(1, key, 1, all).get(), InvalidArgument);
    EXPECT_THROW(two.group->read(9, key, 0, all), NotMember);
    std::vector<Transfer> under_way;
    for (int i = 0; i < 500; i++) under_way.push_back(two.group->write(1, key, 0, all));
    EXPECT_THROW(mine.deregister(seconds(0)), Timeout);
    mine.deregister(seconds(30));
    EXPECT_EQ(under_way.back().get(), here.size());
}

TEST(CppGroup, every_member_answers_an_ordered_call) {
    CacheMember one(1), two(2, &one);
    two.group->wait_view(2);
    const Replies<int64_t> replies = two.cache->ordered<&Cache::put>("k", kValue);
    EXPECT_EQ(replies.get(), 1);
    EXPECT_EQ(replies.members(), (std::vector<uint32_t>{1, 2}));
    EXPECT_EQ(replies.all(), (std::map<uint32_t, int64_t>{{1, 1}, {2, 1}}));
    for (const Reply<int64_t>& reply : replies.replies()) EXPECT_EQ(reply.get(), 1);
    EXPECT_EQ(one.service.items(), two.service.items());
    EXPECT_EQ(one.cache->ordered<&Cache::clear>().all().size(), 2u);
    EXPECT_TRUE(two.service.items().empty());
}

TEST(CppGroup, a_query_asks_one_member) {
    CacheMember one(1), two(2, &one);
    one.cache->ordered<&Cache::put>("k", kValue).all();
    EXPECT_EQ(two.cache->query<&Cache::get>(1, "k").get(), kValue);
    EXPECT_EQ(two.cache->query<&Cache::get>(two.cache->nearest(), "absent").get(), std::nullopt);
    EXPECT_THROW(two.cache->query<&Cache::get>(9, "k"), NotMember);
}

TEST(CppGroup, what_a_handler_throws_reaches_the_caller_with_type_and_text) {
    CacheMember one(1), two(2, &one);
    try {
        two.cache->query<&Cache::refuse>(1, "not today").get();
        FAIL();
    } catch (const RemoteError& error) {
        EXPECT_EQ(error.member(), 1u);
        EXPECT_EQ(error.type_name(), "logic_error");
        EXPECT_EQ(error.text(), "not today");
        EXPECT_STREQ(error.what(), "Cache.refuse: member 1 failed: logic_error: not today");
    }
    EXPECT_THROW(one.cache->ordered<&Cache::put>("", kValue).all(), RemoteError);
}

TEST(CppGroup, a_failure_that_nobody_waits_for_is_told_to_on_failure) {
    CacheMember one(1);
    std::string heard;
    one.group->on_failure([&heard](const std::string& where, std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const std::invalid_argument& invalid) {
            heard = where + ": " + invalid.what();
        }
    });
    one.cache->send<&Cache::put>("", kValue);
    one.cache->ordered<&Cache::clear>().get();
    EXPECT_EQ(heard, "Cache: a key has at least one byte");
}

TEST(CppGroup, an_on_failure_that_throws_stops_nobody) {
    CacheMember one(1);
    one.group->on_failure([](const std::string&, std::exception_ptr) { throw std::runtime_error("not here either"); });
    one.cache->send<&Cache::put>("", kValue);
    EXPECT_EQ(one.cache->ordered<&Cache::put>("k", kValue).get(), 1);
}

TEST(CppGroup, a_joiner_has_the_state_and_what_came_after_it) {
    CacheMember one(1);
    for (int i = 0; i < 100; i++) one.cache->ordered<&Cache::put>(std::to_string(i), Bytes(20'000)).get();
    std::atomic<bool> stop = false;
    std::thread busy([&] {
        for (int i = 0; !stop; i++) one.cache->send<&Cache::put>("during " + std::to_string(i % 50), kValue);
    });
    CacheMember two(2, &one);
    stop = true;
    busy.join();
    one.cache->ordered<&Cache::put>("last", kValue).all();
    EXPECT_GE(two.service.items().size(), 101u);
    EXPECT_EQ(one.service.items(), two.service.items());
}

TEST(CppGroup, views_come_in_order_and_can_be_waited_for) {
    CacheMember one(1);
    std::mutex mutex;
    std::vector<uint64_t> seen;
    one.group->on_view([&](const View& view) {
        const std::lock_guard lock(mutex);
        seen.push_back(view.id);
    });
    {
        CacheMember two(2, &one);
        EXPECT_EQ(one.group->wait_view(2).nodes(), (std::vector<uint32_t>{1, 2}));
        EXPECT_EQ(one.group->wait_view(1).nodes(), (std::vector<uint32_t>{1, 2}));  // one, or more
        EXPECT_THROW(one.group->wait_view_exactly(1, milliseconds(20)), Timeout);
    }
    EXPECT_EQ(one.group->wait_view_exactly(1).nodes(), std::vector<uint32_t>{1});
    one.cache->ordered<&Cache::clear>().get();  // what is dispatched after the view has been
    const std::lock_guard lock(mutex);
    ASSERT_EQ(seen.size(), 4u);  // its own as well, and the one in which the other votes
    EXPECT_TRUE(std::ranges::is_sorted(seen, std::less_equal<>{}));
    EXPECT_THROW(one.group->wait_view(5, milliseconds(20)), Timeout);
}

TEST(CppGroup, a_handler_that_waits_is_told_instead_of_hanging) {
    CacheMember one(1);
    one.service.set_during_put([&one] { one.cache->query<&Cache::get>(1, "k").get(); });
    try {
        one.cache->ordered<&Cache::put>("k", kValue).get();
        FAIL();
    } catch (const RemoteError& error) {
        EXPECT_EQ(error.type_name(), "InHandler");
    }
}

TEST(CppGroup, a_handler_may_send) {
    CacheMember one(1);
    one.service.set_during_put([&one] {
        one.service.set_during_put(nullptr);
        one.cache->send<&Cache::put>("second", kValue);
    });
    one.cache->ordered<&Cache::put>("first", kValue).get();
    one.cache->ordered<&Cache::put>("third", kValue).get();
    EXPECT_EQ(one.service.items().size(), 3u);
}

TEST(CppGroup, sixteen_threads_call_at_once) {
    constexpr int kThreads = 16;
    constexpr int kCalls = 200;
    CacheMember one(1), two(2, &one);
    std::vector<std::thread> threads;
    std::atomic<int> answers = 0;
    for (int thread = 0; thread < kThreads; thread++) {
        threads.emplace_back([&, thread] {
            CacheMember& member = thread % 2 == 0 ? one : two;
            for (int i = 0; i < kCalls; i++) {
                const std::string key = std::to_string(thread) + "/" + std::to_string(i);
                answers += member.cache->ordered<&Cache::put>(key, kValue).get() > 0;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(answers, kThreads * kCalls);
    one.cache->ordered<&Cache::put>("end", kValue).all();
    EXPECT_EQ(one.service.items().size(), size_t{kThreads * kCalls + 1});
    EXPECT_EQ(one.service.items(), two.service.items());
}

TEST(CppGroup, closing_ends_pending_calls) {
    CacheMember one(1), two(2, &one);
    one.service.set_during_put([] { std::this_thread::sleep_for(milliseconds(200)); });
    const Replies<int64_t> pending = two.cache->ordered<&Cache::put>("k", kValue);
    std::thread closer([&two] {
        std::this_thread::sleep_for(milliseconds(20));
        two.group->close();
    });
    EXPECT_THROW(pending.all(), Closed);
    closer.join();
    EXPECT_THROW(two.cache->ordered<&Cache::put>("k", kValue), Closed);
    EXPECT_THROW(two.cache->query<&Cache::get>(1, "k"), Closed);
    two.group->close();
}

TEST(CppGroup, closing_waits_for_the_handler_of_a_thread_that_drives) {
    CacheMember one(1);
    std::promise<void> began;
    std::atomic<bool> finished = false;
    one.service.set_during_put([&] {
        began.set_value();
        std::this_thread::sleep_for(milliseconds(200));
        finished = true;
    });
    std::thread caller([&] { EXPECT_THROW(one.cache->ordered<&Cache::put>("k", kValue).get(), Closed); });
    began.get_future().wait();
    one.group->close();
    EXPECT_TRUE(finished);  // so that the service may be destroyed now
    caller.join();
}

TEST(CppGroup, a_handler_may_give_up_its_group) {
    Config config;
    config.node(1).listen("127.0.0.1:0").found();
    // What the handler touches is never destroyed: the thread that runs it ends at its own time, after main() perhaps.
    struct Touched {
        Cache cache;
        std::promise<void> gone;
    };
    static auto& kept = *new std::deque<Touched>;
    Touched& touched = kept.emplace_back();
    std::optional<Group> group(Group::join(config, milliseconds(200), touched.cache));
    touched.cache.set_during_put([&] {
        group.reset();
        touched.gone.set_value();
    });
    group->replicated<Cache>().send<&Cache::put>("k", kValue);
    touched.gone.get_future().wait();
    std::this_thread::sleep_for(milliseconds(100));  // had it ended the process, it would have by then
}

TEST(CppGroup, a_config_declares_what_join_is_given_and_nothing_else) {
    Config config;
    config.node(1).listen("127.0.0.1:0").service("earlier");
    Cache cache;
    EXPECT_THROW(
        try { Group::join(config, cache); } catch (const InvalidArgument& error) {
            EXPECT_NE(std::string(error.what()).find("the first is earlier"), std::string::npos) << error.what();
            throw;
        },
        InvalidArgument);
}

TEST(CppGroup, a_config_can_be_used_again) {
    Cache first, second;
    Config config;
    config.node(2).listen("127.0.0.1:0").contacts("127.0.0.1:1");
    EXPECT_THROW(Group::join(config, milliseconds(50), first), Error);
    Group one = Group::join(config.contacts("").found(), first);
    config.node(3).found(false).contacts(one.view().members[0].address);
    Group two = Group::join(config, second);
    EXPECT_EQ(two.replicated<Cache>().ordered<&Cache::put>("k", kValue).all().size(), 2u);
}

TEST(CppGroup, a_wait_may_be_as_long_as_the_clock_goes) {
    CacheMember one(1);
    one.service.set_during_put([] { std::this_thread::sleep_for(milliseconds(50)); });
    EXPECT_EQ(one.cache->ordered<&Cache::put>("k", kValue).get(std::chrono::nanoseconds::max()), 1);
}

TEST(CppGroup, a_member_that_dies_owes_no_answer) {
    CacheMember one(1), two(2, &one), three(3, &one);
    one.group->wait_view(3);
    std::thread closer;
    three.service.set_during_put([&three, &closer] {
        closer = std::thread([&three] { three.group->close(); });
        std::this_thread::sleep_for(milliseconds(100));
    });
    const auto values = one.cache->ordered<&Cache::put>("k", kValue).all();
    EXPECT_EQ(values, (std::map<uint32_t, int64_t>{{1, 1}, {2, 1}}));
    three.group->close();  // waits for the handler
    closer.join();
}

TEST(CppGroup, plain_messages_go_to_the_function_of_their_shard) {
    std::promise<std::string> first, second;
    std::deque<std::promise<std::string>*> due = {&first, &second};
    Config config;
    config.node(1).listen("127.0.0.1:0").found();
    Cache cache;
    Group group = Group::join(config, cache, RawShard{"log", [&due](const derecho_event& event) {
                                                          const BytesView data = data_of(event);
                                                          const auto* text = reinterpret_cast<const char*>(data.data());
                                                          due.front()->set_value(std::string(text, data.size()));
                                                          due.pop_front();
                                                      }});
    group.shard("log").send(bytes_of("a"));
    group.shard("log").send(bytes_of("b"));
    EXPECT_EQ(first.get_future().get(), "a");
    EXPECT_EQ(second.get_future().get(), "b");
}

TEST(CppGroup, members_with_another_schema_are_refused) {
    CacheMember one(1);
    Config config;
    config.node(2).listen("127.0.0.1:0").contacts(one.address());
    Other other;
    try {
        Group::join(config, seconds(5), other);
        ADD_FAILURE() << "it was let in";
    } catch (const Incompatible& error) {  // which names the methods that differ
        EXPECT_NE(std::string(error.what()).find("put is ordered put(key:i32)->void here, ordered put(key:str,"),
                  std::string::npos)
            << error.what();
        EXPECT_NE(std::string(error.what()).find("get is only there"), std::string::npos) << error.what();
    }
}

TEST(CppGroup, on_end_is_told_once_why_and_at_once_when_it_is_over) {
    CacheMember one(1);
    std::atomic<int> told = 0;
    const auto count = [&](std::exception_ptr why) {
        try {
            std::rethrow_exception(why);
        } catch (const Closed&) {
            told++;
        }
    };
    one.group->on_end(count);
    one.group->on_end([](std::exception_ptr) { throw std::runtime_error("stops nobody"); });
    EXPECT_EQ(told, 0);
    one.group->leave();
    EXPECT_EQ(told, 1);
    one.group->close();
    EXPECT_EQ(told, 1);
    one.group->on_end(count);
    EXPECT_EQ(told, 2);
}

struct WithoutText : std::exception {
    const char* what() const noexcept override { return nullptr; }
};

TEST(CppHandlers, whatever_is_thrown_is_answered_and_the_member_goes_on) {
    CacheMember one(1), two(2, &one);
    one.group->wait_view(2);
    const std::vector<std::pair<std::function<void()>, std::string>> kinds{
        {[] { throw std::runtime_error("no"); }, "runtime_error"},
        {[] { throw WithoutText(); }, "WithoutText"},
        {[] { throw 7; }, "unknown"},
        {[] { throw std::bad_alloc(); }, "bad_alloc"},
        {[] { throw RingFull("mine"); }, "RingFull"},
        {[] { std::rethrow_exception(std::make_exception_ptr(std::string("text"))); }, "unknown"},
    };
    for (const auto& [raises, name] : kinds) {
        two.service.set_during_put(raises);
        try {
            one.cache->ordered<&Cache::put>("k", bytes_of("v")).replies().at(1).get();
            ADD_FAILURE() << name;
        } catch (const RemoteError& error) {
            EXPECT_EQ(error.type_name(), name);
            EXPECT_NE(std::string(error.what()).find("Cache.put"), std::string::npos) << error.what();
        }
        two.service.set_during_put(nullptr);
        EXPECT_EQ(one.cache->ordered<&Cache::put>("k", bytes_of("v")).all().size(), 2u);
    }
}

std::string said_by_all(CacheMember& caller) {
    try {
        caller.cache->ordered<&Cache::put>("k", bytes_of("v")).all();
    } catch (const ReplicasDiffer& error) {
        return error.what();
    }
    return "nothing";
}

TEST(CppReplicas, that_answer_differently_are_told_apart_by_all) {
    CacheMember one(1), two(2, &one), three(3, &two);
    one.group->wait_view(3);
    EXPECT_EQ(said_by_all(one), "nothing");
    two.service.set_during_put([] { throw std::runtime_error("only here"); });
    EXPECT_EQ(said_by_all(one),
              "Cache.put: replicas differ: node 2 failed with runtime_error: only here, nodes 1, 3 answered 1");
    two.service.set_during_put(nullptr);
}

TEST(CppReplicas, that_differ_are_named_by_their_digests_and_removed) {
    const auto options = [](Config& config) {
        config.set("digest", "answers").set("digest_every", "2").set("digest_policy", "eject");
    };
    CacheMember one(1, nullptr, options), two(2, &one, options), three(3, &two, options);
    one.group->wait_view(3);
    std::mutex mutex;
    std::vector<Difference> told;
    one.group->on_difference([&](const Difference& difference) {
        const std::lock_guard lock(mutex);
        told.push_back(difference);
    });
    two.service.set_during_put([] { throw std::runtime_error("only here"); });
    for (int n = 0; n < 2; ++n) one.cache->ordered<&Cache::put>("k", bytes_of("v"));
    one.group->wait_view_exactly(2);
    {
        const std::lock_guard lock(mutex);
        ASSERT_EQ(told.size(), 1u);
        EXPECT_EQ(told[0].service, "Cache");
        EXPECT_EQ(told[0].node, 2u);
        EXPECT_NE(told[0].text.find("differs from that of nodes 1, 3"), std::string::npos) << told[0].text;
    }
    while (!two.group->ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_THROW(std::rethrow_exception(two.group->ended()), Ejected);
    two.service.set_during_put(nullptr);
}

TEST(CppProcess, an_exception_on_its_way_through_a_group_leaves_in_good_order) {
    CacheMember one(1);
    try {
        const CacheMember two(2, &one);
        one.group->wait_view(2);
        throw std::runtime_error("in the block");
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(one.group->wait_view_exactly(1, seconds(20)).members.size(),
              1u);  // had it crashed, no majority would be left
    EXPECT_EQ(one.group->ended(), nullptr);
}

TEST(CppProcess, in_a_child_of_a_fork_calls_are_refused_and_the_end_of_a_group_touches_nothing) {
    CacheMember one(1);
    {
        CacheMember two(2, &one);
        one.group->wait_view(2);
        for (int round = 0; round < 5; round++) {
            const pid_t child = ::fork();
            if (child == 0) {
                int refused = 0;
                const auto try_to = [&refused](auto use) {
                    try {
                        use();
                    } catch (const Closed& error) {
                        refused += std::string(error.what()).find("fork of process") != std::string::npos;
                    }
                };
                try_to([&] { two.cache->ordered<&Cache::put>("k", bytes_of("v")); });
                try_to([&] { two.cache->query<&Cache::get>(1, "k"); });
                try_to([&] { two.group->wait_view(3); });
                try_to([&] { two.group->leave(); });
                two.group.reset();
                ::_exit(refused);
            }
            int status = 0;
            ASSERT_EQ(::waitpid(child, &status, 0), child);
            EXPECT_EQ(WEXITSTATUS(status), 4);
        }
        EXPECT_EQ(two.cache->ordered<&Cache::put>("k", bytes_of("v")).all().size(), 2u);
    }
    EXPECT_EQ(one.group->wait_view_exactly(1, seconds(20)).members.size(), 1u);
}

}  // namespace
}  // namespace derecho::testing
