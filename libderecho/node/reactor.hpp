// The background thread of a node: it drives when nobody else does. It looks every millisecond whether somebody does,
// except while an application thread sleeps as driver; then it rests until that one is done.
//
// It sleeps on a timer, not on a signal: telling it "look in a millisecond" wakes nobody.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "base/clock.hpp"
#include "base/status.hpp"

namespace libderecho {

class Reactor {
public:
    // What it finds when it looks.
    enum class Look {
        driven,  // somebody drove since the last look: look again later
        rest,    // somebody sleeps as driver: do not look again until told
        drove,   // nobody did, so it drove itself, until somebody wanted to
    };

    ~Reactor() { stop(); }

    Status start(std::function<Look()> look);
    void stop();
    bool running() const { return thread_.joinable(); }

    // ---- any thread
    // Make it look after so long, at the latest.
    void look_in(Duration delay);
    // To be called by a driver that ends its sleep, after it said so.
    void end_rest() {
        if (resting_.load(std::memory_order_seq_cst)) look_in(kTick);
    }
    bool resting() const { return resting_.load(std::memory_order_seq_cst); }

private:
    static constexpr Duration kTick = milliseconds(1);
    void run();

    std::function<Look()> look_;
    std::thread thread_;
    int timer_ = -1;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> resting_{false};
};

}  // namespace libderecho
