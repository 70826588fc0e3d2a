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

struct How {
    uint32_t members = 3;
    double seconds = 3;
    bool polling = true;  // the application waits in derecho_poll; otherwise it is busy elsewhere
};

void be_idle(Session& session, const How& how, double seconds) {
    const uint64_t until = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    for (uint64_t now; (now = now_ns()) < until;) {
        if (how.polling) {
            session.poll(static_cast<int64_t>(until - now), [](const derecho_event&) {});
        } else {
            usleep(static_cast<useconds_t>((until - now) / 1000 + 1));
        }
    }
}

std::string idle_member(const SessionOptions& options, const How& how) {
    Session session(options);
    session.wait_for_members(how.members);
    be_idle(session, how, kSettleS);
    const double cpu_before = cpu_seconds();
    const derecho_stats before = session.stats();
    be_idle(session, how, how.seconds);
    const double cpu = cpu_seconds() - cpu_before;
    const derecho_stats after = session.stats();
    const Memory memory = memory_used();
    Json out;
    out.count("rank", session.rank()).number("cpu_share", cpu / how.seconds);
    out.number("steps_per_s", static_cast<double>(after.steps - before.steps) / how.seconds);
    out.count("rss_bytes", memory.rss_bytes).count("pss_bytes", memory.pss_bytes);
    out.count("mapped_bytes", after.memory_bytes);
    session.meet(how.members);  // nobody leaves while another still measures
    session.leave();
    return out.str();
}

}  // namespace

int run_idle(Settings& settings) {
    How how;
    how.members = static_cast<uint32_t>(settings.number("members", how.members));
    how.seconds = settings.real("seconds", how.seconds);
    how.polling = settings.flag("polling", how.polling);
    const SessionOptions common = session_options(settings);
    settings.all_known();
    const Crew crew(common, how.members);
    const auto results =
        in_children(how.members, common.deadline_ns, [&](uint32_t k) { return idle_member(crew.options_of(k), how); });
    std::puts(json_list(results).c_str());
    return 0;
}

}  // namespace bench
