// derecho_shard_* and derecho_claim_*: everything that sends to a shard.
#include <algorithm>
#include <cstring>

#include "capi/groups.hpp"

using namespace libderecho;
using namespace libderecho::capi;

namespace {

constexpr const char* kNoRequest = "request is not the id of a DERECHO_EVENT_STATE_REQUEST";

std::span<const std::byte> bytes(const void* data, size_t size) { return {static_cast<const std::byte*>(data), size}; }

derecho_status too_large(size_t size, uint64_t most, const char* option) {
    return guarded([&] {
        return fail(Status{DERECHO_TOO_LARGE, std::to_string(size) + " bytes are more than the " +
                                                  std::to_string(most) + " that option " + option + " allows"});
    });
}

derecho_status send(const Inside& inside, const void* data, size_t size, uint64_t* ticket_out) {
    Group& group = inside.node().group();
    Claim claim;
    derecho_status status = group.claim(inside.shard(), size, claim);
    if (status != DERECHO_OK) return fail_to_send(inside, status);
    if (size > 0) std::memcpy(claim.payload, data, size);
    status = group.commit(inside.shard(), claim, FrameKind::message, 0, size);
    if (status == DERECHO_AGAIN) group.abort(inside.shard(), claim);
    if (status != DERECHO_OK) return fail_to_send(inside, status);
    if (ticket_out) *ticket_out = claim.ticket;
    inside.node().nudge();
    return DERECHO_OK;
}

// One batch from the front of `messages`, or one message that is too large for one. Adds to `sent`.
derecho_status send_some(const Inside& inside, Messages messages, size_t& sent, uint64_t& ticket) {
    const BatchPlan batch = plan_batch(messages, std::min(limits::batch_bytes, inside->message_max_bytes));
    if (batch.count > 1) {
        const derecho_status status =
            inside.node().group().send_batch(inside.shard(), messages.first(batch.count), batch.bytes, ticket);
        if (status != DERECHO_OK) return fail_to_send(inside, status);
        inside.node().nudge();
        sent += batch.count;
        return DERECHO_OK;
    }
    const derecho_bytes& message = messages.front();
    if (message.size_bytes > inside->message_max_bytes)
        return too_large(message.size_bytes, inside->message_max_bytes, "message_max_bytes");
    const derecho_status status = send(inside, message.data, message.size_bytes, &ticket);
    sent += status == DERECHO_OK;
    return status;
}

derecho_status call(const Inside& inside, uint32_t method, uint32_t flags, const void* args, size_t size,
                    uint64_t* call_out) {
    Rpc& rpc = inside.node().rpc();
    Claim claim;
    uint64_t id = 0;
    derecho_status status = rpc.claim_call(inside.shard(), method, flags, size, claim, id);
    if (status != DERECHO_OK) return fail_to_send(inside, status);
    if (size > 0) std::memcpy(claim.payload + kLetterHeaderBytes, args, size);
    if (call_out) *call_out = id;  // before it can be ordered
    status = rpc.commit_call(inside.shard(), claim, size);
    if (status != DERECHO_OK) {
        rpc.abort_call(inside.shard(), claim, flags, id, status == DERECHO_AGAIN);
        return fail_to_send(inside, status);
    }
    inside.node().nudge();
    return DERECHO_OK;
}

derecho_status claim(const Inside& inside, uint32_t method, uint32_t flags, size_t size, derecho_claim& out) {
    OpenClaim open;
    open.flags = flags;
    open.size_bytes = size;
    const derecho_status status =
        flags & DERECHO_CLAIM_MESSAGE
            ? inside.node().group().claim(inside.shard(), size, open.claim)
            : inside.node().rpc().claim_call(inside.shard(), method, flags, size, open.claim, open.call);
    if (status != DERECHO_OK) return fail_to_send(inside, status);
    inside->claims.open(open, inside.shard(), out);
    return DERECHO_OK;
}

derecho_status commit(const Inside& inside, OpenClaim& open, derecho_claim& claim, size_t used) {
    const bool message = open.flags & DERECHO_CLAIM_MESSAGE;
    const ShardIndex shard = inside.shard();
    const derecho_status status = message ? inside.node().group().commit(shard, open.claim, FrameKind::message, 0, used)
                                          : inside.node().rpc().commit_call(shard, open.claim, used);
    if (status == DERECHO_AGAIN) {
        inside->claims.open(open, shard, claim);
        return fail_to_send(inside, status);
    }
    if (status != DERECHO_OK && !message)
        inside.node().rpc().abort_call(shard, open.claim, open.flags, open.call, false);
    if (message) claim.id = open.claim.ticket;
    inside.node().nudge();
    return status == DERECHO_OK ? kOk : fail_to_send(inside, status);
}

derecho_status abort(const Inside& inside, OpenClaim& open) {
    if (open.flags & DERECHO_CLAIM_MESSAGE) {
        inside.node().group().abort(inside.shard(), open.claim);
    } else {
        inside.node().rpc().abort_call(inside.shard(), open.claim, open.flags, open.call, true);
    }
    inside.node().nudge();  // it held back what was claimed after it
    return DERECHO_OK;
}

constexpr const char* kNotOpen = "claim is not an open claim of this shard: it was never made, committed, or aborted";

}  // namespace

