// In steady state nothing is allocated: not for messages, calls with replies, queries or claims. Counts every operator
// new of the process, the reactors' included.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "capi/capi_testing.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DERECHO_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DERECHO_SANITIZED 1
#endif
#endif

// Sanitizers bring their own.
#ifndef DERECHO_SANITIZED

namespace {
std::atomic<uint64_t> allocations{0};
}

// Not inlined: gcc would see malloc() meet delete, and warn.
[[gnu::noinline]] void* operator new(size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size ? size : 1)) return memory;
    throw std::bad_alloc();
}
void* operator new[](size_t size) { return ::operator new(size); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { ::operator delete(memory); }
void operator delete[](void* memory) noexcept { ::operator delete(memory); }
void operator delete[](void* memory, size_t) noexcept { ::operator delete(memory); }

namespace libderecho::capi_testing {
namespace {

class SteadyState : public ::testing::TestWithParam<const char*> {
protected:
    // One round of everything, between nodes that poll in turn.
    void round() {
        char text[100] = "a message";
        uint64_t id = 0;
        derecho_claim claim{};
        ok(derecho_shard_send(a.shard, text, sizeof text, nullptr));
        const derecho_bytes both[] = {{text, sizeof text}, {text, 1}};
        size_t sent = 0;
        ok(derecho_shard_send_many(a.shard, both, 2, &sent, nullptr));
        ok(derecho_shard_call(b.shard, 1, DERECHO_CALL_REPLY, text, sizeof text, &id));
        ok(derecho_shard_query(a.shard, 2, 1, text, sizeof text, &id));
        ok(derecho_shard_query(b.shard, 2, 1, text, sizeof text, &id));
        ok(derecho_shard_claim(a.shard, 0, DERECHO_CLAIM_MESSAGE, 500, &claim));
        std::memset(claim.data, 1, 500);
        ok(derecho_claim_commit(a.shard, &claim, 400));
        expected_events += 5 + 5 + 1 + 2 + 4;  // at a; at b; ORDERED; QUERY; REPLY
        while (events < expected_events) {
            poll(a.group);
            poll(b.group);
        }
    }
    void poll(derecho_group* group) {
        derecho_event taken[16];
        size_t count = 0;
        uint64_t lease = 0;
        ok(derecho_poll(group, taken, 16, 0, &count, &lease));
        events += count;
        for (size_t i = 0; i < count; ++i)
            if (taken[i].flags & DERECHO_FLAG_REPLY)
                ok(derecho_group_reply(group, taken[i].node, taken[i].id, 0, "r", 1));
        ok(derecho_release(group, lease));
    }
    void ok(derecho_status status) { failures += status != DERECHO_OK; }

    TestNode a{1}, b{2};
    size_t events = 0, expected_events = 0, failures = 0;
};

INSTANTIATE_TEST_SUITE_P(Wires, SteadyState, ::testing::Values("shm", "tcp"));

TEST_P(SteadyState, nothing_is_allocated) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}, {{"wire", GetParam()}, {"ring_bytes", "65536"}, {"mail_bytes", "65536"}}));
    for (int i = 0; i < 3000; ++i) round();  // all leases and rings were used once
    const uint64_t before = allocations;
    for (int i = 0; i < 2000; ++i) round();
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_EQ(failures, 0u);
}

}  // namespace
}  // namespace libderecho::capi_testing

#endif
