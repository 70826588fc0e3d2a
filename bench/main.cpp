// derecho-bench: measures this machine, and libderecho on it, through the public C ABI alone. `derecho bench` runs it;
// by hand: derecho-bench SUBCOMMAND key=value ...
#include <cstdio>
#include <cstring>
#include <exception>

#include "limits.hpp"
#include "settings.hpp"
#include "trials.hpp"

namespace {

struct Subcommand {
    const char* name;
    int (*run)(bench::Settings&);
    const char* what;
};

constexpr Subcommand kSubcommands[] = {
    {"limits", bench::run_limits, "what the machine allows: cache lines, copies, sockets, wake-ups"},
    {"member", bench::run_member, "one member of a benchmark group, over its whole life"},
    {"run", bench::run_group, "a benchmark group of several members, on this machine"},
    {"failover", bench::run_failover, "from the SIGKILL of a member to the next view at the others"},
    {"ffi", bench::run_ffi, "what a message costs one program alone, for bindings to be compared with"},
    {"idle", bench::run_idle, "processor time and memory of a group that has nothing to do"},
};

int usage() {
    std::fputs("usage: derecho-bench SUBCOMMAND [key=value ...]; prints JSON\n", stderr);
    for (const Subcommand& each : kSubcommands) std::fprintf(stderr, "  %-10s %s\n", each.name, each.what);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    for (const Subcommand& each : kSubcommands) {
        if (argc < 2 || std::strcmp(argv[1], each.name) != 0) continue;
        try {
            bench::Settings settings(argc - 2, argv + 2);
            return each.run(settings);
        } catch (const bench::UsageError& problem) {
            std::fprintf(stderr, "derecho-bench: %s\n", problem.what());
            return 2;
        } catch (const std::exception& problem) {
            std::fprintf(stderr, "derecho-bench: %s\n", problem.what());
            return 1;
        }
    }
    return usage();
}
