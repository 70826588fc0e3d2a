// What a group costs that has nothing to do.
#include <unistd.h>
#include <cstdio>

#include "crew.hpp"
#include "json.hpp"
#include "machine.hpp"
#include "trials.hpp"

namespace bench {
namespace {

constexpr double kSettleS = 1;
constexpr uint64_t kWaitNs = 20'000'000;

struct How {
    uint32_t members = 3;
    double seconds = 3;
    bool polling = true;  // the application waits in derecho_poll; otherwise it is busy elsewhere
};

class IdleMember {
public:
    IdleMember(const SessionOptions& options, const How& how) : session_(options), how_(how) {}

    std::string run() {
        session_.wait_for_members(how_.members);
        be_idle(kSettleS);
        const double cpu_before = cpu_seconds();
        const derecho_stats before = session_.stats();
        be_idle(how_.seconds);
        const double cpu = cpu_seconds() - cpu_before;
        const derecho_stats after = session_.stats();
        const Memory memory = memory_used();
        Json out;
        out.count("rank", session_.rank()).number("cpu_share", cpu / how_.seconds);
        out.number("steps_per_s", static_cast<double>(after.steps - before.steps) / how_.seconds);
        out.count("rss_bytes", memory.rss_bytes).count("pss_bytes", memory.pss_bytes);
        out.count("mapped_bytes", after.memory_bytes);
        meet();
        session_.leave();
        return out.str();
    }

private:
    void poll(uint64_t at_most_ns) {
        session_.poll(static_cast<int64_t>(at_most_ns), [this](const derecho_event&) { ++done_; });
    }
    void be_idle(double seconds) {
        const uint64_t until = now_ns() + static_cast<uint64_t>(seconds * 1e9);
        for (uint64_t now; (now = now_ns()) < until;) {
            if (how_.polling) {
                poll(until - now);
            } else {
                usleep(static_cast<useconds_t>((until - now) / 1000 + 1));
            }
        }
    }
    // Nobody leaves while another still measures: each says when it has.
    void meet() {
        const unsigned char message = 0;
        require(derecho_shard_send(session_.shard(), &message, 1, nullptr), "send");
        while (done_ < how_.members) {
            poll(kWaitNs);
            session_.check_deadline("the others");
        }
    }

    Session session_;
    const How how_;
    uint32_t done_ = 0;
};

}  // namespace

int run_idle(Settings& settings) {
    How how;
    how.members = static_cast<uint32_t>(settings.number("members", how.members));
    how.seconds = settings.real("seconds", how.seconds);
    how.polling = settings.flag("polling", how.polling);
    const SessionOptions common = session_options(settings);
    settings.all_known();
    const Crew crew(common, how.members);
    const auto results = in_children(how.members, common.deadline_ns,
                                     [&](uint32_t k) { return IdleMember(crew.options_of(k), how).run(); });
    std::puts(json_list(results).c_str());
    return 0;
}

}  // namespace bench
