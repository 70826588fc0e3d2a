#include "group/founding.hpp"

#include <algorithm>

#include "base/coverage.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

std::string name(NodeId node) { return "node " + std::to_string(raw(node)); }

// The same for the same addresses, in whatever order: FNV-1a.
uint64_t hash_of(std::vector<std::string> addresses) {
    std::ranges::sort(addresses);
    uint64_t hash = 0xcbf29ce484222325;
    for (const std::string& address : addresses)
        for (const char c : address + ",") hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return hash | 1;
}

}  // namespace

void encode(ByteWriter& out, const Outsider& standing) {
    out.number(standing.incarnation);
    out.number(static_cast<uint8_t>(standing.ended));
    out.number(standing.initial_hash);
    encode(out, standing.candidate);
    encode(out, standing.over);
    encode(out, standing.marker);
}

bool decode(ByteReader& in, Outsider& standing) {
    standing.incarnation = in.number<uint64_t>();
    standing.ended = in.number<uint8_t>() != 0;
    standing.initial_hash = in.number<uint64_t>();
    standing.candidate = read_group(in);
    standing.over = read_group(in);
    return decode(in, standing.marker);
}

Founding::Founding(const GroupOptions& options, MarkerStore* store, Mail& mail)
    : options_(options),
      store_(store),
      mail_(mail),
      marker_(options.marker),
      initial_(std::ranges::find(options.initial_members, options.address) != options.initial_members.end()),
      initial_hash_(hash_of(options.initial_members)) {}

Founding::Seen* Founding::find(NodeId node) {
    const auto it = std::ranges::find(seen_, node, &Seen::node);
    return it == seen_.end() ? nullptr : &*it;
}

void Founding::remember(Marker marker) {
    if (marker == marker_) return;
    marker_ = std::move(marker);
    if (store_) store_->save(to_text(marker_));
}

// ------------------------------------------------------------------------------------------------ what is heard

void Founding::is_outside(NodeId node, const std::string& address, Outsider standing) {
    Seen* seen = find(node);
    if (!seen) seen = &seen_.emplace_back();
    *seen = {node, {}, address, std::move(standing)};
    forget_what_is_over();  // it may be gone at once
}

void Founding::is_in_group(NodeId node, uint64_t incarnation, GroupId group) {
    Seen* seen = find(node);
    if (!seen) seen = &seen_.emplace_back();
    *seen = {node, group, "", {}};
    seen->standing.incarnation = incarnation;
}

void Founding::is_gone(NodeId node) {
    std::erase_if(seen_, [&](const Seen& s) { return s.node == node; });
    std::erase(grants_, node);  // it may have forgotten it: not everybody can write things down
}

void Founding::asked(NodeId node, GroupId group) {
    Seen* seen = find(node);
    if (!seen || !is_free(*seen) || !initial_ || founds_ || anybody_in_group()) return;
    seen->standing.candidate = group;
    if (marker_.kind == Marker::Kind::none && (!candidate_ || raw(node) < raw(options_.self))) {
        if (candidate_) coverage::hit(coverage::Branch::candidate_gave_up);
        candidate_ = {};
        View grant{ViewId{0}, {}, group};
        grant.members.push_back({node, seen->standing.incarnation, 0, seen->address});
        remember({Marker::Kind::granted, std::move(grant)});
    }
    if (marker_.kind == Marker::Kind::granted && marker_.known.group == group) grant_owed_ = node;
}

void Founding::granted(NodeId node, GroupId group) {
    if (candidate_ && group == candidate_ && find(node) && std::ranges::find(grants_, node) == grants_.end())
        grants_.push_back(node);
}

// ------------------------------------------------------------------------------------------------ groups that are over

const View& Founding::newest_of(GroupId group) const {
    const View* newest = &marker_.known;
    for (const Seen& seen : seen_) {
        const View& theirs = seen.standing.marker.known;
        if (seen.standing.marker.kind == Marker::Kind::member && theirs.group == group &&
            raw(theirs.id) > raw(newest->id))
            newest = &theirs;
    }
    return *newest;
}

// All its members are here, and none is in it any more.
bool Founding::is_over(const View& known) const {
    const auto is_out = [&](const Member& member) {
        if (member.node == options_.self) return true;
        const Seen* seen = find(member.node);
        if (!seen || seen->group == known.group) return false;
        const Outsider& its = seen->standing;  // that very incarnation may be about to enter
        return its.incarnation != member.incarnation || its.ended || its.over == known.group;
    };
    return std::ranges::all_of(known.members, is_out);
}

// The candidate is alive and asks no more; or it came back, and has not founded: then it never will.
bool Founding::grant_is_void() const {
    const Member& candidate = marker_.known.members.front();
    const Seen* seen = find(candidate.node);
    if (!seen || seen->group == marker_.known.group) return false;
    if (seen->group) return true;
    if (seen->standing.incarnation == candidate.incarnation) return seen->standing.candidate != marker_.known.group;
    return seen->standing.marker.known.group != marker_.known.group;
}

void Founding::forget_what_is_over() {
    if (marker_.kind == Marker::Kind::none || founds_) return;
    if (marker_.kind == Marker::Kind::granted) {
        const Seen* candidate = marker_.known.members.empty() ? nullptr : find(marker_.known.members.front().node);
        // It founded before it was restarted.
        if (candidate && candidate->standing.marker.kind == Marker::Kind::member &&
            candidate->standing.marker.known.group == marker_.known.group)
            return remember(Marker(candidate->standing.marker));
        if (!candidate || !grant_is_void()) return;
        coverage::hit(coverage::Branch::grant_taken_back);
        return remember({});
    }
    if (!is_over(newest_of(marker_.known.group))) return;
    coverage::hit(coverage::Branch::group_is_over);
    log::info(name(options_.self) + ": group " + to_text(marker_.known.group) +
              " is over: all of its last members are here, and none is in it");
    over_ = marker_.known.group;
    remember({});
}

