#include "sim/scenarios.hpp"

#include <algorithm>

namespace libderecho::sim {
namespace {

// Run `act` on the process that `pick` finds at that time, if there is one.
void then(World& world, Instant when, std::function<Process*()> pick, std::function<void(Process&)> act) {
    world.at(when, [pick = std::move(pick), act = std::move(act)] {
        if (Process* process = pick()) act(*process);
    });
}

// The same, but not before the group can afford to lose one member.
void when_healthy(World& world, Instant when, std::function<Process*()> pick, std::function<void(Process&)> act) {
    world.at(when, [&world, pick = std::move(pick), act = std::move(act)] {
        if (Process* process = world.healthy() ? pick() : nullptr) return act(*process);
        const Instant later = world.now() + microseconds(300);
        if (later < world.faults_end()) when_healthy(world, later, pick, act);
    });
}

Instant after(World& world, uint64_t least_ns, uint64_t most_ns) {
    return world.now() + Duration{world.random().magnitude(least_ns, most_ns)};
}

void crash_one(World& world) {
    when_healthy(
        world, world.some_time(), [&] { return world.some_member(); },
        [&](Process& process) { world.crash(process, world.some_death()); });
}

void crash_leader(World& world) {
    when_healthy(
        world, world.some_time(), [&] { return world.leader(); },
        [&](Process& process) {
            world.coverage().hit("leader crashed");
            world.crash(process, world.some_death());
        });
}

// A crash, a join or a leave sets off a change of view; the leader dies after so many steps of it.
void crash_leader_in_change(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.leader(); },
        [&](Process& leader) {
            const auto all = world.members();
            const Death death = world.random().chance(0.5) ? Death::cut : world.some_death();
            if (world.random().chance(0.7)) {
                world.crash_at_push(leader, world.random().between(1, 24), true, death);
                world.coverage().hit("leader told to crash in a view change");
            } else {  // as soon as it has installed what it decided, and whether others know or not
                world.on_install = [&world, &leader, death](Process& process) {
                    if (&process == &leader)
                        world.at(world.now(), [&world, &leader, death] {
                            if (leader.alive) world.crash(leader, death);
                        });
                };
            }
            if (all.size() > 4 && world.random().chance(0.6))
                world.crash(*all.back(), world.some_death());
            else if (all.size() > 3 && world.random().chance(0.3))
                world.leave(*all.back());
            else
                world.start(world.nodes());
        });
}

// One after the other, some of them in the middle of the change that the last one set off.
void cascade(World& world) {
    const uint64_t count = world.random().between(2, 4);
    const Instant first = world.some_time(true);
    for (uint64_t n = 0; n < count; ++n) {
        const Instant when = first + Duration{n * world.random().magnitude(1'000, 8'000'000)};
        then(
            world, when, [&] { return world.random().chance(0.5) ? world.leader() : world.some_member(); },
            [&](Process& process) {
                if (world.random().chance(0.5)) return world.crash(process, world.some_death());
                world.crash_at_push(process, world.random().between(1, 30), world.random().chance(0.7),
                                    world.some_death());
            });
    }
}

void pauses(World& world) {
    for (uint64_t n = world.random().between(1, 4); n > 0; --n)
        then(
            world, world.some_time(), [&] { return world.some_member(); },
            [&](Process& process) { world.pause(process, world.random().magnitude(1'000'000, 40'000'000)); });
}

// A member whose heart beats, and which does nothing else any more: from some moment on, or in the middle of a change.
void stands_still(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.random().chance(0.4) ? world.leader() : world.some_member(); },
        [&](Process& process) {
            if (world.random().chance(0.4)) return world.stand_still(process);
            world.stand_still_at_push(process, world.random().between(1, 24));
            const auto all = world.members();
            if (all.size() > 4 && all.back() != &process && world.random().chance(0.5))
                world.crash(*all.back(), world.some_death());
            else
                world.start(world.nodes());
        });
}

// A member that gets no memory any more ends itself, when the next view comes, and takes nobody else for lost.
void short_of_memory(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.some_member(); },
        [&](Process& process) {
            process.fabric->no_memory = true;
            world.start(world.nodes());
        });
}

