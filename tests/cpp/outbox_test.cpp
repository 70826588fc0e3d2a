// Answers that wait for room, in a group of one that takes no mail while it is filled.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include <derecho.hpp>

namespace derecho::detail {
namespace {

TEST(CppOutbox, a_too_large_answer_queued_behind_others_is_told_to_its_caller) {
    Config config;
    config.node(1).listen("127.0.0.1:0").found().service("log");
    RawGroup group = RawGroup::join(config, std::chrono::seconds(5));
    const uint64_t call = group.shard("log").call(0, DERECHO_CALL_REPLY, {});
    const Bytes large(200'000), too_large(1 << 20);
    Outbox outbox(group, 1000);
    while (!outbox.retry()) outbox.answer(1, 0, DERECHO_OK, large);
    outbox.answer(1, call, DERECHO_OK, too_large);

    std::string said;
    EventBatch batch;
    for (int turn = 0; turn < 1000 && said.empty(); turn++) {
        group.poll(batch, std::chrono::milliseconds(10));
        for (const derecho_event& event : batch) {
            if (event.kind != DERECHO_EVENT_REPLY) continue;
            EXPECT_EQ(event.status, DERECHO_REMOTE_ERROR);
            said.assign(static_cast<const char*>(event.data), event.size_bytes);
        }
        batch.release();
        outbox.retry();
    }
    EXPECT_TRUE(said.starts_with("TooLarge: 1048576 bytes")) << "said: " << said;
}

}  // namespace
}  // namespace derecho::detail
