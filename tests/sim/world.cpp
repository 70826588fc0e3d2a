#include "sim/world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace libderecho::sim {
namespace {

constexpr uint64_t kRingBytes = limits::ring_bytes_min;
constexpr uint64_t kMailBytes = 16 << 10;
constexpr Duration kHeartbeat = microseconds(500);
constexpr Duration kSuspectAfter = milliseconds(6);
constexpr uint64_t kSkewMax = 1'000'000;  // of wall clocks that are set right, ns
constexpr Duration kClockDrift = milliseconds(4);
constexpr Duration kRetryContact = microseconds(400);
constexpr Duration kPatience = milliseconds(400);  // after the last fault, to the end of all its consequences

std::string address_of(uint32_t node) { return "sim:" + std::to_string(node); }

Weather draw_weather(Random random, bool rough) {
    Weather weather;
    weather.delay_max_ns = random.magnitude(2'000, 40'000);
    weather.stall = random.chance(0.5) ? 0 : 0.003;
    weather.stall_max_ns = rough ? 15'000'000 : 1'500'000;
    weather.tear = random.chance(0.3) ? 0 : 0.2;
    weather.scatter = random.chance(0.3) ? 0 : 0.4;
    weather.copy_early = random.chance(0.3) ? 1 : 0.4;
    weather.mid_step = random.chance(0.3) ? 0 : 0.02;
    return weather;
}

Random stream(uint64_t seed, uint64_t number) { return Random(Random(seed * 1000 + number).next()); }

}  // namespace

