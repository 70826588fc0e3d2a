// Answers and pieces of state that found no room: kept by destination, in order, tried again whenever the group is
// driven.
#pragma once

#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "codec.hpp"
#include "raw.hpp"

namespace derecho {

/** The pieces of a state, made as they are sent: each call puts the next one into `piece`, of any size; false: there
 * are no more. What it throws the joiner is told. */
using StatePieces = std::function<bool(Bytes& piece)>;

}  // namespace derecho

namespace derecho::detail {

/** "Type: text" of the exception being handled, as it travels to the caller. */
inline std::string describe_current_exception() {
    constexpr size_t kBytesMax = 4096;
    try {
        throw;
    } catch (const std::exception& error) {
        const std::unique_ptr<char, decltype(&std::free)> name(
            abi::__cxa_demangle(typeid(error).name(), nullptr, nullptr, nullptr), std::free);
        std::string type = name ? name.get() : typeid(error).name();
        if (const size_t colon = type.rfind("::"); colon != std::string::npos) type.erase(0, colon + 2);
        const char* const text = error.what();
        return (type + ": " + (text != nullptr ? text : "")).substr(0, kBytesMax);
    } catch (...) {
        return "unknown: an exception that is not a std::exception";
    }
}

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
        waiting_[node].push_back({false, call, status, Bytes(data.begin(), data.end()), 0, {}, {}});
    }

    /** Send the state to a joiner, in pieces. */
    void state(uint32_t node, uint64_t request, Bytes data) {
        derecho_group_state_size(group_.handle(), node, request, data.size());
        waiting_[node].push_back({true, request, DERECHO_OK, std::move(data), 0, {}, {}});
        retry();
    }
    /** ... that are made as there is room; `done` is called once the last one was made, or nobody wants it. */
    void state(uint32_t node, uint64_t request, StatePieces pieces, std::function<void()> done) {
        waiting_[node].push_back({true, request, DERECHO_OK, {}, 0, std::move(pieces), std::move(done)});
        retry();
    }
    /** Tell a joiner why there will be none. */
    void no_state(uint32_t node, uint64_t request, const std::string& why) {
        const BytesView text = bytes_of(why);
        waiting_[node].push_back({true, request, DERECHO_REMOTE_ERROR, Bytes(text.begin(), text.end()), 0, {}, {}});
        retry();
    }
    /** Make now what is missing of the pieces for a request. */
    void collect(uint32_t node, uint64_t request) {
        std::deque<Entry>& queue = waiting_[node];
        for (size_t i = 0; i < queue.size(); ++i) {  // what is done meanwhile may add to it
            while (queue[i].is_state && queue[i].id == request && queue[i].pieces) make_piece(queue[i]);
        }
    }

    /** Send again; whether something is left. */
    bool retry() {
        for (auto node = waiting_.begin(); node != waiting_.end();) {
            std::deque<Entry>& queue = node->second;
            while (!queue.empty() && send(node->first, queue.front()) != DERECHO_AGAIN) {
                const std::function<void()> done = std::exchange(queue.front().done, {});
                queue.pop_front();
                if (done) done();
            }
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
        size_t sent;         // of a state
        StatePieces pieces;  // that are still to be made
        std::function<void()> done;
    };

    /** Put the next piece behind the data, or find that there is none. */
    static void make_piece(Entry& entry) {
        Bytes piece;
        bool more = false;
        try {
            more = entry.pieces(piece);
        } catch (...) {
            entry.status = DERECHO_REMOTE_ERROR;
            const std::string why = describe_current_exception();
            entry.data.assign(bytes_of(why).begin(), bytes_of(why).end());
            entry.sent = 0;
        }
        if (more) {
            entry.data.insert(entry.data.end(), piece.begin(), piece.end());
            return;
        }
        entry.pieces = {};
        if (const std::function<void()> done = std::exchange(entry.done, {})) done();
    }

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
            while (entry.pieces && entry.data.size() - entry.sent < piece_bytes_) {
                entry.data.erase(entry.data.begin(), entry.data.begin() + static_cast<ptrdiff_t>(entry.sent));
                entry.sent = 0;
                make_piece(entry);
            }
            if (entry.status != DERECHO_OK)
                return derecho_group_state_fail(group_.handle(), node, entry.id, entry.data.data(), entry.data.size());
            const size_t size = std::min(piece_bytes_, entry.data.size() - entry.sent);
            const bool last = !entry.pieces && entry.sent + size == entry.data.size();
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