derecho_status derecho_shard_send(derecho_shard* shard, const void* data, size_t size_bytes, uint64_t* ticket_out) {
    if (size_bytes > 0) DERECHO_REQUIRE(data);
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) [[unlikely]]
        return inside.status();
    if (size_bytes > inside->message_max_bytes) [[unlikely]]
        return too_large(size_bytes, inside->message_max_bytes, "message_max_bytes");
    return guarded([&] { return send(inside, data, size_bytes, ticket_out); });
}

derecho_status derecho_shard_send_many(derecho_shard* shard, const derecho_bytes* messages, size_t count,
                                       size_t* sent_out, uint64_t* ticket_out) {
    DERECHO_REQUIRE(sent_out);
    *sent_out = 0;
    if (count > 0) DERECHO_REQUIRE(messages);
    for (size_t i = 0; i < count; ++i)
        if (!messages[i].data && messages[i].size_bytes > 0) return fail(DERECHO_INVALID, "data of a message is NULL");
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) [[unlikely]]
        return inside.status();
    return guarded([&]() -> derecho_status {
        derecho_status status = DERECHO_OK;
        uint64_t ticket = 0;
        while (status == DERECHO_OK && *sent_out < count)
            status = send_some(inside, {messages + *sent_out, count - *sent_out}, *sent_out, ticket);
        if (ticket_out && *sent_out > 0) *ticket_out = ticket;
        return *sent_out > 0 ? DERECHO_OK : status;
    });
}

derecho_status derecho_shard_call(derecho_shard* shard, uint32_t method, uint32_t flags, const void* args,
                                  size_t size_bytes, uint64_t* call_out) {
    if (size_bytes > 0) DERECHO_REQUIRE(args);
    if (flags & ~DERECHO_CALL_REPLY) return fail(DERECHO_INVALID, "flags has bits other than DERECHO_CALL_REPLY");
    if (flags & DERECHO_CALL_REPLY) DERECHO_REQUIRE(call_out);
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) return inside.status();
    if (size_bytes > inside->message_max_bytes)
        return too_large(size_bytes, inside->message_max_bytes, "message_max_bytes");
    return guarded([&] { return call(inside, method, flags, args, size_bytes, call_out); });
}

derecho_status derecho_shard_claim(derecho_shard* shard, uint32_t method, uint32_t flags, size_t size_bytes,
                                   derecho_claim* claim_out) {
    DERECHO_REQUIRE(claim_out);
    if (flags & ~(DERECHO_CALL_REPLY | DERECHO_CLAIM_MESSAGE))
        return fail(DERECHO_INVALID, "flags has bits other than DERECHO_CALL_REPLY and DERECHO_CLAIM_MESSAGE");
    if ((flags & DERECHO_CLAIM_MESSAGE) && (method != 0 || (flags & DERECHO_CALL_REPLY)))
        return fail(DERECHO_INVALID, "a plain message has method 0 and no replies");
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) return inside.status();
    if (size_bytes > inside->message_max_bytes)
        return too_large(size_bytes, inside->message_max_bytes, "message_max_bytes");
    return guarded([&] { return claim(inside, method, flags, size_bytes, *claim_out); });
}

derecho_status derecho_claim_commit(derecho_shard* shard, derecho_claim* claim, size_t used_bytes) {
    DERECHO_REQUIRE(claim);
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) {
        if (inside.status() == DERECHO_CLOSED) give_up_claim_of_closed(inside.bits(), *claim);
        return inside.status();
    }
    return guarded([&]() -> derecho_status {
        OpenClaim open;
        if (!inside->claims.take(*claim, inside.shard(), open)) return fail(DERECHO_INVALID, kNotOpen);
        if (used_bytes > open.size_bytes) {
            inside->claims.open(open, inside.shard(), *claim);
            return fail(DERECHO_INVALID, "used_bytes is more than the claim has");
        }
        return commit(inside, open, *claim, used_bytes);
    });
}

