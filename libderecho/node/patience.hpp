// What a thread does that waits: spin briefly, yield to others for a while, then sleep. Pure.
#pragma once

#include "base/clock.hpp"

namespace libderecho {

struct WaitStages {
    Duration spin{};
    Duration yield{};
};

class Patience {
public:
    enum class Stage { spin, yield, sleep };

    Patience(WaitStages stages, Instant now) : stages_(stages), since_(now) {}

    // `moved`: something happened, though not what is waited for; more may follow.
    Stage next(Instant now, bool moved) {
        if (moved) since_ = now;
        const Duration idle = now - since_;
        if (idle < stages_.spin) return Stage::spin;
        return idle.ns < stages_.spin.ns + stages_.yield.ns ? Stage::yield : Stage::sleep;
    }

private:
    WaitStages stages_;
    Instant since_;
};

}  // namespace libderecho
