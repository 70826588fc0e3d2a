// A process is one member: what a child of fork() may do with the handles it inherited (nothing), and what its life
// means to the parent's group (nothing, either). Children are real ones; what they have to say comes through a pipe.
#include "capi/capi_testing.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace libderecho::capi_testing {
namespace {

// A child that does `what` and sends the parent the text it returns; with `then`, it goes on with that.
class Child {
public:
    explicit Child(const std::function<std::string()>& what, const std::function<void()>& then = {}) {
        int ends[2];
        if (::pipe(ends) != 0) std::abort();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            const std::string said = what() + "\n";
            if (::write(ends[1], said.data(), said.size()) < 0) std::abort();
            if (then) then();
            std::exit(0);
        }
        ::close(ends[1]);
        says_ = ends[0];
    }
    ~Child() {
        kill();
        ::close(says_);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    std::string line() {
        std::string text;
        for (char c = 0; ::read(says_, &c, 1) == 1 && c != '\n';) text += c;
        return text;
    }
    // Whether it ended by itself, with 0.
    bool ended_well() {
        int status = 1;
        const auto give_up = Clock::now() + std::chrono::seconds(20);
        while (::waitpid(pid_, &status, WNOHANG) == 0) {
            if (Clock::now() > give_up) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        pid_ = -1;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

private:
    pid_t pid_ = -1;
    int says_ = -1;
};

// Every call that takes a handle; the names of those that did not answer DERECHO_CLOSED with a sentence about the fork.
std::string not_refused(TestNode& node, uint64_t lease, derecho_claim claim, derecho_memory* memory) {
    std::string wrong;
    const auto expect = [&](const char* name, derecho_status status) {
        if (status != DERECHO_CLOSED || !std::strstr(derecho_last_error(), "fork of process"))
            wrong += std::string(name) + ": " + derecho_status_name(status) + " " + derecho_last_error() + "; ";
    };
    derecho_event events[4];
    size_t count = 0;
    uint64_t number = 0;
    int fd = -1;
    derecho_view view{};
    derecho_stats stats{};
    view.struct_bytes = sizeof view;
    stats.struct_bytes = sizeof stats;
    derecho_claim another{};
    derecho_shard* shard = nullptr;
    derecho_memory_key key{};
    expect("send", derecho_shard_send(node.shard, "x", 1, &number));
    expect("call", derecho_shard_call(node.shard, 1, DERECHO_CALL_REPLY, "x", 1, &number));
    expect("query", derecho_shard_query(node.shard, 1, 1, "x", 1, &number));
    expect("claim", derecho_shard_claim(node.shard, 0, DERECHO_CLAIM_MESSAGE, 8, &another));
    expect("commit", derecho_claim_commit(node.shard, &claim, 8));
    expect("abort", derecho_claim_abort(node.shard, &claim));
    expect("reply", derecho_group_reply(node.group, 1, 1, DERECHO_OK, "x", 1));
    expect("poll", derecho_poll(node.group, events, 4, 1'000'000'000, &count, &number));
    expect("release", derecho_release(node.group, lease));
    expect("wake", derecho_wake(node.group));
    expect("fd", derecho_group_fd(node.group, &fd));
    expect("view", derecho_group_view(node.group, &view));
    expect("stats", derecho_group_stats(node.group, &stats));
    expect("shard_open", derecho_shard_open(node.group, "raw", &shard));
    expect("key_for", derecho_memory_key_for(memory, 1, &key));
    expect("deregister", derecho_memory_deregister(memory, 1000));
    expect("leave", derecho_group_leave(node.group, 1000));
    expect("close", derecho_group_close(node.group));
    expect("close again", derecho_group_close(node.group));
    return wrong;
}

class Fork : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override { form(all, {{"wire", GetParam()}, {"suspect_ms", "60000"}}); }

    void send_and_see(const std::string& text) {
        ASSERT_DERECHO_OK(derecho_shard_send(a.shard, text.data(), text.size(), nullptr));
        const auto is_last = [&](TestNode& node) {
            const auto messages = node.all(DERECHO_EVENT_MESSAGE);
            return !messages.empty() && messages.back()->data == text;
        };
        ASSERT_TRUE(pump(all, [&] { return is_last(a) && is_last(b); }));
    }

    TestNode a{1}, b{2};
    Nodes all{&a, &b};
};

INSTANTIATE_TEST_SUITE_P(Wires, Fork, ::testing::Values("shm", "tcp"));

TEST_P(Fork, a_child_is_refused_in_a_sentence_and_its_end_touches_nothing) {
    // Held over the fork: a lease, an open claim, registered memory.
    ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "held", 4, nullptr));
    derecho_event event;
    size_t count = 0;
    uint64_t lease = 0;
    ASSERT_TRUE(pump({&b}, [&] {
        EXPECT_DERECHO_OK(derecho_poll(a.group, &event, 1, 0, &count, &lease));
        return count == 1;
    }));
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 8, &claim));
    derecho_memory* memory = nullptr;
    static char buffer[4096];
    ASSERT_DERECHO_OK(derecho_memory_register(a.group, buffer, sizeof buffer, DERECHO_MEMORY_READ, &memory));

