#include "group/group.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/coverage.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

constexpr uint32_t kMailChannel = 0;
// The columns of the view change are read every so many steps while nothing happens: they are lines of their own.
constexpr uint32_t kLookEvery = 8;
constexpr size_t kLivesRemembered = 256;
// Who joins may be held up, as a member may, and is patient with.
constexpr uint64_t kSilencesOfNewcomer = 5;
constexpr Duration kSilenceOfNewcomerAtLeast = milliseconds(5000);
// Of suspect_after: a member that shows signs of life and does nothing else is suspected, too.
constexpr uint64_t kStandstillsAtMost = 3;
constexpr uint64_t kNamedAfter = 4;  // a fraction of it: a holdup is told

Holdups::Limits holdup_limits(const GroupOptions& options) {
    return {
        {options.suspect_after.ns / kNamedAfter}, {options.suspect_after.ns * kStandstillsAtMost}, options.slow_after};
}
constexpr size_t kTroublesRemembered = 16;

std::string name(NodeId node) { return "node " + std::to_string(raw(node)); }

}  // namespace

Group::Group(GroupOptions options, Fabric& fabric, Now now, MarkerStore* store)
    : options_(std::move(options)),
      fabric_(fabric),
      mail_(fabric, options_.incarnation, kMailChannel, kMailBytes),
      clock_(options_.clock_drift),
      clocks_(clock_, options_.suspect_after),
      founding_(options_, store, mail_),
      admissions_(options_.retry_contact),
      newcomers_(Duration{std::max(kSilencesOfNewcomer * options_.suspect_after.ns, kSilenceOfNewcomerAtLeast.ns)}),
      holdups_(holdup_limits(options_)) {
    joining_.emplace(options_, fabric_, mail_, founding_);
    for (size_t k = 0; k < options_.services.size(); ++k) {
        senders_.push_back(std::make_unique<RingWriter>(options_.ring_bytes));
    }
    (void)now;
}

Group::~Group() = default;

bool Group::step(Now now) {
    moved_ = false;
    clock_.read(now);
    if (joining_) fabric_.set_clock(clock_.offset());  // it may be shown in this very step
    poll_fabric(now);
    moved_ |= mail_.step(now.wall_ns);
    read_letters(now);
    if (leases_.any_released()) moved_ |= leases_.retire();
    if (loading_ != 0) note_loaded();
    if (joining_) step_joining(now);
    if (phase() == Phase::member && now.monotonic >= next_seek_) seek_contacts(now);
    if (phase() == Phase::member) step_member(now);
    if (!buried_.empty()) bury_epochs();
    fabric_.flush();
    return moved_;
}

Instant Group::next_deadline() const {
    Instant next = kNever;
    if (joining_) next = std::min(next, joining_->next_deadline());
    if (phase() == Phase::member) {
        Epoch& epoch = *epochs_.back();
        next = std::min({next, next_seek_, turn_, epoch.change().next_deadline()});
        for (size_t k = 0; k < epoch.shard_count(); ++k) next = std::min(next, epoch.shard(k).next_deadline());
    }
    return next;
}

// ------------------------------------------------------------------------------------------------ peers and letters

void Group::poll_fabric(Now now) {
    peer_events_.clear();
    fabric_.poll(now.monotonic, peer_events_);
    if (const Status* lacking = fabric_.lacking()) [[unlikely]]
        end_for_lack(lacking->detail);
    for (const PeerEvent& event : peer_events_) {
        moved_ = true;
        peer_events_for_rpc_.push_back(event);
        newcomers_.peer_event(event, now.monotonic);
        if (event.kind == PeerEvent::Kind::up) {
            mail_.peer_up(event.peer, event.incarnation);
            up_.emplace_back(event.peer, event.incarnation);
            std::erase(lost_, up_.back());  // of the link that was lost, that life never knew
            if (event.client) clients_.push_back(event.peer);
            if (event.client && !epochs_.empty()) write_view(mail_, event.peer, current().view());
        }
        if (event.kind == PeerEvent::Kind::lost && event.status.code == DERECHO_NO_MEMORY &&
            needs(event.peer, event.incarnation))
            end_for_lack(event.status.detail);
        if (event.kind == PeerEvent::Kind::other_group) {
            coverage::hit(coverage::Branch::other_group_met);
            note_trouble(event.status.detail);
        }
        if (event.kind == PeerEvent::Kind::refused && phase() == Phase::member &&
            event.status.code == DERECHO_INCOMPATIBLE)
            note_trouble(event.address + ": " + event.status.detail);
        if (event.kind == PeerEvent::Kind::lost) {
            if (joining_) {  // the last member of a group may have said that it is over
                moved_ |= mail_.step(now.wall_ns);
                read_letters(now);
            }
            mail_.peer_lost(event.peer);
            std::erase(clients_, event.peer);
            admissions_.forget(event.peer);
            note_lost(event.peer, event.incarnation);
            if (phase() == Phase::member && current().view().holds(event.peer, event.incarnation)) {
                current().rows().refresh();  // its last word may be the first that is seen of it
                current().change().lost(raw(*current().view().rank_of(event.peer)), event.status.detail);
                steps_to_look_ = 0;
            }
        }
        if (joining_) joining_->peer_event(event);
    }
    for (NodeId peer : mail_.take_unserved()) lacks_memory_for(peer);
    for (NodeId offender : mail_.take_offenders()) expel(offender, "its mail breaks the rules");
}

