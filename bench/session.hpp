// One member of a benchmark group, over the C ABI: joins, answers state requests, follows views, and hands messages to
// whoever measures. One thread.
#pragma once

#include <derecho.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "settings.hpp"

namespace bench {

struct SessionOptions {
    uint32_t node = 0;
    std::string listen;
    std::string contact;
    std::map<std::string, std::string> library;  // options of libderecho, as they are
    size_t batch = 512;                          // most events a poll
    uint64_t deadline_ns = 0;                    // of everything
};

// What `run` and `member` have in common: node=, listen=, contact=, wire=, batch=, timeout=, opt.NAME=.
SessionOptions session_options(Settings& settings);

[[noreturn]] void fail(const char* what, derecho_status status);
inline void require(derecho_status status, const char* what) {
    if (status != DERECHO_OK) [[unlikely]]
        fail(what, status);
}

class Session {
public:
    explicit Session(const SessionOptions& options);
    ~Session();
    Session(const Session&) = delete;

    // Take one batch of events, hand each message to `take(event)`, release them. How many events there were.
    template <class Take>
    size_t poll(int64_t timeout_ns, Take&& take) {
        size_t count = 0;
        uint64_t lease = 0;
        require(derecho_poll(group_, events_.data(), events_.size(), timeout_ns, &count, &lease), "poll");
        for (size_t i = 0; i < count; ++i) {
            if (events_[i].kind == DERECHO_EVENT_MESSAGE) [[likely]] {
                take(events_[i]);
            } else {
                note(events_[i]);
            }
        }
        if (lease != 0) require(derecho_release(group_, lease), "release");
        if (states_due_) [[unlikely]]
            answer();
        return count;
    }
    // Poll until the view has so many members.
    void wait_for_members(uint32_t count);
    // Whether `deadline_ns` has passed: throws, with what was waited for.
    void check_deadline(const char* waiting_for) const;
    void leave();

    derecho_shard* shard() const { return shard_; }
    derecho_group* group() const { return group_; }
    uint32_t members() const { return members_; }  // that vote
    uint32_t rank() const { return rank_; }
    uint64_t view() const { return view_; }
    derecho_stats stats() const;

private:
    struct Due {
        uint32_t node;
        uint64_t request;
    };
    void note(const derecho_event& event);
    void answer();
    void note_view();

    uint64_t deadline_ns_;
    derecho_group* group_ = nullptr;
    derecho_shard* shard_ = nullptr;
    std::vector<derecho_event> events_;
    std::vector<Due> due_;
    bool states_due_ = false;
    bool closed_ = false;
    uint32_t members_ = 0;
    uint32_t rank_ = 0;
    uint64_t view_ = 0;
};

}  // namespace bench