World::World(uint64_t seed, const Scenario& scenario)
    : scenario_(scenario),
      random_(stream(seed, 0)),
      network_(stream(seed, 1).next(), draw_weather(stream(seed, 2), scenario.rough_weather)),
      nodes_(static_cast<uint32_t>(random_.between(scenario.nodes_min, scenario.nodes_max))),
      shards_(random_.chance(0.3) ? 2 : 1),
      ledger_(shards_),
      start_(network_.now()),
      faults_end_(start_ + Duration{random_.between(8'000'000, 30'000'000)}),
      theme_(random_.below(6)),
      hosts_(random_.chance(0.25)  ? 1
             : random_.chance(0.5) ? nodes_ + 8
                                   : 2),
      with_rpc_((random_.chance(0.5) && !scenario.has_liar) || scenario.has_digests),
      traced_(std::getenv("DERECHO_SIM_TRACE") != nullptr) {
    // Half of the drift from an honest clock; with a liar, what its messages may bear, and what a leader proposes then.
    const uint64_t lead = kSkewMax + (scenario.has_liar ? 7 : 1) * kClockDrift.ns / 2;
    ledger_.latest_time = [this, lead] {
        return std::max(clocks_led_ns_, now().ns + static_cast<uint64_t>(all_clocks_ns_)) + lead;
    };
    if (scenario.has_liar) liar_node_ = static_cast<uint32_t>(random_.below(nodes_));
    draw_digests(stream(seed, 3));
    network_.on_wake = [this](SimFabric& fabric) {
        for (const auto& process : processes_)
            if (process->fabric == &fabric)
                process->next_step = std::min(process->next_step, now() + Duration{random_.magnitude(100, 5'000)});
    };
}

World::~World() = default;

void World::draw_digests(Random random) {
    if (!with_rpc_ || (!scenario_.has_digests && !random.chance(0.4))) return;
    digest_.of = random.chance(0.5) ? DigestOptions::Of::answers : DigestOptions::Of::state;
    digest_.every = static_cast<uint32_t>(random.magnitude(1, 30));
    const uint64_t policy = random.below(3);
    digest_.policy = policy == 0   ? DigestOptions::Policy::report
                     : policy == 1 ? DigestOptions::Policy::eject
                                   : DigestOptions::Policy::stop;
}

void World::trace(const std::string& line) const {
    if (traced_) std::fprintf(stderr, "%10.3f us  %s\n", static_cast<double>((now() - start_).ns) / 1e3, line.c_str());
}

// ------------------------------------------------------------------------------------------------- what happens

void World::run() {
    for (uint32_t node = 0; node < nodes_; ++node)
        at(start_ + Duration{node == 0 ? 0 : random_.magnitude(1'000, 4'000'000)}, [this, node] { start(node); });
    if (scenario_.plan) scenario_.plan(*this);
    run_until(faults_end_);
    calm_down();
    const Instant end = now() + kPatience;
    std::optional<std::string> why = unsettled();
    while (why && now() < end) {
        run_until(now() + milliseconds(1));
        why = unsettled();
    }
    if (why) throw Violation("liveness: " + *why + "\n" + describe());
    final_checks();
}

void World::at(Instant when, std::function<void()> act) { actions_.push({when, actions_made_++, std::move(act)}); }

Instant World::some_time(bool early) {
    const uint64_t whole = (faults_end_ - start_).ns;
    return start_ + Duration{early ? random_.between(whole / 10, whole / 2) : random_.between(1'000'000, whole)};
}

void World::run_until(Instant end) {
    while (true) {
        Process* first = nullptr;
        for (const auto& process : processes_)
            if (process->alive && (!first || process->next_step < first->next_step)) first = process.get();
        const Instant step_at = first ? first->next_step : kNever;
        const Instant action_at = actions_.empty() ? kNever : actions_.top().at;
        const Instant next = std::max(now(), std::min({step_at, action_at, network_.next()}));
        if (next > end) break;
        network_.advance_to(next);
        if (action_at <= next) {
            auto act = actions_.top().act;
            actions_.pop();
            act();
        } else if (step_at <= next) {
            step(*first);
        }
    }
    network_.advance_to(end);
}

void World::step(Process& process) {
    if (now() < process.paused_until) {
        process.next_step = process.paused_until;
        return;
    }
    const Now clocks{now(),
                     static_cast<uint64_t>(static_cast<int64_t>(now().ns) + all_clocks_ns_ + process.clock_skew_ns)};
    const bool moved = process.rpc ? process.rpc->step(clocks) : process.group->step(clocks);
    if (!process.fabric->alive()) return bury(process, "crashed in the middle of a step");
    const bool acted = process.application->act(now());
    if (!process.fabric->alive()) return bury(process, "crashed while its application acted");
    note_differences(process);
    note_view(process);
    Instant next = std::min(process.group->next_deadline(), process.application->next_wish());
    if (moved || acted) next = now();
    process.next_step = std::max(next, now()) + Duration{random_.magnitude(200, 8'000)};
    if (next == kNever) process.next_step = kNever;
    after_step(process);
}

void World::note_view(Process& process) {
    const View* view = process.group->view();
    if (process.client || !view || raw(view->id) == process.view) return;
    process.view = raw(view->id);
    trace("node " + process.life.name() + " installs view " + std::to_string(process.view));
    const auto [known, fresh] = installed_.try_emplace(process.view, *view);
    if (fresh) note_kind_of_change(*view);
    if (!(known->second == *view))
        throw Violation("primary partition: node " + process.life.name() + " installed another view " +
                        std::to_string(process.view) + " than others");
    if (on_install) on_install(process);
}

void World::note_kind_of_change(const View& view) {
    const auto before = installed_.find(raw(view.id) - 1);
    if (before == installed_.end()) return;
    size_t joined = 0;
    for (const Member& member : view.members) joined += !before->second.holds(member.node, member.incarnation);
    if (joined > 1) coverage_.hit("several joined in one view");
    const auto votes = [](const View& of) { return std::ranges::count_if(of.members, &Member::votes); };
    if (joined == 0 && view.members.size() == before->second.members.size() && votes(view) == votes(before->second))
        coverage_.hit("view changed because its sequence numbers ran out");
}

// An ended process tells its application so and exits a while later.
void World::after_step(Process& process) {
    if (process.group->phase() != Group::Phase::ended) return;
    const Status& end = process.group->end();
    if (end.ok()) throw Violation("who ended knows why: node " + process.life.name());
    const bool honest_ended = scenario_.has_liar && !process.liar && end.code != DERECHO_CLOSED;
    if (honest_ended) throw Violation("nobody honest ends: node " + process.life.name() + ": " + end.detail + lied());
    // Where the slow are removed, one whose application slept for that long is.
    const bool slow = slow_after != Duration{} && end.detail.find("this node's own application") != std::string::npos;
    const bool reasonless = !process.liar && !slow && !process.application->stopped() && !process.differs;
    if (scenario_.survives && end.code == DERECHO_EJECTED && reasonless)
        throw Violation("nobody is suspected without reason: node " + process.life.name() + ": " + end.detail);
    const bool told = process.application->replica().closed || process.application->stopped();
    if (!told && process.view != 0) return;  // events are still to be taken
    trace("node " + process.life.name() + " ended: " + status_name(end.code) + ", " + end.detail);
    if (process.application->stopped() && end.code == DERECHO_EJECTED) note_slow(process);
    if (process.differs && end.code == DERECHO_EJECTED) {
        if (end.detail.find("differs from that of") == std::string::npos)
            throw Violation("an ejected node knows it, and why: node " + process.life.name() + ": " + end.detail);
        coverage_.hit("ejected because its replica differed");
    }
    if (end.code == DERECHO_DIFFERS) coverage_.hit("stopped because replicas differed");
    if (end.code == DERECHO_NO_MAJORITY) coverage_.hit("stopped without majority");
    if (end.code == DERECHO_EJECTED) coverage_.hit(process.was_paused ? "ejected after a pause" : "ejected");
    if (end.code == DERECHO_NO_MEMORY) coverage_.hit("ended for want of memory");
    if (end.code == DERECHO_STATE_LOST) coverage_.hit("state lost");
    if (end.code == DERECHO_DUPLICATE) coverage_.hit("refused as a duplicate");
    if (end.code == DERECHO_CLOSED) coverage_.hit("left");
    network_.kill(*process.fabric, Death::clean);
    bury(process, "exited");
}

void World::bury(Process& process, const char* how) {
    trace("node " + process.life.name() + " " + how);
    if (changing()) coverage_.hit("died during a view change");
    if (changing() && process.view + 1 >= installed_.rbegin()->first && was_leader(process) &&
        process.group->phase() == Group::Phase::member)
        coverage_.hit("leader crashed in a view change");
    if (process.group->stats().null_messages > 0) coverage_.hit("rounds were skipped");
    process.alive = false;
    process.application->drop();
    process.rpc.reset();
    process.group.reset();
    if (restarts && !calming_ && !process.client) maybe_restart(process.life.node);
}

bool World::was_leader(const Process& process) const {
    const auto view = installed_.find(process.view);
    return view != installed_.end() && raw(view->second.members.front().node) == process.life.node;
}

void World::maybe_restart(uint32_t node) {
    at(now() + Duration{random_.magnitude(10'000, 8'000'000)}, [this, node] {
        if (!calming_ && start(node)) coverage_.hit("a node came back as a new life");
    });
}

// ------------------------------------------------------------------------------------------------- processes

Manners World::draw_manners() {
    Manners manners;
    manners.send_pause_ns = random_.magnitude(20'000, 2'000'000);
    manners.burst_max = static_cast<uint32_t>(random_.magnitude(1, 32));
    manners.batch_max = static_cast<uint32_t>(random_.magnitude(1, 128));
    if (random_.chance(0.2)) manners.send_pause_ns = 0;
    manners.calls.removed_is_wrong = !scenario_.plan;
    manners.calls.alike = digest_.of != DigestOptions::Of::off;
    if (random_.chance(0.5)) manners.memory_pause_ns = random_.chance(0.5) ? 0 : 50'000;
    if (random_.chance(0.3)) manners.calls.query_pause_ns = random_.chance(0.5) ? 0 : 20'000;
    if (theme_ == 1) manners.calls.reply_bytes_max = 4'000;
    if (theme_ == 1) {  // large messages: rings wrap
        manners.size_max = 8'000;
        manners.huge = 0.03;
        manners.burst_max = 8;
    }
    if (theme_ == 2) {  // slow consumers
        manners.sleepy = random_.chance(0.5) ? 0.05 : 0;
        manners.sleep_ns = 4'000'000;
        manners.size_max = 2'000;
    }
    if (theme_ == 3) {  // much is held
        manners.hold_claim = 0.3;
        manners.hold_claim_ns = 4'000'000;
        manners.hold_lease = 0.5;
        manners.hold_lease_ns = 2'000'000;
    }
    if (theme_ == 4) manners.send_pause_ns = random_.chance(0.5) ? 30'000 : 0;  // one or few senders
    return manners;
}

Process* World::alive(uint32_t node) {
    for (const auto& process : processes_)
        if (process->alive && process->life.node == node) return process.get();
    return nullptr;
}

// A liar shares memory with nobody: what it wrote there could not be told from what left it.
uint32_t World::host_of(uint32_t node) const { return node == liar_node_ ? 1'000 : node % hosts_; }

void World::begin_to_lie(Process& process) {
    process.liar = std::make_shared<Liar>(random_.fork(), shards_, kRingBytes);
    process.fabric->on_bytes = [liar = process.liar](RegionId region, size_t offset, std::span<std::byte> bytes) {
        liar->distort(region, offset, bytes);
    };
    process.liar->now = [this] { return now(); };
    ledger_.lies(process.life);
    const View& view = *process.group->view();
    process.liar->begin(view, *view.rank_of(NodeId{process.life.node}), *process.fabric);
    lie_ = process.liar->lie();
    trace("node " + process.life.name() + " lies: " + lie_);
}

void World::begin_to_differ(Process& process) {
    trace("the replica of node " + process.life.name() + " differs from now on");
    process.differs = true;
    process.application->begin_to_differ();
}

bool World::differs(uint32_t node) const {
    return std::ranges::any_of(processes_, [&](const auto& p) { return p->differs && p->life.node == node; });
}

// Nobody honest is taken for one that differs.
void World::note_differences(const Process& process) {
    for (const uint32_t node : process.application->differing()) {
        const bool split = node == DERECHO_ANY_NODE;
        const bool any = std::ranges::any_of(processes_, [](const auto& p) { return p->differs; });
        if (split ? !any : !differs(node))
            throw Violation("only replicas that differ are named: node " + process.life.name() + " named " +
                            std::to_string(node));
        if (!split)
            coverage_.hit(node == process.life.node ? "a replica learned that it differs"
                                                    : "a replica that differs was named");
    }
}

// Why what a replica has answered must have been noticed, and was not.
std::optional<std::string> World::unnoticed() {
    for (const auto& culprit : processes_) {
        if (!culprit->differs || !culprit->alive || !culprit->group) continue;
        if (culprit->application->wrong_answers() < 2ull * digest_.every * shards_) continue;
        const std::string who = "the replica of node " + culprit->life.name() + " differs, and ";
        const auto all = members();
        const auto told_of = [&](uint32_t node) {
            return std::ranges::all_of(
                all, [&](Process* process) { return process->application->differing().contains(node); });
        };
        const bool split = told_of(DERECHO_ANY_NODE);
        if (!split && !told_of(culprit->life.node)) return who + "somebody was not told";
        const bool stays = digest_.policy == DigestOptions::Policy::report ||
                           (digest_.policy == DigestOptions::Policy::eject && split);
        if (!stays) return who + "it goes on";
    }
    return std::nullopt;
}

Process* World::start(uint32_t node, bool client) {
    if (alive(node)) return nullptr;
    const Life life{node, ++incarnations_[node]};
    auto made = std::make_unique<Process>();
    Process& process = *made;
    process.life = life;
    process.client = client;
    process.fabric = &network_.start({NodeId{node}, life.incarnation, address_of(node), host_of(node), client});
    process.clock_skew_ns = static_cast<int64_t>(random_.between(0, 2 * kSkewMax)) - static_cast<int64_t>(kSkewMax);
    process.fabric->set_clock(all_clocks_ns_ + process.clock_skew_ns);  // it can be reached before its first step
    GroupOptions options;
    options.self = NodeId{node};
    options.incarnation = life.incarnation;
    options.client = client;
    options.address = address_of(node);
    // Only the first life of node 0 founds the group (founding_test.cpp has the other ways).
    options.found = node == 0 && life.incarnation == 1;
    options.new_group = {life.incarnation, node + 1};
    for (uint32_t n = 0; n < contacts() && !options.found; ++n)
        if (n != node) options.contacts.push_back(address_of(n));
    options.slow_after = slow_after;
    options.digest = digest_;
    for (uint32_t k = 0; k < shards_; ++k) options.services.push_back({"service" + std::to_string(k), k});
    options.ring_bytes = kRingBytes;
    options.message_max_bytes = kRingBytes / limits::ring_share;
    if (theme_ == 5) options.sequence_max = 300;
    options.heartbeat = kHeartbeat;
    options.suspect_after = kSuspectAfter;
    options.retry_contact = kRetryContact;
    options.clock_drift = kClockDrift;
    const Now clocks{now(), now().ns};
    process.group = std::make_unique<Group>(options, *process.fabric, clocks);
    if (with_rpc_) process.rpc = std::make_unique<Rpc>(*process.group, kMailBytes);
    process.application = std::make_unique<Application>(life, *process.group, process.rpc.get(), ledger_, memory_users_,
                                                        coverage_, draw_manners(), random_.fork());
    if (node == liar_node_) ledger_.may_lie(life);
    if (calming_) process.application->calm_down(now());
    process.application->on_state_request = [this, &process](NodeId joiner, uint32_t shard, ViewId request,
                                                             const State& state) {
        send_state(process, joiner, shard, request, state);
    };
    process.next_step = now() + Duration{random_.magnitude(200, 50'000)};
    processes_.push_back(std::move(made));
    trace("node " + life.name() + " starts");
    return &process;
}

void World::crash(Process& process, Death death) {
    if (!process.alive) return;
    network_.kill(*process.fabric, death);
    bury(process, death == Death::silent ? "crashed silently" : "crashed");
}

void World::crash_at_push(Process& process, uint64_t count, bool of_rows_only, Death death) {
    auto left = std::make_shared<uint64_t>(count);
    process.fabric->on_post = [this, &process, left, of_rows_only, death](const SimFabric::Post& post) {
        if (of_rows_only && (post.kind == SimFabric::Post::Kind::flush || post.region_bytes >= kRingBytes)) return;
        if (*left == 0 || --*left > 0) return;
        network_.kill(*process.fabric, death);
    };
}

void World::set_clock(Process& process, int64_t off_ns) {
    trace("the clock of node " + process.life.name() + " is set " + std::to_string(off_ns) + " ns off");
    process.clock_skew_ns = off_ns;
}

void World::set_all_clocks(int64_t by_ns) {
    trace("all clocks are set by " + std::to_string(by_ns) + " ns");
    clocks_led_ns_ = std::max(clocks_led_ns_, now().ns + static_cast<uint64_t>(all_clocks_ns_));
    all_clocks_ns_ += by_ns;
    // What was stamped with a time that goes on from there is later than it by a little.
    if (by_ns < 0) clocks_led_ns_ += kClockDrift.ns;
}

void World::pause(Process& process, uint64_t for_ns) {
    trace("node " + process.life.name() + " pauses for " + std::to_string(for_ns / 1000) + " us");
    process.paused_until = now() + Duration{for_ns};
    process.was_paused = true;
}

void World::stand_still(Process& process) {
    if (!process.alive) return;
    trace("node " + process.life.name() + " stands still, but for its heart");
    coverage_.hit("a member stood still");
    if (changing()) coverage_.hit("a member stood still in a view change");
    process.stands_still = true;
    process.alive = false;
    process.application->drop();
    beat_on(process);
}

void World::stand_still_at_push(Process& process, uint64_t count) {
    auto left = std::make_shared<uint64_t>(count);
    process.fabric->on_post = [this, &process, left](const SimFabric::Post& post) {
        if (post.kind == SimFabric::Post::Kind::flush || post.region_bytes >= kRingBytes) return;
        if (*left == 0 || --*left > 0) return;
        at(now(), [this, &process] { stand_still(process); });
    };
}

void World::beat_on(Process& process) {
    if (!process.fabric->alive()) return;
    const ViewChangeColumns columns(installed_.at(process.view).members.size(), 0);
    for (const auto& region : process.fabric->regions()) {
        if (region->id.value != process.view << 8) continue;
        auto* heartbeat = reinterpret_cast<uint64_t*>(region->bytes().data() + columns.heartbeat);
        publish(heartbeat, *heartbeat + 1);
        process.fabric->push_quietly(*region, columns.heartbeat, sizeof *heartbeat);
    }
    process.fabric->flush();
    at(now() + kHeartbeat, [this, &process] { beat_on(process); });
}

void World::stop_application(Process& process, bool takes_on) {
    trace("the application of node " + process.life.name() + (takes_on ? " keeps what it takes" : " stops"));
    process.application->stop(takes_on);
}

// Whoever is removed for its application's sake finds out.
void World::note_slow(const Process& process) {
    const std::string& why = process.group->end().detail;
    if (why.find("this node's own application") == std::string::npos)
        throw Violation("an ejected node knows it, and why: node " + process.life.name() + ": " + why);
    coverage_.hit(why.find("not polled") != std::string::npos ? "ejected for not polling"
                                                              : "ejected for not releasing");
}

void World::leave(Process& process) {
    if (!process.member() || process.leaving) return;
    trace("node " + process.life.name() + " leaves");
    process.leaving = true;
    ledger_.leaves(process.life);
    process.group->leave();
    process.next_step = now();
}

Death World::some_death() {
    const uint64_t n = random_.below(4);
    return n == 0 ? Death::clean : n == 1 ? Death::silent : Death::cut;
}

std::vector<Process*> World::members() {
    std::vector<Process*> found;
    if (installed_.empty()) return found;
    for (const Member& member : installed_.rbegin()->second.members) {
        Process* process = alive(raw(member.node));
        if (process && process->life.incarnation == member.incarnation && process->member()) found.push_back(process);
    }
    return found;
}

Process* World::leader() {
    const auto all = members();
    return all.empty() ? nullptr : all.front();
}

Process* World::some_member() {
    const auto all = members();
    return all.empty() ? nullptr : all[random_.below(all.size())];
}

bool World::changing() const {
    for (const auto& process : processes_)
        if (process->alive && process->view != 0 && process->view != installed_.rbegin()->first) return true;
    return false;
}

bool World::healthy() {
    const auto all = members();
    if (changing() || all.size() < 3 || all.size() != installed_.rbegin()->second.members.size()) return false;
    if (!std::ranges::all_of(installed_.rbegin()->second.members, &Member::votes)) return false;
    for (const auto& process : processes_)
        if (process->alive && !process->client && std::find(all.begin(), all.end(), process.get()) == all.end())
            return false;
    return std::all_of(all.begin(), all.end(), [&](Process* process) {
        if (process->leaving) return false;
        const auto& replica = process->application->replica();
        return raw(replica.view.id) == process->view &&
               std::all_of(replica.has_state.begin(), replica.has_state.end(), [](bool has) { return has; });
    });
}

// ------------------------------------------------------------------------------------------------- state transfer

void World::send_state(Process& donor, NodeId joiner, uint32_t shard, ViewId request, const State& state) {
    trace("node " + donor.life.name() + " sends its state of shard " + std::to_string(shard) + " to node " +
          std::to_string(raw(joiner)));
    if (on_transfer) on_transfer(donor, joiner);
    if (with_rpc_) return;
    auto copy = std::make_shared<State>(state);
    at(now() + Duration{random_.magnitude(5'000, 3'000'000)},
       [this, from = donor.life, joiner, shard, request, copy] { state_arrives(from, joiner, shard, request, copy); });
}

void World::state_arrives(Life donor, NodeId joiner, uint32_t shard, ViewId request, std::shared_ptr<State> state) {
    const Process* sender = alive(donor.node);
    const bool donor_lives = sender && sender->life == donor;
    if (!donor_lives) coverage_.hit("donor died during the transfer");
    if (!donor_lives && random_.chance(0.5)) return;  // it had not sent everything
    Process* process = alive(raw(joiner));
    if (!process || process->view < raw(request)) {
        if (!process) coverage_.hit("joiner died during the transfer");
        if (process && donor_lives)
            at(now() + microseconds(100), [=, this] { state_arrives(donor, joiner, shard, request, state); });
        return;
    }
    const bool early = now() < process->paused_until ||
                       !process->application->state_arrived(shard, request, NodeId{donor.node}, *state);
    if (early)
        at(now() + microseconds(100), [=, this] { state_arrives(donor, joiner, shard, request, state); });
    else
        process->next_step = std::min(process->next_step, now());
}

// ------------------------------------------------------------------------------------------------- the end

void World::calm_down() {
    trace("faults end");
    calming_ = true;
    for (const auto& process : processes_) {
        if (!process->alive) continue;
        for (const auto& other : processes_)
            network_.block(NodeId{process->life.node}, NodeId{other->life.node}, false);
        process->fabric->on_post = nullptr;
        process->paused_until = now();
        process->next_step = now();
        process->application->calm_down(now());
    }
}

// The newest view has lost half or more of its members: whoever is left of it cannot go on.
bool World::group_is_lost() {
    if (installed_.empty()) return !alive(0) || alive(0)->life.incarnation != 1;
    const View& newest = installed_.rbegin()->second;
    const auto in = members();
    const auto votes = [](const Member& member) { return member.votes; };
    const auto is_there = [&](const Member& member) {
        const Life life{raw(member.node), member.incarnation};
        return member.votes && std::ranges::any_of(in, [&](Process* process) { return process->life == life; });
    };
    return 2 * std::ranges::count_if(newest.members, is_there) <= std::ranges::count_if(newest.members, votes);
}

// A joiner can only find the group through its contacts, which are the first few nodes.
bool World::knows_a_member() {
    const auto all = members();
    return std::any_of(all.begin(), all.end(), [&](Process* process) { return process->life.node < contacts(); });
}

std::optional<std::string> World::unsettled() {
    const bool lost = group_is_lost();
    std::vector<Process*> left;
    const auto is_stopped = [](Process* process) { return process->application->stopped(); };
    const bool answers = std::ranges::none_of(members(), is_stopped);  // all of them do
    for (const auto& process : processes_) {
        if (!process->alive || process->liar) continue;
        const std::string who = (process->client ? "client " : "node ") + process->life.name();
        if (process->client) {
            if (lost || !knows_a_member()) continue;
            if (process->group->phase() != Group::Phase::client) return who + " has found nobody";
            if (const char* busy = process->application->busy()) return who + " has not done all its work: " + busy;
            if (!(process->application->replica().view == installed_.rbegin()->second))
                return who + " was not told of the last view";
            continue;
        }
        if (lost) {
            if (process->group->phase() == Group::Phase::joining) continue;
            return who + " goes on though the group is lost";
        }
        if (process->group->phase() == Group::Phase::ended) return who + " ended, but its application was not told";
        if (process->group->phase() == Group::Phase::joining && !knows_a_member()) continue;
        const auto lacks = [](const Process* member) { return member->fabric->no_memory; };
        if (!process->member() && std::ranges::any_of(members(), lacks)) continue;  // it may have been turned away
        if (!process->member()) return who + " has not joined: " + process->group->end().detail;
        if (process->application->stopped()) continue;
        if (const char* busy = process->application->busy(); busy && answers)
            return who + " has not done all its work: " + busy;
        left.push_back(process.get());
    }
    if (lost || installed_.empty()) return std::nullopt;
    if (auto why = unnoticed()) return why;
    auto in_view = members();
    const View& newest = installed_.rbegin()->second;
    if (in_view.size() + standing_still(newest) != newest.members.size())
        return "the last view, " + std::to_string(raw(newest.id)) + ", still has dead members";
    std::erase_if(in_view, [](Process* process) { return process->application->stopped(); });
    const auto liars = std::ranges::count_if(in_view, [](const Process* process) { return process->liar != nullptr; });
    if (in_view.size() != left.size() + static_cast<size_t>(liars)) return "some live node is in no view";
    if (!std::ranges::all_of(newest.members, &Member::votes) && standing_still(newest) == 0 && liars == 0)
        return "not all members vote in the last view, " + std::to_string(raw(newest.id));
    for (Process* process : left) {
        const auto& replica = process->application->replica();
        if (!(replica.view == newest)) return "node " + process->life.name() + " has not taken the last view";
        for (uint32_t shard = 0; shard < shards_; ++shard) {
            if (!replica.has_state[shard]) return "node " + process->life.name() + " has no state";
            // Nobody else says when a liar has said its last.
            if (replica.states[shard].messages != left.front()->application->replica().states[shard].messages)
                return "node " + process->life.name() + " has taken more or less than others";
        }
        try {
            for (Process* sender : left) ledger_.check_all_delivered(sender->life, replica);
            for (const Life& sender : ledger_.departed()) ledger_.check_all_delivered(sender, replica);
        } catch (const Violation& missing) {
            return missing.what();
        }
    }
    return std::nullopt;
}

// Those for whom nobody waits may stay.
size_t World::standing_still(const View& view) const {
    return static_cast<size_t>(std::ranges::count_if(processes_, [&](const auto& process) {
        return process->stands_still && view.holds(NodeId{process->life.node}, process->life.incarnation);
    }));
}

void World::final_checks() {
    if (group_is_lost()) {
        bool all_left = true;
        for (const auto& process : processes_)
            if (process->view == installed_.rbegin()->first) all_left = all_left && process->leaving;
        coverage_.hit(all_left ? "the whole group left" : "the group was lost");
        const bool told_to = digest_.policy == DigestOptions::Policy::stop &&
                             std::ranges::any_of(processes_, [](const auto& p) { return p->differs; });
        if (scenario_.survives && !all_left && !told_to)
            throw Violation("liveness: the group ended though it could go on\n" + describe());
    }
    ledger_.check_chain();
    auto left = members();
    std::erase_if(left, [](Process* process) { return process->application->stopped(); });
    std::erase_if(left, [](const Process* process) { return process->liar != nullptr; });
    for (Process* process : left)
        ledger_.check_equal(left.front()->application->replica(), process->application->replica());
}

std::string World::lied() const { return lie_.empty() ? "" : "; the lie was: " + lie_; }

std::string World::describe() const {
    std::string text = lied().empty() ? "" : "  the lie was: " + lie_ + "\n";
    for (const auto& process : processes_) {
        text += "  node " + process->life.name() + " view " + std::to_string(process->view) + " taken " +
                std::to_string(raw(process->application->replica().view.id));
        if (process->alive) {
            static constexpr const char* phases[] = {"joining", "client", "member", "ended"};
            text += std::string(" ") + phases[static_cast<int>(process->group->phase())] + " " +
                    process->group->end().detail;
        } else {
            text += " dead";
        }
        text += "\n";
    }
    return text;
}

std::string World::summary() const {
    return std::to_string(processes_.size()) + " processes, " + std::to_string(ledger_.views()) + " views, " +
           std::to_string(ledger_.messages()) + " messages, " + std::to_string((now() - start_).ns / 1000) + " us";
}

}  // namespace libderecho::sim
