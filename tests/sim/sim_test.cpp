// The core, N nodes at a time, over a simulated network: thousands of runs, each of which follows from its seed.
//
// DERECHO_SIM_SEEDS   runs in all, shared by the scenarios (default 1,400)
// DERECHO_SIM_FIRST   the first seed (default 1)
// DERECHO_SIM_TRACE   set: tell what happens, with virtual time; DERECHO_LOG=info adds the core's own log
#include <gtest/gtest.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/coverage.hpp"
#include "sim/scenarios.hpp"

namespace libderecho::sim {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

std::string replay(const std::string& scenario, uint64_t seed) {
    return "DERECHO_SIM_FIRST=" + std::to_string(seed) + " DERECHO_SIM_SEEDS=1 DERECHO_SIM_TRACE=1 derecho_tests " +
           "--gtest_filter='*simulated_group*/" + scenario + "'";
}

// If the core aborts or faults, say which run it was before dying of it.
std::string running;
void say_which_run(int signal_number) {
    const std::string text = "\nthe core died of signal " + std::to_string(signal_number) + "; replay: " + running + "\n";
    [[maybe_unused]] const auto written = write(2, text.data(), text.size());
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

struct DeathWatch {
    DeathWatch() {
        for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(number, say_which_run);
    }
    ~DeathWatch() {
        for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(number, SIG_DFL);
    }
};

// Run one seed; what it met is added to `coverage`.
void run_seed(const Scenario& story, uint64_t seed, Coverage& coverage) {
    running = replay(story.name, seed);
    World world(seed, story);
    try {
        world.run();
    } catch (const Violation& violation) {
        ADD_FAILURE() << story.name << ", seed " << seed << ": " << violation.what() << "\nreplay: " << running;
    }
    coverage.add(world.coverage());
    if (std::getenv("DERECHO_SIM_TRACE")) std::fprintf(stderr, "%s\n", world.summary().c_str());
}

class simulated_group : public testing::TestWithParam<std::string> {};

TEST_P(simulated_group, keeps_its_promises) {
    const DeathWatch watch;
    const Scenario& story = scenario(GetParam());
    const uint64_t first = from_environment("DERECHO_SIM_FIRST", 1);
    const uint64_t all = from_environment("DERECHO_SIM_SEEDS", 1'400);
    const bool whole_share = std::getenv("DERECHO_SIM_ONE") != nullptr;
    const uint64_t count = whole_share ? all : (all + scenarios().size() - 1) / scenarios().size();
    Coverage coverage;
    for (uint64_t seed = first; seed < first + count; ++seed) run_seed(story, seed, coverage);
}

std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Scenario& story : scenarios()) all.push_back(story.name);
    return all;
}

INSTANTIATE_TEST_SUITE_P(sim, simulated_group, testing::ValuesIn(names()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace libderecho::sim