    Child child([&] {
        std::string wrong = not_refused(a, lease, claim, memory);
        if (std::memcmp(event.data, "held", 4) != 0) wrong += "what was leased cannot be read; ";
        std::memcpy(claim.data, "CHILD'S!", 8);  // is the child's own memory now
        return wrong;
    });
    EXPECT_EQ(child.line(), "");
    EXPECT_TRUE(child.ended_well());

    std::memcpy(claim.data, "parent's", 8);
    EXPECT_DERECHO_OK(derecho_claim_commit(a.shard, &claim, 8));
    EXPECT_DERECHO_OK(derecho_release(a.group, lease));
    EXPECT_DERECHO_OK(derecho_memory_deregister(memory, 1000));
    send_and_see("after the child");
    EXPECT_EQ(a.view().member_count, 2u);
    EXPECT_EQ(b.all(DERECHO_EVENT_MESSAGE)[1]->data, "parent's");
}

TEST_P(Fork, a_child_writes_into_memory_of_its_own) {
    derecho_claim claim{};
    ASSERT_DERECHO_OK(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 8, &claim));
    std::memcpy(claim.data, "parent's", 8);
    Child child([&] {
        std::string seen(static_cast<char*>(claim.data), 8);
        std::memcpy(claim.data, "CHILD'S!", 8);
        Child grandchild([&] { return std::string(static_cast<char*>(claim.data), 8); });
        return seen + " " + grandchild.line();
    });
    EXPECT_EQ(child.line(), "parent's CHILD'S!");
    EXPECT_TRUE(child.ended_well());
    EXPECT_DERECHO_OK(derecho_claim_commit(a.shard, &claim, 8));
    ASSERT_TRUE(pump(all, [&] { return b.count(DERECHO_EVENT_MESSAGE) == 1; }));
    EXPECT_EQ(b.all(DERECHO_EVENT_MESSAGE)[0]->data, "parent's");
}

TEST_P(Fork, children_of_a_process_whose_threads_are_busy_inside_of_it_end) {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        while (!stop) {
            b.poll(1'000'000);
            derecho_shard_send(b.shard, "x", 1, nullptr);
            derecho_shard_send(nullptr, "x", 1, nullptr);  // writes its error
        }
    });
    for (int i = 0; i < 20; ++i) {
        Child child([&] {
            derecho_shard_send(a.shard, "x", 1, nullptr);
            derecho_group_close(a.group);
            derecho_group_close(b.group);
            return std::string(derecho_last_error());
        });
        EXPECT_NE(child.line().find("fork of process"), std::string::npos);
        EXPECT_TRUE(child.ended_well());
    }
    stop = true;
    busy.join();
}

#if !defined(__SANITIZE_THREAD__)  // which knows no threads in the child of a process that has some

TEST_P(Fork, a_child_may_join_as_a_node_of_its_own) {
    const Texts options{{"wire", GetParam()}, {"suspect_ms", "60000"}};
    const std::string contact = a.address();
    Child child([&] {
        TestNode c{3};
        Texts own = options;
        own["contacts"] = contact;
        if (c.try_join(nullptr, own) != DERECHO_OK) return c.error;
        const bool came = bool(pump({&c}, [&] { return c.count(DERECHO_EVENT_MESSAGE) > 0; }));
        EXPECT_DERECHO_OK(derecho_group_leave(c.group, 10'000));
        c.close();
        return came ? std::string("joined") : std::string("nothing came");
    });
    ASSERT_TRUE(pump(all, [&] { return a.view().member_count == 3; }));
    ASSERT_DERECHO_OK(derecho_shard_send(a.shard, "to all", 6, nullptr));
    ASSERT_TRUE(pump(all, [&] { return a.view().member_count == 2 && b.view().member_count == 2; }));
    EXPECT_EQ(child.line(), "joined");
    EXPECT_TRUE(child.ended_well());
    send_and_see("after the child");
}

// Suspicion would take a minute here: what tells the others is the end of the connections.
TEST_P(Fork, a_crash_is_noticed_at_once_and_the_port_is_free_while_a_child_lives_on) {
    const std::string contact = a.address();
    int never[2];
    ASSERT_EQ(::pipe(never), 0);
    Child parent(
        [&] {
            static TestNode c{3};
            if (c.try_join(nullptr, {{"wire", GetParam()}, {"suspect_ms", "60000"}, {"contacts", contact}}) !=
                DERECHO_OK)
                return c.error;
            if (::fork() == 0) {  // it ends with the test
                ::close(never[1]);
                char nothing;
                while (::read(never[0], &nothing, 1) < 0) continue;
                ::_exit(0);
            }
            return std::string("joined");
        },
        [] { ::pause(); });
    ASSERT_TRUE(pump(all, [&] { return a.view().member_count == 3; }));
    EXPECT_EQ(parent.line(), "joined");
    const std::string address = a.view().members[2].address;
    parent.kill();
    EXPECT_TRUE(pump(all, [&] { return a.view().member_count == 2 && b.view().member_count == 2; }));
    TestNode d{4};
    std::thread pumping(
        [&] { EXPECT_TRUE(pump(all, [&] { return a.view().member_count == 3 && b.view().member_count == 3; })); });
    EXPECT_EQ(d.try_join(&a, {{"wire", GetParam()}, {"suspect_ms", "60000"}, {"listen", address}}), DERECHO_OK)
        << d.error;
    pumping.join();
    ::close(never[0]);
    ::close(never[1]);
}

#endif

}  // namespace
}  // namespace libderecho::capi_testing