// A member of its view, or, for who is not in one, a contact.
bool Group::needs(NodeId node, uint64_t incarnation) const {
    if (phase() == Phase::member) return epochs_.back()->view().holds(node, incarnation);
    return phase() == Phase::joining;
}

// What fails here must not be taken for the others' fault: they are well, and go on.
void Group::end_for_lack(const std::string& of_what) {
    if (phase() == Phase::ended) return;
    log::warn(name(options_.self) + " cannot go on: " + of_what);
    finish_with(failure(DERECHO_NO_MEMORY, "this node cannot go on, the others do: " + of_what));
}

void Group::lacks_memory_for(NodeId node) {
    const auto life = std::ranges::find_if(up_, [&](const auto& up) { return up.first == node; });
    if (life == up_.end()) return;
    const uint64_t incarnation = life->second;
    if (needs(node, incarnation)) return end_for_lack(fabric_.why_not_exposed());
    log::warn(name(node) + " is turned away: " + fabric_.why_not_exposed());
    cut_off(node, incarnation, "this node has no memory for it");
}

// A member that was never linked may have been turned away for want of descriptors: it is not to blame.
void Group::look_for_shortage(Now now) {
    const Fabric::Shortage shortage = fabric_.shortage();
    if (shortage.why.empty() || shortage.at < entered_) return;
    if (now.monotonic - entered_ < Duration{options_.suspect_after.ns / 2}) return;
    for (const Member& member : current().view().members) {
        if (member.node == options_.self || is_up(member) || is_lost(member)) continue;
        return end_for_lack("it has no link with " + name(member.node) + ": " + shortage.why);
    }
}

void Group::note_lost(NodeId node, uint64_t incarnation) {
    std::erase(up_, std::pair{node, incarnation});
    if (lost_.size() >= kLivesRemembered) lost_.erase(lost_.begin());
    lost_.emplace_back(node, incarnation);
}

// This life of it: another may be connected by now, or still.
bool Group::is_up(const Member& member) const {
    return std::ranges::find(up_, std::pair{member.node, member.incarnation}) != up_.end();
}

bool Group::is_lost(const Member& member) const {
    return std::ranges::find(lost_, std::pair{member.node, member.incarnation}) != lost_.end();
}

void Group::read_letters(Now now) {
    Mail::Letter letter;
    while (mail_.read(letter)) {
        moved_ = true;
        newcomers_.heard_from(letter.from, now.monotonic);
        read_letter(letter, now.monotonic);
        mail_.done(letter);
    }
}

void Group::read_letter(const Mail::Letter& letter, Instant now) {
    const auto kind = static_cast<Letter>(letter.kind);
    if (kind == Letter::join)
        return phase() == Phase::member ? answer_join(letter, now) : answer_join_from_outside(letter);
    if (options_.client && kind == Letter::view) return client_takes(letter);
    if (joining_) return joining_->letter(letter);
    if (kind != Letter::member_of || phase() != Phase::member) return;
    ByteReader in(letter.bytes);
    if (const GroupId group = read_group(in); in.finished()) meet_other_group(letter.from, group);
}

// Only a member's word counts, and of the group that was met first.
void Group::client_takes(const Mail::Letter& letter) {
    auto view = read_view(letter.bytes);
    const auto sender = std::ranges::find(up_, letter.from, [](const auto& up) { return up.first; });
    if (!view || sender == up_.end() || !view->holds(letter.from, sender->second)) return;
    if (client_view_ && view->group != client_view_->group) return meet_other_group(letter.from, view->group);
    if (client_view_ && raw(view->id) <= raw(client_view_->id)) return;
    client_view_ = std::move(view);
    client_view_new_ = true;
    tell_fabric(*client_view_);
    for (const Member& member : client_view_->members) {
        drop_earlier_life(member);
        if (!is_up(member)) fabric_.connect(member.address);
    }
}

void Group::answer_join_from_outside(const Mail::Letter& letter) {
    if (joining_) joining_->letter(letter);
    ByteWriter body;
    encode(body, founding_.standing());
    write_letter(mail_, letter.from, Letter::outside, body);
}

// ------------------------------------------------------------------------------------------------ other groups