// ------------------------------------------------------------------------------------------------ founding

// It could grant this node the founding, or has.
bool Founding::is_free(const Seen& seen) const {
    const Outsider& its = seen.standing;
    if (seen.group || its.initial_hash != initial_hash_) return false;
    return its.marker.kind == Marker::Kind::none ||
           (its.marker.kind == Marker::Kind::granted && candidate_ && its.marker.known.group == candidate_);
}

bool Founding::anybody_in_group() const {
    return std::ranges::any_of(seen_, [](const Seen& s) { return bool(s.group); });
}

size_t Founding::free_initials() const {
    return 1 + static_cast<size_t>(std::ranges::count_if(seen_, [this](const Seen& s) { return is_free(s); }));
}

bool Founding::should_ask() const {
    if (!initial_ || options_.client || ended_ || marker_.kind != Marker::Kind::none || anybody_in_group())
        return false;
    const auto comes_first = [this](const Seen& s) { return is_free(s) && raw(s.node) < raw(options_.self); };
    return enough(free_initials()) && std::ranges::none_of(seen_, comes_first);
}

void Founding::ask_for_grants() {
    if (!candidate_) {
        candidate_ = {options_.new_group.high, options_.new_group.low + attempts_++};  // a grant is of one attempt
        grants_.clear();
    }
    for (const Seen& seen : seen_)
        if (is_free(seen)) write_group(mail_, seen.node, Letter::found, candidate_);
}

void Founding::step(bool ask_again) {
    forget_what_is_over();
    if (grant_owed_ && (!store_ || store_->saved())) send_grant();
    if (founds_) return;
    if (!should_ask()) {
        if (candidate_) coverage::hit(coverage::Branch::candidate_gave_up);
        candidate_ = {};
        return;
    }
    if (!candidate_ || ask_again) ask_for_grants();
    if (enough(1 + grants_.size())) found_alone();
}

void Founding::send_grant() {
    const NodeId to = *std::exchange(grant_owed_, std::nullopt);
    if (marker_.kind == Marker::Kind::granted && marker_.known.members.front().node == to)
        write_group(mail_, to, Letter::granted, marker_.known.group);
}

void Founding::found_alone() {
    founds_ = true;
    View first{ViewId{1}, {}, candidate_ ? candidate_ : options_.new_group};
    first.members.push_back({options_.self, options_.incarnation, ~0ull, options_.address, true});
    remember({Marker::Kind::member, std::move(first)});
}

std::optional<View> Founding::take_view() {
    if (!founds_ || (store_ && !store_->saved())) return std::nullopt;
    founds_ = false;
    candidate_ = {};
    log::info(name(options_.self) + " founds group " + to_text(marker_.known.group));
    return marker_.known;
}

void Founding::left(const View& next) {
    if (next.members.empty()) over_ = next.group;
    remember(next.members.empty() ? Marker{} : Marker{Marker::Kind::member, next});
}

// ------------------------------------------------------------------------------------------------ telling

Outsider Founding::standing() const {
    return {options_.incarnation, ended_, initial_ && !options_.client ? initial_hash_ : 0, candidate_, over_, marker_};
}

std::string Founding::two_groups() const {
    const Seen* first = nullptr;
    for (const Seen& seen : seen_) {
        if (!seen.group) continue;
        if (!first) first = &seen;
        if (seen.group != first->group)
            return "there are two groups of this name: " + name(first->node) + " is in " + to_text(first->group) +
                   ", " + name(seen.node) + " in " + to_text(seen.group) +
                   "; end one of them, or give it another name with option group";
    }
    return "";
}

std::string Founding::waiting_for_group() const {
    const View& newest = newest_of(marker_.known.group);
    std::string text = marker_.kind == Marker::Kind::granted
                           ? name(newest.members.front().node) + " at " + newest.members.front().address +
                                 ", to which this node has granted the founding of group " + to_text(newest.group)
                       : newest.rank_of(options_.self)
                           ? "the group that this node was in: " + describe(newest)
                           : "the group that this node was in, or had begun to join: " + describe(newest);
    for (const Seen& seen : seen_)
        if (seen.group && seen.group != marker_.known.group)
            text += "; " + name(seen.node) + " is in another one, " + to_text(seen.group);
    return text + "; if that group is gone for good, remove " +
           (store_ ? store_->place() : std::string("what was kept of it"));
}

std::string Founding::waiting_for() const {
    if (marker_.kind != Marker::Kind::none && !founds_) return waiting_for_group();
    if (!initial_) return "";
    std::string text = "a majority of the " + std::to_string(options_.initial_members.size()) +
                       " initial_members, all in no group: " + std::to_string(free_initials()) +
                       " here, with this node";
    for (const Seen& seen : seen_) {
        if (is_free(seen)) continue;
        text += "; " + name(seen.node);
        if (seen.standing.initial_hash == 0)
            text += " is none of them";
        else if (seen.standing.initial_hash != initial_hash_)
            text += " was given other initial_members";
        else
            text += seen.standing.marker.kind == Marker::Kind::granted ? " has granted the founding of another group"
                                                                       : " waits for a group that it was in";
    }
    return text;
}

}  // namespace libderecho
