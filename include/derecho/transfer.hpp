// A read or write of registered memory, as it will have ended.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "engine.hpp"
#include "replies.hpp"

namespace derecho {

namespace detail {

/** Written by the driver, once; read by others after done(). */
class TransferState : public PendingOne {
public:
    TransferState(std::string what, uint32_t node, uint64_t size_bytes)
        : where(std::move(what)), member(node), size(size_bytes) {}

    const std::string where;
    const uint32_t member;
    const uint64_t size;

private:
    void receive(const derecho_event& event) override {
        if (event.status == DERECHO_OK) return;
        if (event.status == DERECHO_REMOVED)
            throw MemberRemoved(where + ": member " + std::to_string(member) + " left the view first");
        const BytesView said = data_of(event);
        raise(event.status, where + ": " + std::string(reinterpret_cast<const char*>(said.data()), said.size()));
    }
};

}  // namespace detail

/** A read or write of a member's registered memory under way: a future of the bytes moved, all there were. Copies are
 *  the same one. */
class Transfer {
public:
    Transfer(std::shared_ptr<detail::Engine> engine, std::shared_ptr<detail::TransferState> state)
        : engine_(std::move(engine)), state_(std::move(state)) {}

    bool done() const { return state_->done(); }

    /** The node whose memory it is. */
    uint32_t member() const { return state_->member; }

    /** Wait for its end, driving the group. @throws MemberRemoved: it left the view first; InvalidArgument: the key
     * opens nothing, does not allow it, or the run reaches beyond the memory's end; Unreachable: only RDMA devices
     * reach the memory at one end, and none does; Timeout; what ended the group */
    uint64_t get() const { return get(engine_->timeout); }
    uint64_t get(std::chrono::nanoseconds timeout) const {
        if (!done() && !engine_->wait([this] { return done(); }, timeout, state_->where))
            throw Timeout(state_->where + ": it has not ended within " + detail::seconds_text(timeout));
        if (state_->error) std::rethrow_exception(state_->error);
        return state_->size;
    }

private:
    std::shared_ptr<detail::Engine> engine_;
    std::shared_ptr<detail::TransferState> state_;
};

}  // namespace derecho