// Two groups of one name are the worst that can happen: both may accept writes. Who meets the other says so.
void Group::meet_other_group(NodeId node, GroupId theirs) {
    const GroupId ours = view() ? view()->group : GroupId{};
    if (!ours || theirs == ours) return;
    coverage::hit(coverage::Branch::other_group_met);
    note_trouble("there are two groups of this name: " + name(options_.self) + " is in " + to_text(ours) + ", " +
                 name(node) + " in " + to_text(theirs) +
                 "; end one of them, or give it another name with option group");
    if (!options_.client) write_group(mail_, node, Letter::member_of, ours);
}

void Group::note_trouble(const std::string& text) {
    if (std::ranges::find(troubles_, text) != troubles_.end()) return;
    if (troubles_.size() >= kTroublesRemembered) troubles_.erase(troubles_.begin());
    troubles_.push_back(text);
    log::warn(text);
}

// Whoever this node was told of and that is in no view of its group: nobody else would notice that there are two.
void Group::seek_contacts(Now now) {
    next_seek_ = now.monotonic + options_.seek_contacts;
    const View& view = current().view();
    const auto look_for = [&](const std::string& address) {
        if (address == options_.address ||
            std::ranges::find(view.members, address, &Member::address) != view.members.end())
            return;
        fabric_.connect(address);
    };
    for (const std::string& address : options_.contacts) look_for(address);
    for (const std::string& address : options_.initial_members) look_for(address);
    for (const auto& [node, incarnation] : up_)
        if (!view.rank_of(node) && std::ranges::find(clients_, node) == clients_.end())
            write_group(mail_, node, Letter::member_of, view.group);
}

void Group::answer_join(const Mail::Letter& letter, Instant now) {
    ByteReader in(letter.bytes);
    Member joiner{letter.from, in.number<uint64_t>(), 0, in.text(limits::address_bytes - 1)};
    Outsider standing;
    if (!decode(in, standing) || !in.finished()) return expel(letter.from, "its request to join is malformed");
    if (is_lost(joiner)) return;  // its last letter is read after its death
    const View& view = current().view();
    if (const GroupId bound = standing.marker.known.group; bound && bound != view.group)
        return write_group(mail_, letter.from, Letter::member_of, view.group);
    if (view.holds(joiner.node, joiner.incarnation)) return write_view(mail_, letter.from, view);
    ViewChange& change = current().change();
    if (!change.leads()) {
        ByteWriter body;
        encode(body, view.group);
        body.text(view.members[change.leader()].address);
        return write_letter(mail_, letter.from, Letter::leader, body);
    }
    if (const auto rank = view.rank_of(joiner.node); rank && has(change.alive(), raw(*rank)))
        return refuse_join(letter.from, DERECHO_DUPLICATE,
                           "a live member of the group has node id " + std::to_string(raw(joiner.node)) + ", at " +
                               view.members[raw(*rank)].address + "; choose another id");
    if (count(change.alive()) >= options_.members_max)
        return refuse_join(letter.from, DERECHO_TOO_LARGE,
                           "the group is full: it has " + std::to_string(options_.members_max) +
                               " members, and more there cannot be; join when one has left");
    if (const std::string why = admissions_.paused(now); !why.empty()) {
        ByteWriter body;
        body.text(why);
        write_letter(mail_, letter.from, Letter::later, body);
    }
    admissions_.asked(std::move(joiner), now);
    steps_to_look_ = 0;
}

void Group::refuse_join(NodeId node, derecho_status status, const std::string& why) {
    ByteWriter refusal;
    refusal.number(int32_t{status});
    refusal.text(why);
    write_letter(mail_, node, Letter::refused, refusal);
}

// ------------------------------------------------------------------------------------------------ coming in

void Group::step_joining(Now now) {
    if (phase() != Phase::joining && phase() != Phase::client) return;
    joining_->step(now.monotonic, now.wall_ns);
    for (const auto& [node, incarnation] : joining_->take_stale()) {
        if (std::ranges::find(up_, std::pair{node, incarnation}) == up_.end())
            continue;  // the later one is linked by now
        coverage::hit(coverage::Branch::earlier_life_dropped);
        cut_off(node, incarnation, "a later life of it is there");
    }
    if (!joining_->failure().ok()) return finish_with(joining_->failure());
    if (options_.client) {
        if (joining_->connected()) phase_.store(Phase::client, std::memory_order_release);
        return;
    }
    auto view = joining_->take_view();
    if (!view) return;
    joining_.reset();
    enter(std::move(*view), std::vector<ShardEpoch::SenderEnd>(senders_.size()), now);
}

