// Every function of the C ABI, called wrongly: with null pointers, with handles that are closed, of another kind, or
// garbage. Each time a status and a sentence; never a crash.
#include <cstring>

#include "capi/capi_testing.hpp"

namespace libderecho::capi_testing {
namespace {

// A call with a handle in it, given as a pointer of any kind.
struct Function {
    const char* name;
    std::function<derecho_status(void*)> call;
};

derecho_event events[4];
size_t count;
uint64_t number;
derecho_view view{sizeof(derecho_view), 0, 0, 0, 0, {}, {}};
derecho_stats stats{sizeof(derecho_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
derecho_holdup holdup{sizeof(derecho_holdup), 0, 0, 0, 0, {}};
derecho_claim claim;
int fd;
void* pointer;
const char* text;

template <class Handle>
Handle* as(void* handle) {
    return static_cast<Handle*>(handle);
}

const std::vector<Function> config_functions{
    {"set", [](void* h) { return derecho_config_set(as<derecho_config>(h), "node", "1"); }},
    {"get", [](void* h) { return derecho_config_get(as<derecho_config>(h), "node", &text); }},
    {"load", [](void* h) { return derecho_config_load(as<derecho_config>(h), "no such file"); }},
    {"add_service", [](void* h) { return derecho_config_add_service(as<derecho_config>(h), "service", 0); }},
    {"join",
     [](void* h) { return derecho_group_join(as<derecho_config>(h), 0, reinterpret_cast<derecho_group**>(&pointer)); }},
    {"close", [](void* h) { return derecho_config_close(as<derecho_config>(h)); }},
};

const std::vector<Function> group_functions{
    {"leave", [](void* h) { return derecho_group_leave(as<derecho_group>(h), 0); }},
    {"fd", [](void* h) { return derecho_group_fd(as<derecho_group>(h), &fd); }},
    {"view", [](void* h) { return derecho_group_view(as<derecho_group>(h), &view); }},
    {"stats", [](void* h) { return derecho_group_stats(as<derecho_group>(h), &stats); }},
    {"holdup", [](void* h) { return derecho_group_holdup(as<derecho_group>(h), 1, &holdup); }},
    {"shard_open",
     [](void* h) {
         return derecho_shard_open(as<derecho_group>(h), "raw", reinterpret_cast<derecho_shard**>(&pointer));
     }},
    {"reply", [](void* h) { return derecho_group_reply(as<derecho_group>(h), 1, 1, 0, nullptr, 0); }},
    {"state", [](void* h) { return derecho_group_state(as<derecho_group>(h), 1, 1, nullptr, 0, 1); }},
    {"poll", [](void* h) { return derecho_poll(as<derecho_group>(h), events, 4, 0, &count, &number); }},
    {"release", [](void* h) { return derecho_release(as<derecho_group>(h), 1); }},
    {"wake", [](void* h) { return derecho_wake(as<derecho_group>(h)); }},
    {"close", [](void* h) { return derecho_group_close(as<derecho_group>(h)); }},
};

const std::vector<Function> shard_functions{
    {"send_many",
     [](void* h) {
         const derecho_bytes message{"x", 1};
         size_t sent = 0;
         return derecho_shard_send_many(as<derecho_shard>(h), &message, 1, &sent, nullptr);
     }},
    {"send", [](void* h) { return derecho_shard_send(as<derecho_shard>(h), "x", 1, nullptr); }},
    {"call", [](void* h) { return derecho_shard_call(as<derecho_shard>(h), 1, 0, "x", 1, nullptr); }},
    {"query", [](void* h) { return derecho_shard_query(as<derecho_shard>(h), 1, 1, "x", 1, &number); }},
    {"claim", [](void* h) { return derecho_shard_claim(as<derecho_shard>(h), 1, 0, 1, &claim); }},
    {"commit", [](void* h) { return derecho_claim_commit(as<derecho_shard>(h), &claim, 1); }},
    {"abort", [](void* h) { return derecho_claim_abort(as<derecho_shard>(h), &claim); }},
};

const std::vector<Function> buffer_functions{
    {"data", [](void* h) { return derecho_buffer_data(as<derecho_buffer>(h), &pointer, &number); }},
    {"retain", [](void* h) { return derecho_buffer_retain(as<derecho_buffer>(h)); }},
    {"release", [](void* h) { return derecho_buffer_release(as<derecho_buffer>(h)); }},
};

void expect_each(const std::vector<Function>& functions, void* handle, derecho_status status) {
    for (const Function& function : functions) {
        EXPECT_EQ(function.call(handle), status) << function.name;
        EXPECT_STRNE(derecho_last_error(), "") << function.name;
    }
}

const std::vector<const std::vector<Function>*> all_functions{&config_functions, &group_functions, &shard_functions,
                                                              &buffer_functions};

class Misuse : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_DERECHO_OK(derecho_config_create(&config));
        ASSERT_DERECHO_OK(derecho_buffer_create(100, &buffer));
        ASSERT_NO_FATAL_FAILURE(form(Nodes{&node}));
    }
    void TearDown() override {
        derecho_config_close(config);
        derecho_buffer_release(buffer);
    }
    derecho_config* config = nullptr;
    derecho_buffer* buffer = nullptr;
    TestNode node{1};
};

TEST_F(Misuse, a_null_handle_is_invalid) {
    for (const auto* functions : all_functions) expect_each(*functions, nullptr, DERECHO_INVALID);
}

TEST(MisuseBeforeAnyGroup, a_null_handle_is_invalid_where_no_group_is_open) {
    for (const auto* functions : all_functions) expect_each(*functions, nullptr, DERECHO_INVALID);
}

TEST_F(Misuse, garbage_is_no_handle) {
    int on_stack = 0;
    for (void* garbage : {static_cast<void*>(&on_stack), reinterpret_cast<void*>(1), reinterpret_cast<void*>(~0ull),
                          reinterpret_cast<void*>(0x0dec000000000000), reinterpret_cast<void*>(0x0decffffffffffff)})
        for (const auto* functions : all_functions) expect_each(*functions, garbage, DERECHO_BAD_HANDLE);
}

TEST_F(Misuse, a_handle_of_another_kind_is_none_of_this_kind) {
    void* handles[] = {config, node.group, node.shard, buffer};
    for (size_t kind = 0; kind < 4; ++kind)
        for (size_t other = 0; other < 4; ++other)
            if (kind != other) expect_each(*all_functions[kind], handles[other], DERECHO_BAD_HANDLE);
}

TEST_F(Misuse, a_handle_that_was_never_given_out_is_no_handle) {
    const auto later = [](void* handle) { return reinterpret_cast<void*>(reinterpret_cast<uint64_t>(handle) + 1); };
    expect_each(config_functions, later(config), DERECHO_BAD_HANDLE);
    expect_each(group_functions, later(node.group), DERECHO_BAD_HANDLE);
    expect_each(shard_functions, later(node.shard), DERECHO_BAD_HANDLE);
    expect_each(buffer_functions, later(buffer), DERECHO_BAD_HANDLE);
}

TEST_F(Misuse, a_closed_handle_says_closed_even_when_its_place_is_taken_again) {
    void* old_group = node.group;
    void* old_shard = node.shard;
    void* old_config = config;
    void* old_buffer = buffer;
    node.close();
    ASSERT_DERECHO_OK(derecho_config_close(config));
    ASSERT_DERECHO_OK(derecho_buffer_release(buffer));
    for (int again = 0; again < 2; ++again) {
        expect_each(config_functions, old_config, DERECHO_CLOSED);
        expect_each(group_functions, old_group, DERECHO_CLOSED);
        expect_each(shard_functions, old_shard, DERECHO_CLOSED);
        expect_each(buffer_functions, old_buffer, DERECHO_CLOSED);
        if (again) break;
        ASSERT_DERECHO_OK(derecho_config_create(&config));
        ASSERT_DERECHO_OK(derecho_buffer_create(100, &buffer));
        ASSERT_NO_FATAL_FAILURE(node.join(nullptr));
        EXPECT_NE(old_group, node.group);
    }
}

TEST_F(Misuse, a_null_argument_is_named) {
    const auto names = [](derecho_status status, const char* argument) {
        EXPECT_EQ(status, DERECHO_INVALID);
        EXPECT_EQ(std::string(derecho_last_error()), std::string(argument) + " is NULL");
    };
    names(derecho_config_create(nullptr), "config_out");
    names(derecho_config_set(config, nullptr, "1"), "key");
    names(derecho_config_set(config, "node", nullptr), "value");
    names(derecho_config_get(config, nullptr, &text), "key");
    names(derecho_config_get(config, "node", nullptr), "value_out");
    names(derecho_config_load(config, nullptr), "path");
    names(derecho_config_add_service(config, nullptr, 0), "name");
    names(derecho_group_join(config, 0, nullptr), "group_out");
    names(derecho_group_fd(node.group, nullptr), "fd_out");
    names(derecho_group_view(node.group, nullptr), "view_out");
    names(derecho_group_stats(node.group, nullptr), "stats_out");
    names(derecho_group_holdup(node.group, 1, nullptr), "holdup_out");
    names(derecho_shard_open(node.group, nullptr, &node.shard), "service");
    names(derecho_shard_open(node.group, "raw", nullptr), "shard_out");
    names(derecho_shard_send(node.shard, nullptr, 1, nullptr), "data");
    names(derecho_shard_call(node.shard, 1, 0, nullptr, 1, nullptr), "args");
    names(derecho_shard_call(node.shard, 1, DERECHO_CALL_REPLY, "x", 1, nullptr), "call_out");
    names(derecho_shard_claim(node.shard, 1, 0, 1, nullptr), "claim_out");
    names(derecho_claim_commit(node.shard, nullptr, 1), "claim");
    names(derecho_claim_abort(node.shard, nullptr), "claim");
    names(derecho_shard_query(node.shard, 1, 1, nullptr, 1, &number), "args");
    names(derecho_shard_query(node.shard, 1, 1, "x", 1, nullptr), "call_out");
    names(derecho_group_reply(node.group, 1, 1, 0, nullptr, 1), "data");
    names(derecho_group_state(node.group, 1, 1, nullptr, 1, 1), "data");
    names(derecho_poll(node.group, nullptr, 1, 0, &count, &number), "events");
    names(derecho_poll(node.group, events, 1, 0, nullptr, &number), "count_out");
    names(derecho_poll(node.group, events, 1, 0, &count, nullptr), "lease_out");
    names(derecho_buffer_create(1, nullptr), "buffer_out");
    names(derecho_buffer_data(buffer, nullptr, &number), "data_out");
    names(derecho_buffer_data(buffer, &pointer, nullptr), "size_bytes_out");
}

TEST_F(Misuse, wrong_values_are_refused) {
    EXPECT_EQ(derecho_poll(node.group, events, 0, 0, &count, &number), DERECHO_INVALID);
    EXPECT_EQ(derecho_release(node.group, 12345), DERECHO_INVALID);
    EXPECT_EQ(derecho_release(node.group, 0), DERECHO_OK);
    EXPECT_EQ(derecho_shard_open(node.group, "nope", &node.shard), DERECHO_INVALID);
    EXPECT_STREQ(derecho_last_error(), "no service \"nope\"; there are: raw");
    EXPECT_EQ(derecho_shard_call(node.shard, 1, 2, "x", 1, nullptr), DERECHO_INVALID);
    EXPECT_EQ(derecho_shard_claim(node.shard, 1, DERECHO_CLAIM_MESSAGE, 1, &claim), DERECHO_INVALID);
    EXPECT_EQ(derecho_group_reply(node.group, 1, 1, DERECHO_REMOVED, "x", 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_group_reply(node.group, 77, 1, DERECHO_OK, "x", 1), DERECHO_OK);  // the caller is gone
    EXPECT_EQ(derecho_group_state(node.group, 1, ~0ull, "x", 1, 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_group_state(node.group, 1, 999ull << 8, "x", 1, 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_buffer_create(0, &buffer), DERECHO_INVALID);
    EXPECT_EQ(derecho_log_to(-1, 3), DERECHO_INVALID);
    EXPECT_EQ(derecho_log_to(2, 4), DERECHO_INVALID);
    derecho_view small{};
    EXPECT_EQ(derecho_group_view(node.group, &small), DERECHO_INVALID);
    derecho_stats small_stats{};
    EXPECT_EQ(derecho_group_stats(node.group, &small_stats), DERECHO_INVALID);
    derecho_holdup small_holdup{};
    EXPECT_EQ(derecho_group_holdup(node.group, 1, &small_holdup), DERECHO_INVALID);
    claim = {};
    EXPECT_EQ(derecho_claim_commit(node.shard, &claim, 0), DERECHO_INVALID);
    std::memset(&claim, 0xff, sizeof claim);
    EXPECT_EQ(derecho_claim_commit(node.shard, &claim, 0), DERECHO_INVALID);
    EXPECT_EQ(derecho_claim_abort(node.shard, &claim), DERECHO_INVALID);
    ASSERT_DERECHO_OK(derecho_shard_claim(node.shard, 1, 0, 10, &claim));
    EXPECT_EQ(derecho_claim_commit(node.shard, &claim, 11), DERECHO_INVALID);
    EXPECT_EQ(derecho_claim_commit(node.shard, &claim, 10), DERECHO_OK);  // it stayed open
}

TEST_F(Misuse, a_claim_of_one_shard_is_not_one_of_another) {
    TestNode two(2);
    two.services = {"first", "second"};
    ASSERT_NO_FATAL_FAILURE(two.join(nullptr));
    derecho_shard* second = nullptr;
    ASSERT_DERECHO_OK(derecho_shard_open(two.group, "second", &second));
    ASSERT_DERECHO_OK(derecho_shard_claim(second, 1, 0, 10, &claim));
    EXPECT_EQ(derecho_claim_commit(two.shard, &claim, 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_claim_commit(second, &claim, 1), DERECHO_OK);
}

TEST_F(Misuse, the_last_error_belongs_to_its_thread) {
    EXPECT_EQ(derecho_config_set(config, "nope", "1"), DERECHO_INVALID);
    std::string there = "not asked";
    std::thread([&] { there = derecho_last_error(); }).join();
    EXPECT_EQ(there, "");
    EXPECT_NE(std::string(derecho_last_error()).find("nope"), std::string::npos);
}

TEST_F(Misuse, a_buffer_lives_until_its_last_reference_is_given_back) {
    void* data = nullptr;
    uint64_t size = 0;
    ASSERT_DERECHO_OK(derecho_buffer_data(buffer, &data, &size));
    EXPECT_EQ(size, 100u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 4096, 0u);
    EXPECT_EQ(static_cast<char*>(data)[99], 0);
    ASSERT_DERECHO_OK(derecho_buffer_retain(buffer));
    ASSERT_DERECHO_OK(derecho_buffer_release(buffer));
    static_cast<char*>(data)[99] = 1;
    ASSERT_DERECHO_OK(derecho_buffer_release(buffer));
    EXPECT_EQ(derecho_buffer_data(buffer, &data, &size), DERECHO_CLOSED);
}

TEST(Status, names_and_versions_are_there) {
    EXPECT_STREQ(derecho_status_name(DERECHO_AGAIN), "DERECHO_AGAIN");
    EXPECT_STREQ(derecho_status_name(-1), "DERECHO_?");
    EXPECT_STREQ(derecho_status_name(1000), "DERECHO_?");
    EXPECT_EQ(derecho_abi_version(), static_cast<uint32_t>(DERECHO_ABI_VERSION));
    EXPECT_NE(derecho_abi_hash(), 0u);
    EXPECT_STRNE(derecho_version(), "");
}

}  // namespace
}  // namespace libderecho::capi_testing