// One application stops to take, or to release; option slow_member_ms has its node removed.
void slow_member(World& world) {
    world.slow_after = milliseconds(12);
    when_healthy(
        world, world.some_time(true), [&] { return world.some_member(); },
        [&](Process& process) { world.stop_application(process, world.random().chance(0.5)); });
}

// One clock is set, forward or back, or all are, or a node comes whose clock is far from the others': it is not let in.
void clocks(World& world) {
    const auto far = [&world] {
        const auto off = static_cast<int64_t>(world.random().magnitude(100'000'000, 86'400'000'000'000));
        return world.random().chance(0.6) ? off : -std::min(off, static_cast<int64_t>(1ull << 50));
    };
    const bool joins = world.random().chance(0.5);
    when_healthy(
        world, world.some_time(true), [&] { return world.random().chance(0.4) ? world.leader() : world.some_member(); },
        [&world, far, joins](Process& process) {
            if (world.random().chance(0.2))
                world.set_all_clocks(far());
            else if (world.random().chance(0.8))
                world.set_clock(process, far());
            if (joins) world.at(after(world, 1'000, 10'000'000), [&world] { world.start(world.nodes()); });
            world.at(after(world, 1'000, 10'000'000), [&world, far] {
                if (Process* late = world.start(world.nodes() + 1)) world.set_clock(*late, far());
            });
        });
}

void partition(World& world) {
    for (uint64_t n = world.random().between(1, 2); n > 0; --n) {
        const Instant from = world.some_time();
        const Instant to = from + Duration{world.random().magnitude(1'000'000, 30'000'000)};
        const uint64_t group = world.random().between(1, (1ull << world.nodes()) - 2);
        const bool one_way = world.random().chance(0.3);
        for (uint32_t a = 0; a < world.nodes(); ++a)
            for (uint32_t b = 0; b < world.nodes(); ++b) {
                if ((group >> a & 1) == (group >> b & 1) || (one_way && (group >> a & 1) == 0)) continue;
                world.at(from, [&world, a, b] { world.network().block(NodeId{a}, NodeId{b}, true); });
                world.at(to, [&world, a, b] { world.network().block(NodeId{a}, NodeId{b}, false); });
            }
    }
}

void broken_connections(World& world) {
    for (uint64_t n = world.random().between(1, 3); n > 0; --n)
        world.at(world.some_time(), [&world] {
            Process* a = world.some_member();
            Process* b = world.some_member();
            if (!a || a == b) return;
            world.coverage().hit("connection of two live members broke");
            world.network().cut(*a->fabric, *b->fabric);
        });
}

// The leader and its heir lose each other in the middle of a change: each takes the other for dead, and both would
// lead.
void heir_falls_out(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.leader(); },
        [&](Process& leader) {
            const auto all = world.members();
            Process* const heir = all[1];
            if (all.size() > 4 && world.random().chance(0.5))
                world.crash(*all.back(), world.some_death());
            else
                world.start(world.nodes());
            const uint64_t most = world.random().chance(0.5) ? 30'000 : 300'000;
            world.at(after(world, 100, most), [&world, &leader, heir] {
                if (!leader.alive || !heir->alive) return;
                world.coverage().hit("leader and heir lost each other");
                world.network().cut(*leader.fabric, *heir->fabric);
            });
        });
}

void join_some(World& world, uint64_t count) {
    const Instant together = world.some_time();
    const bool all_at_once = world.random().chance(0.3);
    for (uint64_t n = 0; n < count; ++n) {
        const uint32_t node = world.nodes() + static_cast<uint32_t>(n);
        world.at(all_at_once ? together : world.some_time(), [&world, node] { world.start(node); });
    }
}

void joins(World& world) { join_some(world, world.random().between(1, 4)); }