void Group::enter(View view, std::span<const ShardEpoch::SenderEnd> before, Now now) {
    stood_still_ = epochs_.empty() ? Duration{} : now.monotonic - wedged_at_;
    const Epoch::States states{epochs_.empty() ? 0 : current().shards_held(), loading_};
    const Rank self = *view.rank_of(options_.self);
    log::info(name(options_.self) + " installs view " + std::to_string(raw(view.id)) + " of " +
              std::to_string(view.members.size()) + " members, " + std::to_string(stood_still_.ns / 1000) +
              " us after the one before stood still");
    auto epoch = std::make_unique<Epoch>(options_, fabric_, std::move(view), self, states, now.monotonic, clock_);
    if (!epoch->ok()) return end_for_lack("no memory for the rows of a new view: " + fabric_.why_not_exposed());
    if (epoch->state_lost()) {
        return finish_with(failure(DERECHO_STATE_LOST, "every member that held the state of a service is gone"));
    }
    // Who joins may have a clock that was set back, where the others' go on from what they were.
    if (epochs_.empty()) clock_.at_least(epoch->view().time_ns);
    clocks_.enter(epoch->view().members.size(), epoch->self());
    epochs_.push_back(std::move(epoch));
    tell_fabric(current().view());
    holdups_.enter(current().view(), current().self(), now.monotonic);
    if (options_.slow_after.ns != 0) current().change().may_be_slow = [this](size_t rank) { return may_be_slow(rank); };
    entered_ = now.monotonic;
    ++stats_.views;
    founding_.entered(current().view());
    if (next_seek_ == kNever) next_seek_ = now.monotonic + options_.seek_contacts;
    // Whoever has no state yet sends nothing: if the view changed before it came, the node would never see its own
    // messages delivered, for the next state contains them.
    stateless_.store(~current().shards_held(), std::memory_order_release);
    sealed_status_.store(DERECHO_WEDGED, std::memory_order_release);
    for (size_t k = 0; k < senders_.size(); ++k) current().shard(k).start(*senders_[k], before[k]);
    greet_members();
    for (NodeId client : clients_) write_view(mail_, client, current().view());
    admissions_.entered(current().view(), stood_still_, now.monotonic);
    if (leave_wanted_) take_leave();
    phase_.store(Phase::member, std::memory_order_release);
    steps_to_look_ = 0;
    moved_ = true;
}

// A connection to an earlier life of a member, which died unnoticed, would be in the way of one to the member.
void Group::drop_earlier_life(const Member& member) {
    const auto earlier = std::ranges::find_if(
        up_, [&](const auto& up) { return up.first == member.node && up.second < member.incarnation; });
    if (earlier == up_.end() || is_up(member)) return;
    coverage::hit(coverage::Branch::earlier_life_dropped);
    cut_off(member.node, earlier->second, "a later life of it is in the view");
}

void Group::tell_fabric(const View& view) {
    std::vector<NodeLife> members;
    for (const Member& member : view.members) members.push_back({member.node, member.incarnation});
    fabric_.set_members(members);
    fabric_.enter_group(view.group);
}

void Group::drop_silent_newcomers(Now now) {
    for (const NodeId node : newcomers_.take_silent(current().view(), now.monotonic))
        expel(node, "it is in no view and does not ask to join");
}

// A newcomer connects to those of lower rank; who knows one tells it that it is in.
void Group::greet_members() {
    const View& view = current().view();
    const View* before = epochs_.size() > 1 ? &epochs_[epochs_.size() - 2]->view() : nullptr;
    for (size_t r = 0; r < view.members.size(); ++r) {
        const Member& member = view.members[r];
        if (member.node == options_.self) continue;
        drop_earlier_life(member);
        if (is_lost(member)) {
            current().change().suspect(r, "it was lost before the view began");
        } else if (!before && r < raw(current().self()) && !is_up(member)) {
            fabric_.connect(member.address);
        } else if (before && !before->holds(member.node, member.incarnation)) {
            write_view(mail_, member.node, view);
        }
    }
}

// ------------------------------------------------------------------------------------------------ being a member

