// Who has asked the leader to be let in, and when the view may change for that. A change stops all senders for a
// moment: those who come close together are let in at once, and that takes no more than a tenth of the time, that they
// get to vote included. Driver only.
#pragma once

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
    // A view began; senders had stood still for so long, and before that waited so long for a newcomer that was
    // removed.
    void entered(const View& view, Duration stood_still, Duration stalled, Instant now);

    // Those who can be in the view after this one: not who has fallen silent since it asked, for it would hold up all.
    std::vector<Member> candidates(const View& view, Instant now) const;
    // When the view may change again for those who join.
    Instant next_change() const { return next_change_; }

private:
    struct Waiting {
        Member joiner;
        Instant asked{};
    };
    Duration ask_again_;
    std::vector<Waiting> waiting_;
    Instant next_change_{};
};

}  // namespace libderecho
