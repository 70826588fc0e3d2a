// How long a group is without its dead member: from SIGKILL to the next view at the last of the survivors.
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>

#include "crew.hpp"
#include "histogram.hpp"
#include "machine.hpp"
#include "trials.hpp"

namespace bench {
namespace {

constexpr int64_t kWaitNs = 100'000'000;
constexpr uint32_t kBurst = 64;

// What each member tells the process that watches.
struct Watched {
    struct alignas(64) One {
        std::atomic<uint32_t> members;
        std::atomic<uint64_t> view_at_ns;  // when it took its newest view
    };
    One one[DERECHO_MEMBERS_MAX];
};

struct How {
    uint32_t members = 3;
    bool busy = false;  // one survivor sends all the time
};

void send_some(const Session& session) {
    const unsigned char message[100] = {};
    for (uint32_t i = 0; i < kBurst; ++i) {
        if (derecho_shard_send(session.shard(), message, sizeof message, nullptr) != DERECHO_OK) return;
    }
}

[[noreturn]] void live(const SessionOptions& options, bool sender, Watched::One& watched) {
    Session session(options);
    while (true) {
        const uint64_t before = session.view();
        if (sender && before != 0) send_some(session);
        session.poll(sender ? 0 : kWaitNs, [](const derecho_event&) {});
        if (session.view() == before) continue;
        watched.view_at_ns.store(now_ns(), std::memory_order_relaxed);
        watched.members.store(session.members(), std::memory_order_release);
    }
}

class Trial {
public:
    Trial(const SessionOptions& common, const How& how, uint32_t victim)
        : how_(how), victim_(victim), deadline_ns_(common.deadline_ns), watched_(shared<Watched>()) {
        const Crew crew(common, how.members);
        for (uint32_t k = 0; k < how.members; ++k) {
            const bool sender = how.busy && k == (victim + 1) % how.members;
            children_.emplace_back([&, k]() -> int { live(crew.options_of(k), sender, watched_->one[k]); });
        }
    }

    // Nanoseconds from the kill to the view at the last of the survivors.
    uint64_t run() {
        wait({}, how_.members, "the members to join");
        usleep(100'000);  // until the group has come to rest
        const uint64_t killed = now_ns();
        children_[victim_].kill();
        wait(victim_, how_.members - 1, "the next view");
        uint64_t latest = killed;
        for (uint32_t k = 0; k < how_.members; ++k) {
            if (k != victim_) latest = std::max(latest, watched_->one[k].view_at_ns.load());
        }
        return latest - killed;
    }

private:
    void wait(std::optional<uint32_t> except, uint32_t members, const char* what) const {
        const auto there = [&](uint32_t k) { return watched_->one[k].members.load() == members; };
        for (uint32_t k = 0; k < how_.members; ++k) {
            while (k != except && !there(k)) {
                if (now_ns() > deadline_ns_) throw std::runtime_error(std::string("gave up waiting for ") + what);
                usleep(1000);
            }
        }
    }

    How how_;
    uint32_t victim_;
    uint64_t deadline_ns_;
    Watched* watched_;
    std::vector<Child> children_;
};

}  // namespace

int run_failover(Settings& settings) {
    How how;
    how.members = static_cast<uint32_t>(settings.number("members", how.members));
    how.busy = settings.flag("busy", how.busy);
    const auto trials = static_cast<uint32_t>(settings.number("trials", 10));
    const SessionOptions common = session_options(settings);
    settings.all_known();
    if (how.members < 3 || how.members > DERECHO_MEMBERS_MAX) throw UsageError("members must be 3 to 64");
    Histogram times;
    // Every rank in turn, so that the loss of the leader is among them.
    for (uint32_t i = 0; i < trials; ++i) times.record(Trial(common, how, i % how.members).run());
    Json out;
    out.count("members", how.members).flag("busy", how.busy).object("failover_ns", times.json());
    std::puts(out.str().c_str());
    return 0;
}

}  // namespace bench