void Group::step_member(Now now) {
    step_shards(now);
    ViewChange& change = current().change();
    if (change.is_wedged()) look_at_wedged();
    if (steps_to_look_-- > 0 && now.monotonic < std::min(turn_, change.next_deadline())) return;
    steps_to_look_ = kLookEvery;
    current().rows().refresh();
    look_at_clocks(now);
    drop_silent_newcomers(now);
    if (now.monotonic >= change.next_deadline()) look_for_holdups(now);
    if (now.monotonic >= change.next_deadline()) look_for_shortage(now);
    if (phase() != Phase::member) return;
    current().watch(now.monotonic);
    if (leave_wanted_ && !change.wants_leave() && all_sent()) change.want_leave();
    turn_ = kNever;
    if (change.leads() && change_due(now.monotonic)) change.want_change();
    // A few rounds: wedging, proposing and deciding follow on one another when this node is alone or last.
    for (int round = 0; round < 4; ++round) {
        switch (change.step(now.monotonic)) {
            case ViewChange::Want::nothing:
                if (change.is_wedged()) steps_to_look_ = 0;
                return;
            case ViewChange::Want::wedge:
                if (!may_wedge(now.monotonic)) return;
                wedged_at_ = now.monotonic;
                if (!leave_wanted_) sealed_status_.store(DERECHO_WEDGED, std::memory_order_release);
                for (const Sender& sender : senders_) sender->seal();
                step_shards(now);  // what is there by now is received
                current().wedge();
                convict_offenders();
                break;
            case ViewChange::Want::proposal:
                if (!current().shard_rows_arrived(change.alive()) || !current().shards_agreed(change.alive())) {
                    coverage::hit(coverage::Branch::leader_waited_for_rows);
                    change.await_rows(change.alive() & ~current().shard_rows_of(change.alive()));
                    steps_to_look_ = 0;
                    return;
                }
                change.propose(current().propose(admitted(now), holdups_.slow()));
                break;
            case ViewChange::Want::install:
                return install(change.decision(), now);
            case ViewChange::Want::stop:
                return finish_with(change.failure());
        }
        moved_ = true;
    }
}

// No view follows that a majority does not know of, should it be restarted. A disk that does not answer is not waited
// for for ever: of two evils, a group whose every member shares it would stand still.
bool Group::may_wedge(Instant now) {
    if (founding_.knows_its_view()) return true;
    if (now - entered_ < options_.suspect_after) {
        turn_ = now + Founding::kDiskLook;
        return false;
    }
    note_trouble(name(options_.self) +
                 " cannot write down what it needs to know of its group after a restart: the disk "
                 "does not answer");
    return true;
}

// Nobody, if a newcomer is to be removed that held all up: the next one may be of its kind.
std::vector<Member> Group::admitted(Now now) {
    const View& view = current().view();
    const ViewChange& change = current().change();
    for_each(first_ranks(view.members.size()) & ~change.alive(), [&](size_t r) {
        const Duration waited = change.has_wedged(r) ? Duration{} : now.monotonic - wedged_at_;
        const Duration stalled = std::max(holdups_.stalled_by(r, now.monotonic), waited);
        if (!view.members[r].votes && stalled > Duration{options_.suspect_after.ns / kNamedAfter})
            admissions_.pause(name(view.members[r].node) + " at " + view.members[r].address, stalled, now.monotonic);
    });
    return admissions_.candidates(view, now.monotonic);
}

// The leader has waited for it long enough; this node for a while, at least.
bool Group::may_be_slow(size_t rank) const {
    const View& view = epochs_.back()->view();
    const auto names = [&](const Holdup& holdup) { return holdup.node == view.members[rank].node; };
    return view.members[rank].node == options_.self || std::ranges::any_of(holdups_.current(), names);
}

bool Group::untaken() const {
    if (also_untaken_ && also_untaken_()) return true;
    return epochs_.size() > 1 || epochs_.front()->untaken();
}

void Group::look_at_clocks(Now now) {
    ViewChange& change = current().change();
    change.note_clock(now.wall_ns);
    for (size_t r = 0; r < current().view().members.size(); ++r)
        clocks_.note(r, change.beats_of(r), change.clock_of(r), now.monotonic);
    if (!clocks_.judge(now, change.alive())) return;
    fabric_.set_clock(clock_.offset());
    if (const std::string trouble = clocks_.own_trouble(); !trouble.empty()) {
        coverage::hit(coverage::Branch::clock_not_believed);
        note_trouble(trouble);
    }
}

// Once a heartbeat.
void Group::look_for_holdups(Now now) {
    ViewChange& change = current().change();
    const bool polled = std::exchange(polls_at_beat_, polls_) != polls_;
    const bool released = leases_.held() == 0 || std::exchange(oldest_lease_, leases_.oldest()) != leases_.oldest();
    change.note_application(polled || !untaken(), released);
    for (size_t k = 0; k < current().shard_count(); ++k) current().shard(k).push_releases();
    if (change.is_wedged()) return;  // the view change has its own watch
    std::vector<Holdups::Suspect> suspects;
    holdups_.look(change, current().shards(), now.monotonic, suspects);
    for (const auto& [rank, why] : suspects) {
        coverage::hit(coverage::Branch::standstill_suspected);
        change.suspect(rank, why);
    }
    if (holdups_.slow() == 0 || !change.leads()) return;
    coverage::hit(coverage::Branch::slow_removed);
    for (const Holdup& holdup : holdups_.current())
        if (has(holdups_.slow(), raw(*current().view().rank_of(holdup.node))))
            log::warn("removed for option slow_member_ms: " + holdup.text());
}

void Group::step_shards(Now now) {
    Epoch& epoch = current();
    for (size_t k = 0; k < epoch.shard_count(); ++k) moved_ |= epoch.shard(k).step(*senders_[k], now.monotonic);
    if (epoch.offenders() != 0) [[unlikely]]
        convict_offenders();
}

