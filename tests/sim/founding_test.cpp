// How a group begins, again and again: nodes with the same initial members start, die, are paused and cut off from each
// other at any moment, lose nothing of their disks, and come back. Shown: there is one group at a time (after another
// one was founded, none installs a view any more), no view id is used twice in it, and when the faults end all are in
// it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "base/coverage.hpp"
#include "group/group.hpp"
#include "sim/ledger.hpp"
#include "sim/sim_marker.hpp"

namespace libderecho::sim {
namespace {

constexpr Duration kFaults = milliseconds(60);
constexpr Duration kAtMostUntilAllIsWell = milliseconds(400);
// Of a join. One that was let in by nodes that died before it knew is waited for by the others until it starts anew,
// and one that the leader has cut off does not come in before.
constexpr Duration kJoinTimeout = milliseconds(200);

std::string address_of(uint32_t node) { return "sim:" + std::to_string(node); }

struct Founder {
    uint32_t node = 0;
    uint64_t incarnation = 0;
    SimFabric* fabric = nullptr;
    std::unique_ptr<SimMarker> marker;
    std::unique_ptr<Group> group;
    Instant started{}, next_step{}, paused_until{};
    bool leaving = false;

    bool member() const { return group && group->phase() == Group::Phase::member; }
};

class FoundingWorld {
public:
    explicit FoundingWorld(uint64_t seed)
        : random_(Random(seed).next()),
          network_(Random(seed * 7 + 1).next(), weather(random_)),
          nodes_(static_cast<uint32_t>(random_.between(1, 5))),
          outsiders_(static_cast<uint32_t>(random_.below(2))),
          founders_(nodes_ + outsiders_) {
        for (uint32_t n = 0; n < founders_.size(); ++n) founders_[n].node = n;
    }

