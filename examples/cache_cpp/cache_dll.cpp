// Service Cache as a DLL: untyped functions, which relay to Replicated<Cache>.
// Written by `derecho stubs --dll` from cache.py; do not edit.
#include "cache_dll.h"

#include <derecho/dll.hpp>

#include "cache.hpp"

namespace dll = derecho::dll;

/** cache_service.cpp makes the replica. */
std::unique_ptr<cache::Cache> make_cache();

namespace cache {
namespace {

dll::Handles<dll::Open<Cache>> open_members;
dll::Handles<dll::Call> calls;

}  // namespace

extern "C" {

uint64_t cache_schema_hash(void) { return kSchemaHash; }
const char *cache_last_error(void) { return dll::last_error().c_str(); }
size_t cache_member_error(cache_member *handle, char *text_out, size_t text_bytes) {
    return dll::error_of(open_members, handle, text_out, text_bytes);
}
size_t cache_call_error(cache_call *call, char *text_out, size_t text_bytes) {
    return dll::error_of(calls, call, text_out, text_bytes);
}

int32_t cache_open(const char *config, cache_member **handle_out) {
    return dll::guarded([&] {
        auto made = std::make_shared<dll::Open<Cache>>(make_cache(), dll::parse_config(config));
        open_members.add(std::move(made), handle_out);
    });
}

int32_t cache_leave(cache_member *handle) {
    return dll::guarded_of(open_members, handle, [&] {
        open_members.remove(handle)->group.leave();
    });
}

int32_t cache_close(cache_member *handle) {
    return dll::guarded_of(open_members, handle, [&] {
        open_members.remove(handle)->group.close();
    });
}

int32_t cache_wait_members(cache_member *handle, uint32_t count, int64_t timeout_ms) {
    return dll::guarded_of(open_members, handle, [&] {
        open_members.find(handle)->group.wait_view(count, dll::from_ms(timeout_ms));
    });
}

int32_t cache_wait_members_exactly(cache_member *handle, uint32_t count, int64_t timeout_ms) {
    return dll::guarded_of(open_members, handle, [&] {
        open_members.find(handle)->group.wait_view_exactly(count, dll::from_ms(timeout_ms));
    });
}

int32_t cache_view_members(cache_member *handle, uint64_t *view_out, uint32_t *nodes_out, size_t room,
    size_t *count_out) {
    return dll::guarded_of(open_members, handle, [&] {
        dll::check_out(count_out);
        *count_out = open_members.find(handle)->members(view_out, nodes_out, room);
    });
}

int32_t cache_view_voters(cache_member *handle, uint64_t *view_out, uint32_t *nodes_out, size_t room,
    size_t *count_out) {
    return dll::guarded_of(open_members, handle, [&] {
        dll::check_out(count_out);
        *count_out = open_members.find(handle)->voters(view_out, nodes_out, room);
    });
}

int32_t cache_member_fd(cache_member *handle, int32_t *fd_out) {
    return dll::guarded_of(open_members, handle, [&] {
        dll::check_out(fd_out);
        *fd_out = open_members.find(handle)->group.news_fd();
    });
}

int32_t cache_call_poll(cache_call *call, uint8_t all, uint8_t *done_out) {
    return dll::guarded_of(calls, call, [&] {
        dll::check_out(done_out);
        *done_out = calls.find(call)->done(all != 0);
    });
}

int32_t cache_wait(cache_call *call, int64_t timeout_ms) {
    return dll::guarded_of(calls, call, [&] {
        calls.find(call)->wait(dll::from_ms(timeout_ms), false);
    });
}

int32_t cache_wait_all(cache_call *call, int64_t timeout_ms) {
    return dll::guarded_of(calls, call, [&] {
        calls.find(call)->wait(dll::from_ms(timeout_ms), true);
    });
}

int32_t cache_call_close(cache_call *call) {
    return dll::guarded_of(calls, call, [&] {
        calls.remove(call);
    });
}

int32_t cache_open_text(const char *config, cache_member **handle_out, char *text_out, size_t text_bytes) {
    const int32_t status = cache_open(config, handle_out);
    if (status != 0) dll::copy_text(dll::last_error(), text_out, text_bytes);
    return status;
}

int32_t cache_put(cache_member *handle, const char *key, size_t key_bytes, const void *value, size_t value_bytes,
    cache_call **call_out) {
    return dll::guarded_of(open_members, handle, [&] {
        const auto open = open_members.find(handle);
        if (call_out == nullptr) return open->calls.send<&Cache::put>(dll::text_of(key, key_bytes),
            dll::span_of<std::byte>(value, value_bytes));
        dll::keep_call(calls, open->calls.ordered<&Cache::put>(dll::text_of(key, key_bytes),
            dll::span_of<std::byte>(value, value_bytes)), call_out);
    });
}

int32_t cache_put_result(cache_call *call, int64_t *result_out) {
    return dll::guarded_of(calls, call, [&] {
        const auto found = calls.find(call);
        const auto& value = found->result<int64_t>();
        *result_out = value;
    });
}

int32_t cache_drop(cache_member *handle, const char *key, size_t key_bytes, cache_call **call_out) {
    return dll::guarded_of(open_members, handle, [&] {
        const auto open = open_members.find(handle);
        if (call_out == nullptr) return open->calls.send<&Cache::drop>(dll::text_of(key, key_bytes));
        dll::keep_call(calls, open->calls.ordered<&Cache::drop>(dll::text_of(key, key_bytes)), call_out);
    });
}

int32_t cache_drop_result(cache_call *call, uint8_t *result_out) {
    return dll::guarded_of(calls, call, [&] {
        const auto found = calls.find(call);
        const auto& value = found->result<bool>();
        *result_out = value;
    });
}

int32_t cache_get(cache_member *handle, uint32_t node, const char *key, size_t key_bytes, cache_call **call_out) {
    return dll::guarded_of(open_members, handle, [&] {
        const auto open = open_members.find(handle);
        dll::keep_call(calls, open->calls.query<&Cache::get>(node, dll::text_of(key, key_bytes)), call_out);
    });
}

int32_t cache_get_result(cache_call *call, uint8_t *present_out, const void **result_out, size_t *result_bytes_out) {
    return dll::guarded_of(calls, call, [&] {
        const auto found = calls.find(call);
        const auto& whole = found->result<std::optional<derecho::Bytes>>();
        *present_out = whole.has_value();
        if (!whole) return;
        const auto& value = *whole;
        *result_out = value.data();
        *result_bytes_out = value.size();
    });
}

int32_t cache_sizes(cache_member *handle, uint32_t node, cache_call **call_out) {
    return dll::guarded_of(open_members, handle, [&] {
        const auto open = open_members.find(handle);
        dll::keep_call(calls, open->calls.query<&Cache::sizes>(node), call_out);
    });
}

int32_t cache_sizes_result(cache_call *call, const uint64_t **result_out, size_t *result_count_out) {
    return dll::guarded_of(calls, call, [&] {
        const auto found = calls.find(call);
        const auto& value = found->result<std::vector<uint64_t>>();
        *result_out = value.data();
        *result_count_out = value.size();
    });
}

}  // extern "C"
}  // namespace cache