void Group::convict_offenders() {
    for_each(current().offenders() & current().change().alive(), [&](size_t r) {
        current().change().suspect(r, "its counters or frames are malformed");
        steps_to_look_ = 0;
    });
}

// Those whose counters stand still as well contradict each other, or this node, or they do not.
void Group::look_at_wedged() {
    const RankSet wedged = current().change().alive_and_wedged();
    if (current().shard_rows_arrived(wedged)) current().shards_agreed(wedged);
}

// Who joins can wait for its turn. Until who has joined votes the group is no safer than it was before. Who leaves
// sends nothing any more, not even that it skips rounds: others wait for it.
bool Group::change_due(Instant now) {
    const Epoch& epoch = *epochs_.back();
    const size_t joins = admissions_.candidates(epoch.view(), now).size();
    turn_ = joins > 0 && now < admissions_.next_change() ? admissions_.next_change() : kNever;
    return (joins > 0 && turn_ == kNever) || epoch.departures(joins, holdups_.slow()) != 0 || votes_due(now) ||
           sequence_ends();
}

// A new view begins the transfers to all others anew: they are waited for, as long as the first took.
bool Group::votes_due(Instant now) {
    const auto [ready, loading] = epochs_.back()->newcomers();
    if (ready == 0) return false;
    if (loading == 0) return true;
    if (first_ready_ < entered_) first_ready_ = now;
    const Instant at_most = first_ready_ + (first_ready_ - entered_);
    if (now < at_most) turn_ = std::min(turn_, at_most);
    return now >= at_most;
}

// Long before sequence numbers run out, a view of the same members starts them afresh.
bool Group::sequence_ends() const {
    const Epoch& epoch = *epochs_.back();
    for (size_t k = 0; k < epoch.shard_count(); ++k) {
        if (epoch.shard(k).sequence() > options_.sequence_max) return true;
    }
    return false;
}

void Group::install(const Decision& decision, Now now) {
    Epoch& old = current();
    const bool stays = decision.next.holds(options_.self, options_.incarnation);
    const bool finished = old.change().is_wedged() && old.finish(decision);  // who was given up on may be far behind
    if (!finished && stays) {
        return finish_with(failure(DERECHO_INTERNAL, "the decided trim contradicts what this node delivered"));
    }
    if (!old.change().is_wedged()) coverage::hit(coverage::Branch::removed_before_wedged);
    fence_removed(old, decision.next);
    if (!stays) {
        founding_.left(decision.next);
        finish_with(old.change().wants_leave()
                        ? failure(DERECHO_CLOSED, "this node left the group")
                        : failure(DERECHO_EJECTED, "the other members of view " + std::to_string(raw(old.view().id)) +
                                                       " went on without this node; join again"));
        if (decision.next.members.empty()) tell_that_it_is_over(now);
        return;
    }
    std::vector<ShardEpoch::SenderEnd> ends;
    for (size_t k = 0; k < old.shard_count(); ++k) ends.push_back(old.shard(k).own_end());
    enter(decision.next, ends, now);
}

// The last member goes: whoever was about to join, or helped to found, need not wait for its return.
void Group::tell_that_it_is_over(Now now) {
    ByteWriter body;
    encode(body, founding_.standing());
    for (const auto& [node, incarnation] : up_) write_letter(mail_, node, Letter::outside, body);
    mail_.step(now.wall_ns);  // there may be no other
}

// After their last pushes went out, so that a live one can see why. Who leaves goes by itself. Whom this node alone
// suspected begins anew in the next view, with new memory: whatever was wrong will show again, to all.
void Group::fence_removed(const Epoch& old, const View& next) {
    fabric_.flush();
    for_each(~old.change().alive() & first_ranks(old.view().members.size()), [&](size_t r) {
        const Member& member = old.view().members[r];
        if (is_up(member) && !next.holds(member.node, member.incarnation))
            cut_off(member.node, member.incarnation, "it was removed");
    });
}

void Group::expel(NodeId node, const std::string& why) {
    log::warn(name(node) + " is disconnected: " + why);
    const auto life = std::ranges::find_if(up_, [&](const auto& up) { return up.first == node; });
    const uint64_t incarnation = life == up_.end() ? 0 : life->second;
    if (phase() == Phase::member) {
        if (const auto rank = current().view().rank_of(node);
            rank && current().view().members[raw(*rank)].incarnation == incarnation) {
            current().change().suspect(raw(*rank), why);
            steps_to_look_ = 0;
        }
    }
    cut_off(node, incarnation, why);
}