    void run() {
        const Instant faults_end = network_.now() + kFaults;
        while (network_.now() < faults_end) {
            fault();
            run_until(network_.now() + Duration{random_.magnitude(10'000, 6'000'000)});
        }
        heal();
        const Instant end = network_.now() + kAtMostUntilAllIsWell;
        while (!well() && network_.now() < end) {
            restart_whoever_ended();
            restart_whoever_timed_out();
            run_until(network_.now() + milliseconds(1));
        }
        if (!well()) throw Violation("liveness: not all are in one group\n" + describe());
    }

    uint64_t groups() const { return views_.size(); }

private:
    static Weather weather(Random& random) {
        Weather weather;
        weather.delay_max_ns = random.magnitude(2'000, 400'000);
        weather.stall = random.chance(0.5) ? 0 : 0.01;
        weather.stall_max_ns = 4'000'000;
        return weather;
    }

    GroupOptions options_of(const Founder& founder) {
        GroupOptions options;
        options.self = NodeId{founder.node};
        options.incarnation = founder.incarnation;
        options.address = address_of(founder.node);
        auto& addresses = founder.node < nodes_ ? options.initial_members : options.contacts;
        for (uint32_t n = 0; n < nodes_; ++n) addresses.push_back(address_of(n));
        options.new_group = {random_.next(), random_.next()};
        options.services = {{"service", 1}};
        options.ring_bytes = limits::ring_bytes_min;
        options.message_max_bytes = limits::ring_bytes_min / limits::ring_share;
        options.heartbeat = microseconds(500);
        options.suspect_after = milliseconds(6);
        options.retry_contact = microseconds(400);
        options.seek_contacts = milliseconds(3);
        return options;
    }

    // ------------------------------------------------------------------------------------------------ what happens

    void fault() {
        Founder& some = founders_[random_.below(founders_.size())];
        Founder& other = founders_[random_.below(founders_.size())];
        const uint64_t kind = random_.below(10);
        if (!some.group) return start(some);
        if (kind < 3)
            return die(some, random_.chance(0.5) ? Death::cut : random_.chance(0.5) ? Death::silent : Death::clean);
        if (kind == 3) return pause(some);
        if (kind == 4 && some.member()) return leave(some);
        if (kind == 5)
            for (Founder& each : founders_)
                if (each.group && random_.chance(0.8)) die(each, Death::cut);
        if (kind < 8 && &some != &other) network_.block(NodeId{some.node}, NodeId{other.node}, random_.chance(0.5));
    }

    void start(Founder& founder) {
        ++founder.incarnation;
        founder.fabric =
            &network_.start({NodeId{founder.node}, founder.incarnation, address_of(founder.node), founder.node, false});
        const std::string& kept = disks_[founder.node];
        const auto marker = marker_in(kept);
        if (!marker) throw Violation("a marker can always be read: " + kept);
        GroupOptions options = options_of(founder);
        options.marker = *marker;
        founder.marker = std::make_unique<SimMarker>(disks_[founder.node], network_, random_.fork());
        founder.group = std::make_unique<Group>(options, *founder.fabric, Now{network_.now(), network_.now().ns},
                                                founder.marker.get());
        founder.started = founder.next_step = network_.now();
        founder.paused_until = {};
        founder.leaving = false;
        trace(founder, "starts: " + (kept.empty() ? std::string("fresh") : describe(marker->known)));
    }

    void die(Founder& founder, Death death) {
        trace(founder, "dies");
        network_.kill(*founder.fabric, death);
        founder.group.reset();
        founder.marker.reset();
    }

    void pause(Founder& founder) {
        founder.paused_until = network_.now() + Duration{random_.magnitude(1'000'000, 30'000'000)};
    }

    void leave(Founder& founder) {
        trace(founder, "leaves");
        founder.group->leave();
        founder.leaving = true;
    }

    void heal() {
        for (Founder& a : founders_) {
            a.paused_until = {};
            a.next_step = network_.now();
            for (Founder& b : founders_) network_.block(NodeId{a.node}, NodeId{b.node}, false);
        }
        restart_whoever_ended();
    }

    // As whoever looks after services does.
    void restart_whoever_ended() {
        for (Founder& founder : founders_) {
            if (founder.group && founder.group->phase() == Group::Phase::ended) die(founder, Death::clean);
            if (!founder.group) start(founder);
        }
    }

    void restart_whoever_timed_out() {
        for (Founder& founder : founders_)
            if (!founder.member() && network_.now() - founder.started > kJoinTimeout) {
                die(founder, Death::clean);
                start(founder);
            }
    }

    // ------------------------------------------------------------------------------------------------ steps

    void run_until(Instant end) {
        while (true) {
            Founder* first = nullptr;
            for (Founder& founder : founders_)
                if (founder.group && (!first || founder.next_step < first->next_step)) first = &founder;
            const Instant next = std::max(network_.now(), std::min(first ? first->next_step : kNever, network_.next()));
            if (next > end) break;
            network_.advance_to(next);
            if (first && first->next_step <= next) step(*first);
        }
        network_.advance_to(end);
    }

    // Every process looks often enough: what wakes it is not the subject here.
    void step(Founder& founder) {
        founder.next_step = network_.now() + Duration{random_.magnitude(1'000, 200'000)};
        if (network_.now() < founder.paused_until) return;
        founder.group->step({network_.now(), network_.now().ns});
        take(founder);
        note_view(founder);
    }

    void take(Founder& founder) {
        derecho_event events[16];
        Leases::Batch batch;
        while (founder.group->take(events, batch) > 0)
            founder.group->leases().release(founder.group->leases().open(batch));
        const ShardIndex shard{0};
        if (founder.member() && founder.group->state_wanted(shard)) founder.group->state_complete(shard);
    }

    void note_view(Founder& founder) {
        const View* view = founder.group->view();
        if (!view) return;
        const auto [known, fresh] = views_[view->group].try_emplace(raw(view->id), *view);
        if (!(known->second == *view))
            throw Violation("a view id is used once: " + describe(*view) + "\n" + describe());
        if (!fresh) return;
        trace(founder, "installs " + describe(*view));
        if (view->id == ViewId{1}) newest_ = view->group;
        if (view->group != newest_)
            throw Violation("there is one group: " + describe(*view) + " after " + to_text(newest_) + " was founded\n" +
                            describe());
    }

    bool well() const {
        const View* all = nullptr;
        for (const Founder& founder : founders_) {
            if (!founder.member()) return false;
            const View* view = founder.group->view();
            if (view->members.size() != founders_.size() || (all && !(*all == *view))) return false;
            all = view;
        }
        return true;
    }

    static std::string describe(const View& view) { return libderecho::describe(view); }

    std::string describe() const {
        std::string text = std::to_string(nodes_) + " initial members\n";
        for (const Founder& founder : founders_) {
            text += "  node " + std::to_string(founder.node) + "." + std::to_string(founder.incarnation) + " ";
            if (!founder.group)
                text += "dead";
            else if (founder.member())
                text += describe(*founder.group->view());
            else
                text += founder.group->end().detail;
            text += "\n";
        }
        return text;
    }

    void trace(const Founder& founder, const std::string& what) const {
        if (!traced_) return;
        std::fprintf(stderr, "%10.3f us  node %u.%llu %s\n", static_cast<double>(network_.now().ns) / 1e3 - 1e6,
                     founder.node, static_cast<unsigned long long>(founder.incarnation), what.c_str());
    }

    Random random_;
    Network network_;
    const uint32_t nodes_, outsiders_;
    std::map<uint32_t, std::string> disks_;
    std::vector<Founder> founders_;
    std::map<GroupId, std::map<uint64_t, View>> views_;
    GroupId newest_{};
    const bool traced_ = std::getenv("DERECHO_SIM_TRACE") != nullptr;
};

uint64_t number_in(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Two that were told to found groups of one name, each by itself, and know of each other: they meet when they can.
TEST(SimFounding, two_groups_that_meet_say_so_in_both) {
    Network network(1, {});
    network.block(NodeId{0}, NodeId{1}, true);
    std::vector<std::unique_ptr<Group>> groups;
    for (uint32_t node = 0; node < 2; ++node) {
        GroupOptions options;
        options.self = NodeId{node};
        options.incarnation = 1;
        options.address = address_of(node);
        options.contacts = {address_of(1 - node)};
        options.found = true;
        options.new_group = {7, node};
        options.services = {{"service", 1}};
        options.seek_contacts = milliseconds(3);
        SimFabric& fabric = network.start({NodeId{node}, 1, address_of(node), node, false});
        groups.push_back(std::make_unique<Group>(options, fabric, Now{network.now(), network.now().ns}));
    }
    const auto run = [&](Duration duration) {
        for (const Instant end = network.now() + duration; network.now() < end;) {
            network.advance_to(network.now() + microseconds(50));
            for (const auto& group : groups) group->step({network.now(), network.now().ns});
        }
    };
    run(milliseconds(10));
    for (const auto& group : groups) {
        ASSERT_EQ(group->phase(), Group::Phase::member);
        EXPECT_TRUE(group->troubles().empty());
    }
    network.block(NodeId{0}, NodeId{1}, false);
    run(milliseconds(10));
    for (const auto& group : groups) {
        ASSERT_FALSE(group->troubles().empty());
        EXPECT_NE(group->troubles().front().find("there are two groups of this name"), std::string::npos);
        EXPECT_EQ(group->view()->members.size(), 1u);
    }
}

TEST(SimFounding, there_is_one_group_whatever_happens_while_it_is_founded) {
    const uint64_t first = number_in("DERECHO_SIM_FIRST", 1), seeds = number_in("DERECHO_SIM_SEEDS", 300);
    uint64_t most_groups = 0;
    for (uint64_t seed = first; seed < first + seeds; ++seed) {
        FoundingWorld world(seed);
        try {
            world.run();
        } catch (const Violation& violation) {
            FAIL() << violation.what() << "\nreplay: DERECHO_SIM_FIRST=" << seed
                   << " DERECHO_SIM_SEEDS=1 DERECHO_SIM_TRACE=1 derecho_tests --gtest_filter='SimFounding.*'";
        }
        most_groups = std::max(most_groups, world.groups());
    }
    if (seeds < 100) return;
    EXPECT_GT(most_groups, 1u) << "no group was ever over";
    for (const auto branch :
         {coverage::Branch::candidate_gave_up, coverage::Branch::grant_taken_back, coverage::Branch::group_is_over})
        EXPECT_GT(coverage::hits[static_cast<size_t>(branch)].load(), 0u)
            << "no seed reached: " << coverage::kNames[static_cast<size_t>(branch)];
}

}  // namespace
}  // namespace libderecho::sim
