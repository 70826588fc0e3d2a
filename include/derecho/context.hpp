// What a method of a service may ask about the call that it handles: derecho::context().
#pragma once

#include <cstdint>
#include <stdexcept>

#include "../derecho.h"

namespace derecho {

/** Whose call it is, and its place and time. Of an ordered call all three are the same at every member. */
struct CallContext {
    /** The node that made the call: a member, or for a query perhaps a client. No argument can forge it. */
    uint32_t caller = 0;
    /** Grows with every ordered call of the service. For a query: of the last ordered call that the state has. */
    uint64_t version = 0;
    /** Nanoseconds since the Unix epoch, by the clock of the sender, on which all members agree; of an ordered call
     * never less than that of a call before it. For a query: of the last ordered call that the state has, so it stands
     * still while there are none; 0 where there was none yet. */
    uint64_t time_ns = 0;

    bool operator==(const CallContext&) const = default;
};

namespace detail {

/** The call that this thread handles. */
inline thread_local const derecho_event* running_call = nullptr;

/** Set for as long as a method runs; that may wait for another group, whose methods run meanwhile. */
class Running {
public:
    explicit Running(const derecho_event& event) : outer_(running_call) { running_call = &event; }
    ~Running() { running_call = outer_; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

private:
    const derecho_event* outer_;
};

}  // namespace detail

/**
 * The context of the call that the calling thread handles: for methods of services.
 * @throws std::logic_error outside of such a method, and on other threads than the one that runs it.
 */
inline CallContext context() {
    const derecho_event* call = detail::running_call;
    if (call == nullptr)
        throw std::logic_error(
            "derecho::context() is for a method of a service while it handles a call, on the thread that runs it: "
            "there is no call here");
    return {call->node, call->version, call->timestamp_ns};
}

}  // namespace derecho