// The fabric reports no loss of a peer that this node cut off.
void Group::cut_off(NodeId node, uint64_t incarnation, const std::string& why) {
    mail_.peer_lost(node);
    fabric_.disconnect(node);
    newcomers_.forget(node);
    std::erase(clients_, node);
    admissions_.forget(node);
    note_lost(node, incarnation);
    PeerEvent event;
    event.kind = PeerEvent::Kind::lost;
    event.peer = node;
    event.incarnation = incarnation;
    event.status = failure(DERECHO_REMOVED, why);
    peer_events_for_rpc_.push_back(std::move(event));
}

void Group::finish_with(Status status) {
    if (const auto own = holdups_.own(); own && status.code == DERECHO_EJECTED)
        status.detail += " (" + own->text() + ")";
    sealed_status_.store(status.code, std::memory_order_release);
    for (const Sender& sender : senders_) sender->seal();
    const std::string ends = name(options_.self) + " ends: " + status.detail;
    const bool told = status.code == DERECHO_CLOSED || status.code == DERECHO_NO_MEMORY;
    told ? log::info(ends) : log::warn(ends);
    end_ = std::move(status);
    if (!epochs_.empty()) founding_.ended();
    phase_.store(Phase::ended, std::memory_order_release);
    moved_ = true;
    if (end_.code == DERECHO_NO_MEMORY || end_.code == DERECHO_INTERNAL) cut_off_all();
}

// The others need not wait for heartbeats.
void Group::cut_off_all() {
    for (const auto& [node, incarnation] : std::vector(up_)) cut_off(node, incarnation, end_.detail);
}

void Group::end_because(Status why) {
    if (phase() == Phase::ended) return;
    finish_with(std::move(why));
    cut_off_all();
}

void Group::leave() {
    leave_wanted_ = true;
    if (phase() == Phase::member) {
        take_leave();
    } else if (phase() != Phase::ended) {
        finish_with(failure(DERECHO_CLOSED, "this node left"));
    }
}

// Nothing new is sent. The others are told when they all have what was: messages that some lack would go with their
// sender.
void Group::take_leave() {
    sealed_status_.store(DERECHO_CLOSED, std::memory_order_release);
    for (const Sender& sender : senders_) sender->seal();
    steps_to_look_ = 0;
}

bool Group::all_sent() const {
    for (size_t k = 0; k < senders_.size(); ++k)
        if (!epochs_.back()->shard(k).all_sent(*senders_[k])) return false;
    return true;
}

void Group::bury_epochs() {
    const auto orphans = [](const Sender& s) { return s->has_orphans(); };
    if (std::ranges::any_of(senders_, orphans)) return;  // their claims point into old rings
    std::erase_if(buried_, [&](const auto& epoch) {
        if (epoch->leased()) return false;
        add(stats_, *epoch);
        return true;
    });
}

// ------------------------------------------------------------------------------------------------ receiving

size_t Group::take(std::span<derecho_event> events, Leases::Batch& batch) {
    note_poll();
    size_t taken = 0;
    while (taken < events.size() && !leases_.full()) {
        if (client_view_new_) {
            events[taken] = {};
            events[taken].kind = DERECHO_EVENT_VIEW;
            events[taken++].id = raw(client_view_->id);
            taken_view_ = std::make_unique<View>(*client_view_);
            client_view_new_ = false;
        }
        if (epochs_.empty()) break;
        Epoch& epoch = *epochs_.front();
        const bool announced = epoch.announced();
        taken += epoch.take(events.subspan(taken), leases_, batch);
        if (!announced && epoch.announced()) taken_view_ = std::make_unique<View>(epoch.view());
        if (!epoch.drained() || epochs_.size() == 1) break;
        buried_.push_back(std::move(epochs_.front()));
        epochs_.pop_front();
        if (taken > 0 || stops_before_views_)
            break;  // a view is the first of its batch: taken_view() holds for all of it
    }
    if (taken < events.size() && phase() == Phase::ended && !closed_taken_ && !has_events_before_end()) {
        events[taken] = {};
        events[taken].kind = DERECHO_EVENT_CLOSED;
        events[taken++].status = end_.code;
        closed_taken_ = true;
    }
    return taken;
}

bool Group::has_events_before_end() const {
    if (client_view_new_) return true;
    if (epochs_.empty()) return false;
    return epochs_.size() > 1 || epochs_.front()->has_events();
}

bool Group::has_events() const { return has_events_before_end() || (phase() == Phase::ended && !closed_taken_); }

const View* Group::view() const {
    if (options_.client) return client_view_ ? &*client_view_ : nullptr;
    return epochs_.empty() ? nullptr : &epochs_.back()->view();
}

uint64_t Group::shards_held_by(Rank rank) const {
    if (epochs_.empty()) return client_view_ ? client_view_->members[raw(rank)].shards_with_state : 0;
    return epochs_.back()->change().shards_held_by(raw(rank));
}

bool Group::is_in_a_view(NodeId node) const {
    return std::ranges::any_of(epochs_, [&](const auto& epoch) { return epoch->view().rank_of(node).has_value(); });
}

