// A whole benchmark group: one `member` a child process.
#include <algorithm>
#include <cstdio>

#include "crew.hpp"
#include "member.hpp"
#include "trials.hpp"

namespace bench {

int run_group(Settings& settings) {
    const SessionOptions common = session_options(settings);
    const Workload work = workload(settings);
    const bool spread = settings.flag("spread", false);  // member k stays on processor k; the last one takes the rest
    settings.all_known();
    const Crew crew(common, work.members);
    const std::vector<int> cores = processors();
    const auto results = in_children(work.members, common.deadline_ns, [&](uint32_t k) {
        Workload mine = work;
        if (spread) mine.processor = cores[std::min<size_t>(k, cores.size() - 1)];
        return Member(crew.options_of(k), mine).run().str();
    });
    std::puts(json_list(results).c_str());
    return 0;
}

}  // namespace bench