derecho_status derecho_claim_abort(derecho_shard* shard, derecho_claim* claim) {
    DERECHO_REQUIRE(claim);
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) {
        if (inside.status() == DERECHO_CLOSED) give_up_claim_of_closed(inside.bits(), *claim);
        return inside.status();
    }
    return guarded([&]() -> derecho_status {
        OpenClaim open;
        if (!inside->claims.take(*claim, inside.shard(), open)) return fail(DERECHO_INVALID, kNotOpen);
        return abort(inside, open);
    });
}

derecho_status derecho_shard_query(derecho_shard* shard, uint32_t node, uint32_t method, const void* args,
                                   size_t size_bytes, uint64_t* call_out) {
    if (size_bytes > 0) DERECHO_REQUIRE(args);
    DERECHO_REQUIRE(call_out);
    const Inside inside(shard, HandleKind::shard);
    if (!inside.ok()) return inside.status();
    const uint64_t most = inside.node().rpc().letter_max_bytes();
    if (size_bytes > most) return too_large(size_bytes, most, "mail_bytes");
    return guarded([&]() -> derecho_status {
        const derecho_status status =
            inside.node().rpc().query(inside.shard(), NodeId{node}, method, bytes(args, size_bytes), *call_out);
        inside.node().nudge();
        if (status != DERECHO_NOT_MEMBER) return status == DERECHO_OK ? status : fail_to_send(inside, status);
        return fail(Status{status, "node " + std::to_string(node) + " is not a member of the view, or not connected"});
    });
}

derecho_status derecho_group_reply(derecho_group* group, uint32_t node, uint64_t call, derecho_status status,
                                   const void* data, size_t size_bytes) {
    if (size_bytes > 0) DERECHO_REQUIRE(data);
    if (status != DERECHO_OK && status != DERECHO_REMOTE_ERROR && status != DERECHO_UNKNOWN_METHOD)
        return fail(DERECHO_INVALID, "status is none of DERECHO_OK, DERECHO_REMOTE_ERROR, DERECHO_UNKNOWN_METHOD");
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    const uint64_t most = inside.node().rpc().letter_max_bytes();
    if (size_bytes > most) return too_large(size_bytes, most, "mail_bytes");
    return guarded([&]() -> derecho_status {
        const derecho_status sent = inside.node().rpc().reply(NodeId{node}, call, status, bytes(data, size_bytes));
        inside.node().nudge();
        return sent == DERECHO_OK ? sent : fail_to_send(inside, sent);
    });
}

derecho_status derecho_group_state(derecho_group* group, uint32_t node, uint64_t request, const void* data,
                                   size_t size_bytes, int32_t last) {
    if (size_bytes > 0) DERECHO_REQUIRE(data);
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    const uint64_t most = inside.node().rpc().letter_max_bytes();
    if (size_bytes > most) return too_large(size_bytes, most, "mail_bytes");
    return guarded([&]() -> derecho_status {
        const derecho_status sent =
            inside.node().rpc().send_state(NodeId{node}, request, bytes(data, size_bytes), last != 0);
        inside.node().nudge();
        if (sent == DERECHO_INVALID) return fail(sent, kNoRequest);
        return sent == DERECHO_OK ? sent : fail_to_send(inside, sent);
    });
}

derecho_status derecho_group_state_size(derecho_group* group, uint32_t node, uint64_t request, uint64_t total_bytes) {
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    return guarded([&]() -> derecho_status {
        const derecho_status status = inside.node().rpc().announce_state(NodeId{node}, request, total_bytes);
        return status == DERECHO_OK ? status : fail(status, kNoRequest);
    });
}

derecho_status derecho_group_state_fail(derecho_group* group, uint32_t node, uint64_t request, const void* text,
                                        size_t size_bytes) {
    if (size_bytes > 0) DERECHO_REQUIRE(text);
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    return guarded([&]() -> derecho_status {
        const derecho_status status =
            inside.node().rpc().fail_state(NodeId{node}, request, {static_cast<const char*>(text), size_bytes});
        inside.node().nudge();
        if (status == DERECHO_INVALID) return fail(status, kNoRequest);
        return status == DERECHO_OK ? status : fail_to_send(inside, status);
    });
}