void joiner_crashes(World& world) {
    const uint32_t node = world.nodes();
    when_healthy(
        world, world.some_time(true), [&] { return world.leader(); },
        [&world, node](Process&) {
            Process* joiner = world.start(node);
            if (!joiner) return;
            world.coverage().hit("joiner told to crash");
            if (world.random().chance(0.6)) {
                world.crash_at_push(*joiner, world.random().between(1, 60), false, world.some_death());
            } else {
                then(
                    world, after(world, 10'000, 10'000'000), [&world, node] { return world.alive(node); },
                    [&world](Process& process) { world.crash(process, world.some_death()); });
            }
            if (world.random().chance(0.5))
                world.at(after(world, 1'000'000, 10'000'000), [&world, node] { world.start(node); });
        });
}

// More come than there are members, and all of them die, or stand still, before they hold the state: the members go on.
void joiners_hang_up(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.leader(); },
        [&world](Process&) {
            const auto members = static_cast<uint32_t>(world.members().size());
            const uint32_t first = world.nodes();
            const bool stand = world.random().chance(0.3);
            world.on_install = [&world, first, stand](Process& process) {
                if (process.life.node >= first || process.life.incarnation > 1) return;
                const View newest = *process.group->view();
                world.at(world.now(), [&world, first, stand, newest] {
                    for (const Member& member : newest.members) {
                        Process* joiner =
                            raw(member.node) < first || member.votes ? nullptr : world.alive(raw(member.node));
                        if (!joiner || joiner->stands_still) continue;
                        world.coverage().hit("joiner hung up");
                        if (stand && joiner->view != 0) return world.stand_still(*joiner);
                        world.crash(*joiner, world.some_death());
                    }
                });
            };
            for (uint32_t n = 0; n <= members; ++n)
                world.at(after(world, 1'000, 2'000'000), [&world, node = first + n] { world.start(node); });
        });
}

void donor_crashes(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.leader(); },
        [&world](Process&) { world.start(world.nodes()); });
    auto done = std::make_shared<bool>(false);
    world.on_transfer = [&world, done](Process& donor, NodeId joiner) {
        if (*done || raw(joiner) != world.nodes()) return;
        *done = true;
        const Life life = donor.life;
        then(
            world, after(world, 1'000, 1'000'000),
            [&world, life]() -> Process* {
                Process* process = world.alive(life.node);
                return process && process->life == life ? process : nullptr;
            },
            [&world](Process& process) { world.crash(process, world.some_death()); });
    };
}

void leaves(World& world) {
    const uint64_t count = world.random().between(1, world.nodes());
    const Instant together = world.some_time();
    const bool all_at_once = world.random().chance(0.3);
    for (uint64_t n = 0; n < count; ++n)
        then(
            world, all_at_once ? together : world.some_time(),
            [&] { return world.random().chance(0.4) ? world.leader() : world.some_member(); },
            [&](Process& process) { world.leave(process); });
}

// Nodes die one at a time, each only when the one before was replaced.
void comes_and_goes(World& world) {
    world.restarts = true;
    const auto beat = std::make_shared<std::function<void()>>();
    *beat = [&world, weak = std::weak_ptr(beat)] {
        const auto all = world.members();
        if (all.size() == world.nodes() && world.healthy()) {
            Process& victim = *all[world.random().below(all.size())];
            if (world.random().chance(0.7))
                world.crash(victim, world.some_death());
            else
                world.leave(victim);
        }
        if (const auto self = weak.lock()) world.at(after(world, 1'000'000, 4'000'000), [self] { (*self)(); });
    };
    world.at(world.some_time(true), [beat] { (*beat)(); });
}