const StateWanted* Group::state_wanted(ShardIndex shard) const {
    // Not while an earlier view's messages are still to be taken: they come before it.
    if (epochs_.size() != 1 || !epochs_.front()->announced()) return nullptr;
    return epochs_.front()->state_wanted(raw(shard));
}

Leases::Mark Group::state_taken(ShardIndex shard) {
    DERECHO_ASSERT(state_wanted(shard));
    current().state_taken(raw(shard));
    stateless_.store(~current().shards_held(), std::memory_order_release);
    loading_ |= 1ull << raw(shard);
    return {&loads_[raw(shard)], 0};
}

void Group::state_complete(ShardIndex shard) {
    state_taken(shard);
    note_loaded();
}

void Group::note_loaded() {
    for (size_t k = 0; k < senders_.size(); ++k) {
        if ((loading_ >> k & 1) == 0 || loads_[k].leases_held != 0) continue;
        loading_ &= ~(1ull << k);
        if (phase() == Phase::member) current().state_loaded(k);
        steps_to_look_ = 0;
        moved_ = true;
    }
}

Status Group::end() const {
    if (phase() == Phase::joining && joining_) {
        return failure(joining_->connected() ? DERECHO_TIMEOUT : DERECHO_UNREACHABLE, joining_->waiting_for());
    }
    return end_;
}

// ------------------------------------------------------------------------------------------------ sending, any thread

derecho_status Group::claim(ShardIndex shard, uint64_t payload_bytes, Claim& claim) {
    if (payload_bytes > options_.message_max_bytes) return DERECHO_TOO_LARGE;
    return claim_room(shard, payload_bytes, claim);
}

derecho_status Group::claim_room(ShardIndex shard, uint64_t payload_bytes, Claim& claim) {
    if (stateless_.load(std::memory_order_acquire) >> raw(shard) & 1)
        return sealed_status_.load(std::memory_order_acquire);
    switch (senders_[raw(shard)]->claim(payload_bytes, claim)) {
        case RingWriter::Result::ok:
            return DERECHO_OK;
        case RingWriter::Result::full:
            return DERECHO_AGAIN;
        default:
            return sealed_status_.load(std::memory_order_acquire);
    }
}

derecho_status Group::send_batch(ShardIndex shard, Messages messages, uint64_t bytes, uint64_t& ticket) {
    Claim batch;
    derecho_status status = claim_room(shard, bytes, batch);
    if (status != DERECHO_OK) return status;
    write_batch(messages, batch.payload);
    status = commit(shard, batch, FrameKind::batch, 0, bytes);
    if (status == DERECHO_AGAIN) abort(shard, batch);
    ticket = batch.ticket;
    return status;
}

derecho_status Group::commit(ShardIndex shard, Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes) {
    RingWriter& writer = *senders_[raw(shard)];
    if (phase() == Phase::ended) [[unlikely]] {  // nobody publishes it any more
        abort(shard, claim);
        return sealed_status_.load(std::memory_order_acquire);
    }
    if (writer.commit(claim, kind, flags, used_bytes)) return DERECHO_OK;
    return resend(writer, claim, kind, flags, used_bytes);
}

// The view changed under an open claim: its bytes go into the new ring.
derecho_status Group::resend(RingWriter& writer, Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes) {
    if (phase() == Phase::ended) {
        writer.forget_orphan(claim);
        return sealed_status_.load(std::memory_order_acquire);
    }
    Claim fresh;
    if (writer.claim(used_bytes, fresh) != RingWriter::Result::ok) {
        writer.move_out(claim);
        return DERECHO_AGAIN;
    }
    std::memcpy(fresh.payload, claim.payload, used_bytes);
    if (!writer.commit(fresh, kind, flags, used_bytes)) {  // and once more
        writer.forget_orphan(fresh);
        return DERECHO_AGAIN;
    }
    writer.forget_orphan(claim);
    claim.ticket = fresh.ticket;
    return DERECHO_OK;
}

void Group::abort(ShardIndex shard, Claim& claim) {
    RingWriter& writer = *senders_[raw(shard)];
    if (!writer.abort(claim)) writer.forget_orphan(claim);
}

void Group::add(Stats& stats, const Epoch& epoch) {
    for (size_t k = 0; k < epoch.shard_count(); ++k) {
        stats.delivered_messages += epoch.shard(k).delivered_messages();
        stats.delivered_bytes += epoch.shard(k).delivered_bytes();
        stats.null_messages += epoch.shard(k).null_rounds();
    }
}

Group::Stats Group::stats() const {
    Stats stats = stats_;
    for (const Sender& sender : senders_) stats.sent_messages += sender->published_messages();
    for (const auto& epoch : epochs_) add(stats, *epoch);
    for (const auto& epoch : buried_) add(stats, *epoch);
    return stats;
}

}  // namespace libderecho
