// Answers and pieces of state that found no room: kept by destination, in order, tried again whenever the group is
// driven.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "codec.hpp"
#include "raw.hpp"

namespace derecho::detail {

/** Belongs to whoever drives. */
class Outbox {
public:
    Outbox(RawGroup& group, size_t piece_bytes) : group_(group), piece_bytes_(piece_bytes) {}

    /** Answer a call or query of `node`. @throws TooLarge, and what ends a group. */
    void answer(uint32_t node, uint64_t call, derecho_status status, BytesView data) {
        if (!waiting_.contains(node)) {
            const derecho_status sent =
                derecho_group_reply(group_.handle(), node, call, status, data.data(), data.size());
            if (sent != DERECHO_AGAIN) return check(sent);
        }
        waiting_[node].push_back({false, call, status, Bytes(data.begin(), data.end()), 0});
    }

    /** Send the state to a joiner, in pieces. */
    void state(uint32_t node, uint64_t request, Bytes data) {
        waiting_[node].push_back({true, request, DERECHO_OK, std::move(data), 0});
        retry();
    }

    /** Send again; whether something is left. */
    bool retry() {
        for (auto node = waiting_.begin(); node != waiting_.end();) {
            std::deque<Entry>& queue = node->second;
            while (!queue.empty() && send(node->first, queue.front()) != DERECHO_AGAIN) queue.pop_front();
            node = queue.empty() ? waiting_.erase(node) : std::next(node);
        }
        return !waiting_.empty();
    }

private:
    struct Entry {
        bool is_state;
        uint64_t id;
        derecho_status status;
        Bytes data;
        size_t sent;  // of a state
    };

    /** Anything but AGAIN is final: the receiver went, or the group ended. */
    derecho_status send(uint32_t node, Entry& entry) {
        return entry.is_state ? send_state(node, entry) : send_answer(node, entry);
    }

    /** One that proves too large only now still has a caller who waits: he is told. */
    derecho_status send_answer(uint32_t node, Entry& entry) {
        const auto reply = [&] {
            return derecho_group_reply(group_.handle(), node, entry.id, entry.status, entry.data.data(),
                                       entry.data.size());
        };
        const derecho_status status = reply();
        if (status != DERECHO_TOO_LARGE) return status;
        const std::string said = std::string("TooLarge: ") + derecho_last_error();
        entry.status = DERECHO_REMOTE_ERROR;
        entry.data.assign(bytes_of(said).begin(), bytes_of(said).end());
        return reply();
    }

    derecho_status send_state(uint32_t node, Entry& entry) {
        while (true) {
            const size_t size = std::min(piece_bytes_, entry.data.size() - entry.sent);
            const bool last = entry.sent + size == entry.data.size();
            const derecho_status status = derecho_group_state(group_.handle(), node, entry.id,
                                                              entry.data.data() + entry.sent, size, last ? 1 : 0);
            if (status != DERECHO_OK || last) return status;
            entry.sent += size;
        }
    }

    RawGroup& group_;
    size_t piece_bytes_;
    std::map<uint32_t, std::deque<Entry>> waiting_;
};

}  // namespace derecho::detail