// Clients come, ask members and die, while members come and go as well.
void clients(World& world) {
    for (uint32_t n = 0; n < 2; ++n) {
        const uint32_t node = world.nodes() + 20 + n;
        world.at(world.some_time(true), [&world, node] {
            Process* client = world.start(node, true);
            if (!client || !world.random().chance(0.3)) return;
            then(
                world, after(world, 100'000, 10'000'000), [&world, node] { return world.alive(node); },
                [&world](Process& process) { world.crash(process, world.some_death()); });
        });
    }
    const uint64_t kind = world.random().below(4);
    if (kind == 0) crash_one(world);
    if (kind == 1) joins(world);
    if (kind == 2) comes_and_goes(world);
}

// One of the members writes what it likes, and while it does, the view changes for another reason as well, or not.
void liar(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.members().size() == world.nodes() ? world.liar() : nullptr; },
        [&](Process& process) {
            world.begin_to_lie(process);
            const Instant when = after(world, 1'000, 5'000'000);
            // Whose frames say more rounds than it means, or fewer, is stuck itself, as a slow application is.
            if (process.liar->about_frames())
                then(
                    world, after(world, 1'000, 10'000'000), [&world] { return world.liar(); },
                    [&world](Process& culprit) { world.crash(culprit, world.some_death()); });
            const bool first = world.leader() == &process;
            if (!first && !process.liar->about_frames() && world.random().chance(0.4)) {
                world.at(when, [&world] { world.start(world.nodes()); });
            } else if (world.nodes() >= 5 && world.random().chance(0.6)) {
                const bool leaves = world.random().chance(0.4);
                then(
                    world, when, [&] { return world.random().chance(0.5) ? world.leader() : world.some_member(); },
                    [&world, leaves](Process& other) {
                        if (other.liar) return;
                        return leaves ? world.leave(other) : world.crash(other, world.some_death());
                    });
            }
        });
}

// One replica answers otherwise than the others do, from some call on, and others join or not.
void replica_differs(World& world) {
    when_healthy(
        world, world.some_time(true), [&] { return world.some_member(); },
        [&](Process& process) {
            world.begin_to_differ(process);
            const Instant when = after(world, 1'000, 5'000'000);
            if (world.random().chance(0.3)) return world.at(when, [&] { world.start(world.nodes()); });
            const bool others_must_stay = world.digest().policy == DigestOptions::Policy::eject;
            if (others_must_stay || world.members().size() > 4 || world.random().chance(0.5)) return;
            then(  // those that are left may be no majority
                world, when, [&] { return world.some_member(); },
                [&](Process& other) {
                    if (!other.differs && world.healthy()) world.crash(other, world.some_death());
                });
        });
}

void chaos(World& world) {
    world.restarts = world.random().chance(0.7);
    const std::vector<std::function<void(World&)>> faults{
        crash_one, crash_leader_in_change, pauses, partition, broken_connections,
        joins,     joiner_crashes,         leaves, cascade};
    for (uint64_t n = world.random().between(2, 5); n > 0; --n) faults[world.random().below(faults.size())](world);
}

}  // namespace

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all{
        {.name = "steady", .plan = nullptr},
        {.name = "crash_one", .nodes_min = 3, .plan = crash_one},
        {.name = "crash_leader", .nodes_min = 3, .plan = crash_leader},
        {.name = "crash_leader_in_change", .nodes_min = 4, .plan = crash_leader_in_change},
        {.name = "cascade", .survives = false, .plan = cascade},
        {.name = "pauses", .survives = false, .rough_weather = true, .plan = pauses},
        {.name = "stands_still", .nodes_min = 4, .plan = stands_still},
        {.name = "short_of_memory", .nodes_min = 4, .plan = short_of_memory},
        {.name = "slow_member", .nodes_min = 3, .plan = slow_member},
        {.name = "clocks", .nodes_min = 3, .plan = clocks},
        {.name = "partition", .survives = false, .plan = partition},
        {.name = "heir_falls_out", .nodes_min = 4, .survives = false, .plan = heir_falls_out},
        {.name = "broken_connections", .survives = false, .plan = broken_connections},
        {.name = "joins", .nodes_max = 3, .plan = joins},
        {.name = "joiner_crashes", .nodes_min = 3, .plan = joiner_crashes},
        {.name = "joiners_hang_up", .nodes_min = 3, .plan = joiners_hang_up},
        {.name = "donor_crashes", .nodes_min = 3, .plan = donor_crashes},
        {.name = "leaves", .plan = leaves},
        {.name = "comes_and_goes", .nodes_min = 3, .plan = comes_and_goes},
        {.name = "clients", .nodes_min = 3, .plan = clients},
        {.name = "liar", .nodes_min = 3, .nodes_max = 6, .has_liar = true, .plan = liar},
        {.name = "replica_differs", .nodes_min = 3, .has_digests = true, .plan = replica_differs},
        {.name = "chaos", .survives = false, .rough_weather = true, .plan = chaos},
    };
    return all;
}

const Scenario& scenario(const std::string& name) {
    for (const Scenario& one : scenarios())
        if (one.name == name) return one;
    std::abort();
}

}  // namespace libderecho::sim
