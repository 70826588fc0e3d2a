// The core, N nodes at a time, over a simulated network: thousands of runs, each of which follows from its seed.
//
// DERECHO_SIM_SEEDS   runs in all, shared by the scenarios (default 1,600)
// DERECHO_SIM_FIRST   the first seed (default 1)
// DERECHO_SIM_ONE     set: so many seeds for each scenario that runs, and none is left out after failures
// DERECHO_SIM_COVERAGE  set: which situations a scenario came into, and how often
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
    const std::string text =
        "\nthe core died of signal " + std::to_string(signal_number) + "; replay: " + running + "\n";
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

// Run one seed; what it met is added to `coverage`. False if a promise was broken.
bool run_seed(const Scenario& story, uint64_t seed, Coverage& coverage) {
    running = replay(story.name, seed);
    World world(seed, story);
    bool good = true;
    try {
        world.run();
    } catch (const Violation& violation) {
        good = false;
        ADD_FAILURE() << story.name << ", seed " << seed << ": " << violation.what() << "\nreplay: " << running;
    }
    coverage.add(world.coverage());
    if (std::getenv("DERECHO_SIM_TRACE")) std::fprintf(stderr, "%s\n", world.summary().c_str());
    return good;
}

class simulated_group : public testing::TestWithParam<std::string> {};

TEST_P(simulated_group, keeps_its_promises) {
    const DeathWatch watch;
    const Scenario& story = scenario(GetParam());
    const uint64_t first = from_environment("DERECHO_SIM_FIRST", 1);
    const uint64_t all = from_environment("DERECHO_SIM_SEEDS", 1'600);
    const bool whole_share = std::getenv("DERECHO_SIM_ONE") != nullptr;
    const uint64_t count = whole_share ? all : (all + scenarios().size() - 1) / scenarios().size();
    Coverage coverage;
    int failed = 0;  // the first few say enough, unless all are asked for
    for (uint64_t seed = first; seed < first + count && (failed < 3 || whole_share); ++seed)
        failed += run_seed(story, seed, coverage) ? 0 : 1;
    if (!std::getenv("DERECHO_SIM_COVERAGE")) return;
    for (const auto& [situation, times] : coverage.counts()) std::printf("%10lu  %s\n", times, situation.c_str());
}

// What the runs are there to reach. A name that nothing reaches means that a promise is no longer tried.
constexpr const char* kSituations[] = {
    "claim aborted",
    "claim of an earlier view aborted",
    "claim refused while the view changed",
    "claim was open across a view change",
    "a node came back as a new life",
    "a replica learned that it differs",
    "a replica that differs was named",
    "a stale state arrived",
    "a state was asked for, to be compared",
    "a state was begun anew",
    "an operation on memory refused",
    "an operation on the memory of a member that went",
    "a member stood still",
    "a member stood still in a view change",
    "call to a member that skipped it",
    "call to a member that was removed",
    "connection of two live members broke",
    "died during a view change",
    "donor died during the transfer",
    "ejected",
    "ejected after a pause",
    "ejected because its replica differed",
    "ended for want of memory",
    "ejected for not polling",
    "ejected for not releasing",
    "joiner died during the transfer",
    "joiner hung up",
    "leader crashed",
    "memory deregistered while members know it",
    "memory read",
    "memory that only devices reach out of reach",
    "memory that only devices reach used",
    "memory written",
    "own memory used",
    "leader crashed in a view change",
    "lease released before an older one",
    "left",
    "message of no bytes",
    "message of the largest size",
    "open claim was set aside",
    "query to a node that is not connected",
    "query to a node that went away",
    "query to oneself",
    "refused as a duplicate",
    "ring was full",
    "ring wrapped",
    "rounds were skipped",
    "several joined in one view",
    "stopped because replicas differed",
    "stopped without majority",
    "the group was lost",
    "the whole group left",
    "view changed because its sequence numbers ran out",
};

// Runs seeds of all scenarios, round about, until everything was seen.
TEST(simulated_group_coverage, every_rare_situation_is_reached_by_some_seed) {
    const DeathWatch watch;
    for (auto& count : coverage::hits) count = 0;
    Coverage reached;
    std::vector<std::string> missing;
    const uint64_t first = from_environment("DERECHO_SIM_FIRST", 1);
    for (uint64_t seed = first; seed < first + 400; ++seed) {
        for (const Scenario& story : scenarios()) run_seed(story, seed, reached);
        missing.clear();
        for (const char* situation : kSituations)
            if (reached.count(situation) == 0) missing.push_back(situation);
        for (size_t n = 0; n < coverage::hits.size(); ++n)
            if (coverage::hits[n] == 0 && !coverage::is_of_founding(static_cast<coverage::Branch>(n)))
                missing.push_back(std::string(coverage::kNames[n]));
        if (missing.empty()) break;
    }
    for (const auto& [situation, count] : reached.counts()) std::printf("%10lu  %s\n", count, situation.c_str());
    for (size_t n = 0; n < coverage::hits.size(); ++n)
        std::printf("%10lu  %s\n", coverage::hits[n].load(), std::string(coverage::kNames[n]).c_str());
    for (const std::string& situation : missing) ADD_FAILURE() << "no seed reached: " << situation;
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
