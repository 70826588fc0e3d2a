// derecho_group_*: joining, leaving, what a group tells about itself.
#include <sys/random.h>
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "capi/config.hpp"
#include "capi/groups.hpp"
#include "capi/memory.hpp"

#include "abi_hash.hpp"

using namespace libderecho;
using namespace libderecho::capi;

namespace {

// Differs between two lives of a node, and grows from one to the next unless the clock is set back. Its low bits are
// the only random number there is.
uint64_t new_incarnation() {
    constexpr uint64_t kRandomBits = 0xffff;  // 65 us
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) random = 0;
    return (read_clocks().wall_ns & ~kRandomBits) | (random & kRandomBits) | 1;
}

// Of a group, should this node found it: a UUID of version 4.
Status new_group_id(GroupId& id) {
    uint64_t random[2];
    if (::getrandom(random, sizeof random, 0) != sizeof random)
        return failure(DERECHO_NO_MEMORY, "the system gave no random numbers");
    id = {(random[0] & ~0xf000ull) | 0x4000, (random[1] & ~(3ull << 62)) | 2ull << 62};
    return {};
}

std::string names(const std::vector<std::string>& services) {
    std::string text;
    for (const std::string& name : services) text += (text.empty() ? "" : ", ") + name;
    return text;
}

derecho_status join(NodeOptions options, int64_t timeout_ms, derecho_group** group_out) {
    options.group.incarnation = options.fabric.incarnation = new_incarnation();
    options.fabric.abi_hash = kAbiHash;
    if (Status status = new_group_id(options.group.new_group); !status.ok()) return fail(std::move(status));
    auto group = std::make_unique<OpenGroup>(options.group.services.size());
    for (const ServiceInfo& service : options.group.services) group->services.push_back(service.name);
    group->message_max_bytes = options.group.message_max_bytes;
    if (Status status = Node::join(std::move(options), timeout_ms, group->node); !status.ok())
        return fail(std::move(status));
    void* handle = add_group(std::move(group));
    if (!handle) return fail(DERECHO_NO_MEMORY, "too many groups are open in this process");
    *group_out = static_cast<derecho_group*>(handle);
    return DERECHO_OK;
}

}  // namespace

derecho_status derecho_group_join(derecho_config* config, int64_t timeout_ms, derecho_group** group_out) {
    DERECHO_REQUIRE(config);
    DERECHO_REQUIRE(group_out);
    return guarded([&] {
        NodeOptions options;
        const derecho_status status = configs().with(config, [&](OpenConfig& open) {
            Status resolved = open.options.resolve(options);
            options.join_cancelled = open.join_cancelled;
            return resolved.ok() ? kOk : fail(std::move(resolved));
        });
        return status == DERECHO_OK ? join(std::move(options), timeout_ms, group_out) : status;
    });
}

derecho_status derecho_join_cancel(derecho_config* config) {
    DERECHO_REQUIRE(config);
    return guarded([&] {
        return configs().with(config, [](OpenConfig& open) {
            open.join_cancelled->store(true);
            return DERECHO_OK;
        });
    });
}

derecho_status derecho_group_leave(derecho_group* group, int64_t timeout_ms) {
    return guarded([&] {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        Status status = inside.node().leave(timeout_ms);
        return status.ok() ? kOk : fail(std::move(status));
    });
}

derecho_status derecho_group_close(derecho_group* group) {
    return guarded([&] {
        const derecho_status status = close_group(group);
        if (status == DERECHO_OK) close_memory_of(group);
        return status;
    });
}

derecho_status derecho_group_fd(derecho_group* group, int* fd_out) {
    DERECHO_REQUIRE(fd_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        const int fd = inside.node().event_fd();
        if (fd < 0)
            return fail(DERECHO_INVALID, "there is no descriptor without the reactor: set option reactor to true");
        *fd_out = fd;
        return DERECHO_OK;
    });
}

derecho_status derecho_group_view(derecho_group* group, derecho_view* view_out) {
    DERECHO_REQUIRE(view_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        // Programs built before the group's id was added know a shorter one.
        if (view_out->struct_bytes < offsetof(derecho_view, group_id))
            return fail(DERECHO_INVALID, "view_out->struct_bytes is not sizeof(derecho_view)");
        derecho_view view{};
        view.struct_bytes = view_out->struct_bytes;
        inside.node().view(view);
        std::memcpy(view_out, &view, std::min<size_t>(view.struct_bytes, sizeof view));
        return DERECHO_OK;
    });
}

derecho_status derecho_group_stats(derecho_group* group, derecho_stats* stats_out) {
    DERECHO_REQUIRE(stats_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        // Programs built before the last three fields were added know a shorter one.
        if (stats_out->struct_bytes < offsetof(derecho_stats, work_requests))
            return fail(DERECHO_INVALID, "stats_out->struct_bytes is not sizeof(derecho_stats)");
        derecho_stats stats{};
        stats.struct_bytes = stats_out->struct_bytes;
        if (!inside.node().stats(stats)) return fail(DERECHO_CLOSED);
        std::memcpy(stats_out, &stats, std::min<size_t>(stats.struct_bytes, sizeof stats));
        return DERECHO_OK;
    });
}

derecho_status derecho_group_holdup(derecho_group* group, uint32_t node, derecho_holdup* holdup_out) {
    DERECHO_REQUIRE(holdup_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        if (holdup_out->struct_bytes < sizeof(derecho_holdup))
            return fail(DERECHO_INVALID, "holdup_out->struct_bytes is not sizeof(derecho_holdup)");
        const Holdup found = inside.node().holdup(node);
        *holdup_out = {};
        holdup_out->struct_bytes = sizeof(derecho_holdup);
        holdup_out->node = raw(found.node);
        holdup_out->cause = found.cause;
        holdup_out->lasted_ms = found.lasted.ns / 1'000'000;
        found.text().copy(holdup_out->text, sizeof holdup_out->text - 1);
        return DERECHO_OK;
    });
}

derecho_status derecho_group_trouble(derecho_group* group, uint32_t index, derecho_trouble* trouble_out) {
    DERECHO_REQUIRE(trouble_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        if (trouble_out->struct_bytes < sizeof(derecho_trouble))
            return fail(DERECHO_INVALID, "trouble_out->struct_bytes is not sizeof(derecho_trouble)");
        std::vector<std::string> troubles;
        if (!inside.node().troubles(troubles)) return fail(DERECHO_CLOSED);
        *trouble_out = {};
        trouble_out->struct_bytes = sizeof(derecho_trouble);
        trouble_out->count = static_cast<uint32_t>(troubles.size());
        if (index < troubles.size()) troubles[index].copy(trouble_out->text, sizeof trouble_out->text - 1);
        return DERECHO_OK;
    });
}

derecho_status derecho_shard_open(derecho_group* group, const char* service, derecho_shard** shard_out) {
    DERECHO_REQUIRE(service);
    DERECHO_REQUIRE(shard_out);
    return guarded([&]() -> derecho_status {
        const Inside inside(group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        for (uint32_t k = 0; k < inside->services.size(); ++k) {
            if (inside->services[k] != service) continue;
            HandleBits bits = inside.bits();
            bits.kind = HandleKind::shard;
            bits.shard = k;
            *shard_out = static_cast<derecho_shard*>(to_handle(bits));
            return DERECHO_OK;
        }
        return fail(Status{DERECHO_INVALID,
                           std::string("no service \"") + service + "\"; there are: " + names(inside->services)});
    });
}
