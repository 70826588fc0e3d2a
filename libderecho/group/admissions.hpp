// Who has asked the leader to be let in, and when the view may change for that. A change stops all senders for a
// moment: those who come close together are let in at once, and the changes that let them in and give them votes take
// no more than a tenth of the time. Driver only.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "view/view.hpp"

namespace libderecho {

class Admissions {
public:
    // `ask_again`: who waits asks so often.
    explicit Admissions(Duration ask_again) : ask_again_(ask_again) {}

    void asked(Member joiner, Instant now);
    void forget(NodeId node);
    // A view began; senders had stood still for so long.
    void entered(const View& view, Duration stood_still, Instant now);
    // A newcomer held all up for so long, and is to be removed: nobody is let in for a while, whyever the view changes.
    void pause(const std::string& newcomer, Duration stalled, Instant now);

    // Why nobody is let in now; empty when nodes are let in.
    std::string paused(Instant now) const;

    // Those who can be in the view after this one: not who has fallen silent since it asked, for it would hold up all.
    std::vector<Member> candidates(const View& view, Instant now) const;
    // When the view may change again for those who join.
    Instant next_change() const { return std::max(next_change_, paused_until_); }

private:
    struct Waiting {
        Member joiner;
        Instant asked{};
    };
    Duration ask_again_;
    std::vector<Waiting> waiting_;
    Instant next_change_{};
    Instant paused_until_{};
    std::string paused_why_;
    uint64_t stalls_ = 0;  // of late: how long a pause is, in terms of the stall before it
};

}  // namespace libderecho
