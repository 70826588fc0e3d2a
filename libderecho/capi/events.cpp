// derecho_poll, derecho_release, derecho_wake.
#include "capi/groups.hpp"

using namespace libderecho;
using namespace libderecho::capi;

derecho_status derecho_poll(derecho_group* group, derecho_event* events, size_t capacity, int64_t timeout_ns,
                            size_t* count_out, uint64_t* lease_out) {
    DERECHO_REQUIRE(events);
    DERECHO_REQUIRE(count_out);
    DERECHO_REQUIRE(lease_out);
    *count_out = 0;
    *lease_out = 0;
    if (capacity == 0) return fail(DERECHO_INVALID, "capacity is 0");
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) [[unlikely]]
        return inside.status();
    return guarded([&]() -> derecho_status {
        const derecho_status status = inside.node().poll({events, capacity}, timeout_ns, *count_out, *lease_out);
        if (status == DERECHO_OK) [[likely]]
            return status;
        if (status == DERECHO_AGAIN) return fail(status, "too many leases are held: release some");
        return fail(Status{status, inside.node().why_closed()});
    });
}

derecho_status derecho_release(derecho_group* group, uint64_t lease) {
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) [[unlikely]] {
        if (inside.status() != DERECHO_CLOSED || lease == 0) return inside.status();
        return guarded([&] { return release_closed(inside.bits(), lease) ? kOk : inside.status(); });
    }
    if (lease == 0 || inside.node().release(lease)) [[likely]]
        return DERECHO_OK;
    return fail(DERECHO_INVALID, "lease is not held: it was released already, or never given out");
}

derecho_status derecho_wake(derecho_group* group) {
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    inside.node().wake();
    return DERECHO_OK;
}
