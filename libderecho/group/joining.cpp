#include "group/joining.hpp"

#include <algorithm>

#include "base/coverage.hpp"
#include "base/log.hpp"
#include "group/clocks.hpp"

namespace libderecho {
namespace {}  // namespace

Joining::Joining(const GroupOptions& options, Fabric& fabric, Mail& mail, Founding& founding)
    : options_(options), fabric_(fabric), mail_(mail), founding_(founding) {
    for (const std::string& address : options.contacts) learn_contact(address);
    for (const std::string& address : options.initial_members) learn_contact(address);
    for (const Member& member : options.marker.known.members) learn_contact(member.address);
}

Joining::Contact* Joining::contact_at(const std::string& address) {
    const auto it = std::ranges::find(contacts_, address, &Contact::address);
    return it == contacts_.end() ? nullptr : &*it;
}

Joining::Peer* Joining::find(NodeId node) {
    const auto it = std::ranges::find(peers_, node, &Peer::node);
    return it == peers_.end() ? nullptr : &*it;
}

void Joining::learn_contact(const std::string& address) {
    if (address.empty() || address == options_.address || contact_at(address)) return;
    if (contacts_.size() < 2 * limits::members_max) contacts_.push_back({.address = address, .why = "no answer yet"});
}

void Joining::step(Instant now, uint64_t time_ns) {
    if (!failure_.ok() || view_) return;
    if (contacts_.empty() && peers_.empty() && !options_.found && !founding_.initial())
        failure_ = libderecho::failure(DERECHO_INVALID,
                                       "contacts name nobody but this node itself, which founds no group unless it is "
                                       "told to: set option found, or initial_members");
    const bool due = now >= next_try_;
    if (!options_.client) compare_clocks(time_ns);
    last_step_ = now;
    if (!options_.client) {
        founding_.step(due);
        if (may_found_alone()) founding_.found_alone();
        if (options_.found && founding_.must_go_back() && options_.contacts.empty())
            failure_ =
                libderecho::failure(DERECHO_INVALID, "option found would make a second group: this node waits for " +
                                                         founding_.waiting_for());
        view_ = founding_.take_view();
        check_groups();
        if (view_ || !failure_.ok()) return;
    }
    // It was let in and given up again, before it knew.
    if (peers_.empty() && !contacts_.empty() && std::ranges::all_of(contacts_, &Contact::cut_off))
        failure_ = libderecho::failure(
            DERECHO_EJECTED, "all contacts have given up on this node: join again (" + contacts_.front().why + ")");
    if (!due) return;
    next_try_ = now + options_.retry_contact;
    for (Contact& contact : contacts_) {
        if (!is_silent(contact, now)) continue;
        if (contact.dialed_ns == 0) contact.dialed_ns = time_ns;
        fabric_.connect(contact.address);
    }
    if (options_.client) return;
    for (Peer& peer : peers_) {
        if (now - peer.heard > Duration{2 * options_.retry_contact.ns}) peer.not_yet.clear();  // it is over
        if (peer.compared) ask(peer.node);
    }
}

// Not connected; or so long without an answer that another incarnation may be there by now.
bool Joining::is_silent(const Contact& contact, Instant now) const {
    const auto peer = std::ranges::find(peers_, contact.address, &Peer::address);
    return peer == peers_.end() || (!options_.client && now - peer->heard > options_.suspect_after);
}

Instant Joining::next_deadline() const {
    return founding_.awaits_disk() ? std::min(next_try_, last_step_ + Founding::kDiskLook) : next_try_;
}

// As it was told to; but not before all its contacts have shown to be down, or outside themselves.
bool Joining::may_found_alone() const {
    if (!options_.found || founding_.bound()) return false;
    const auto settled = [&](const Contact& contact) {
        const auto peer = std::ranges::find(peers_, contact.address, &Peer::address);
        return peer != peers_.end() ? peer->outside : contact.tried && !contact.is_there;
    };
    return std::ranges::all_of(contacts_, settled) && std::ranges::all_of(peers_, &Peer::outside);
}

// Who is free must not choose between two.
void Joining::check_groups() {
    if (view_ || founding_.bound()) return;
    if (std::string why = founding_.two_groups(); !why.empty()) {
        log::warn(why);
        failure_ = libderecho::failure(DERECHO_INCOMPATIBLE, std::move(why));
    }
}

void Joining::ask(NodeId node) {
    ByteWriter body;
    body.number(options_.incarnation);
    body.text(options_.address);
    encode(body, founding_.standing());
    write_letter(mail_, node, Letter::join, body);
}

// ------------------------------------------------------------------------------------------------ peers

void Joining::peer_event(const PeerEvent& event) {
    switch (event.kind) {
        case PeerEvent::Kind::up:
            return up(event);
        case PeerEvent::Kind::lost:
            std::erase_if(peers_, [&](const Peer& p) { return p.node == event.peer; });
            founding_.is_gone(event.peer);
            return;
        case PeerEvent::Kind::refused:
            return refused(event);
        case PeerEvent::Kind::other_group:
            return;
    }
}

void Joining::up(const PeerEvent& event) {
    if (event.client) return;
    Contact* const contact = contact_at(event.address);
    Peer peer{event.peer, event.incarnation, event.address, event.dialed || contact, false, last_step_};
    peer.in_group = static_cast<bool>(event.group);
    peer.time_ns = event.time_ns;
    if (contact && event.dialed) peer.dialed_ns = std::exchange(contact->dialed_ns, 0);
    if (event.group && peer.trusted) founding_.is_in_group(event.peer, event.incarnation, event.group);
    peers_.push_back(std::move(peer));
}

// With a clock that was read after they came: this node may have been stopped in between.
void Joining::compare_clocks(uint64_t time_ns) {
    for (Peer& peer : peers_) {
        if (peer.compared || std::exchange(peer.just_came, false)) continue;
        peer.compared = true;
        std::string apart = clocks_apart(peer, time_ns);
        if (apart.empty()) {
            ask(peer.node);
            continue;
        }
        coverage::hit(coverage::Branch::clocks_apart);
        if (Contact* contact = contact_at(peer.address)) contact->why = apart;
        // A group is believed; of two nodes outside, either may be right, and others can do without it.
        if (peer.in_group) failure_ = libderecho::failure(DERECHO_INCOMPATIBLE, std::move(apart));
        peer.apart = true;
    }
    for (const Peer& peer : peers_)
        if (peer.apart) founding_.is_gone(peer.node);
    std::erase_if(peers_, &Peer::apart);
}

// Whatever the messages between took: only what is certain counts.
std::string Joining::clocks_apart(const Peer& peer, uint64_t time_ns) const {
    const uint64_t drift = options_.clock_drift.ns;
    const bool behind = peer.time_ns > time_ns + drift;
    const bool ahead = peer.dialed_ns > peer.time_ns + drift;
    if (!behind && !ahead) return {};
    return "the clock of this node is " + in_seconds(behind ? peer.time_ns - time_ns : peer.dialed_ns - peer.time_ns) +
           (behind ? " behind" : " ahead of") + " that of node " + std::to_string(raw(peer.node)) +
           "; they may differ by " + in_seconds(drift) +
           " (option clock_drift_ms): set it, by NTP for instance, and start again";
}

void Joining::refused(const PeerEvent& event) {
    if (event.peer == options_.self && event.status.code == DERECHO_INVALID) return own_address(event.address);
    if (Contact* contact = contact_at(event.address)) {
        contact->tried = true;
        contact->dialed_ns = 0;
        contact->is_there = event.accepted || event.incarnation != 0;
        contact->cut_off = event.status.code == DERECHO_EJECTED;
        contact->why = event.status.detail;
    }
    if (const Peer* peer = find(event.peer); peer && event.incarnation > peer->incarnation) {
        stale_.emplace_back(peer->node, peer->incarnation);
        founding_.is_gone(peer->node);
        std::erase_if(peers_, [&](const Peer& p) { return p.node == event.peer; });
        return;
    }
    if (event.status.code == DERECHO_INCOMPATIBLE || event.status.code == DERECHO_DUPLICATE) failure_ = event.status;
}

// A contact under another name than this node's own address, such as localhost, was this node after all.
void Joining::own_address(const std::string& contact) {
    if (std::ranges::find(options_.initial_members, contact) != options_.initial_members.end())
        founding_.own_address_is_initial();
    std::erase_if(contacts_, [&](const Contact& c) { return c.address == contact; });
}

// ------------------------------------------------------------------------------------------------ letters

// Of views and groups only those are believed whose address this node was given, by its options or by another of them.
void Joining::letter(const Mail::Letter& letter) {
    ByteReader in(letter.bytes);
    Peer* const peer = find(letter.from);
    if (!peer) return;
    peer->heard = last_step_;
    peer->not_yet.clear();
    switch (static_cast<Letter>(letter.kind)) {
        case Letter::join:
            in.number<uint64_t>();
            in.text(limits::address_bytes - 1);
            [[fallthrough]];
        case Letter::outside: {
            Outsider standing;
            if (!decode(in, standing) || !in.finished() || standing.incarnation != peer->incarnation) return;
            peer->outside = true;
            founding_.is_outside(peer->node, peer->address, std::move(standing));
            return;
        }
        case Letter::found:
            if (const GroupId group = read_group(in); in.finished() && peer->trusted)
                founding_.asked(peer->node, group);
            return;
        case Letter::granted:
            if (const GroupId group = read_group(in); in.finished()) founding_.granted(peer->node, group);
            return;
        case Letter::member_of:
        case Letter::leader:
            if (peer->trusted) leader_is(*peer, in);
            return;
        case Letter::view:
            if (peer->trusted) take(*peer, read_view(letter.bytes));
            return;
        case Letter::refused: {
            const auto code = in.number<int32_t>();
            std::string why = in.text(1024);
            if (in.good() && peer->trusted) failure_ = libderecho::failure(code, std::move(why));
            return;
        }
        case Letter::later:
            if (std::string why = in.text(1024); in.finished() && peer->trusted) {
                coverage::hit(coverage::Branch::told_to_wait);
                peer->not_yet = std::move(why);
            }
            return;
    }
}

void Joining::leader_is(Peer& peer, ByteReader& in) {
    const GroupId group = read_group(in);
    if (!in.good() || !group) return;
    peer.outside = false;
    founding_.is_in_group(peer.node, peer.incarnation, group);
    if (in.finished() || (founding_.bound() && founding_.bound() != group)) return;
    const std::string address = in.text(limits::address_bytes - 1);
    if (in.finished()) learn_contact(address);
}

void Joining::take(const Peer& peer, std::optional<View> view) {
    if (!view || !view->group || !view->holds(peer.node, peer.incarnation)) return;
    if (options_.client || !view->holds(options_.self, options_.incarnation)) return;
    if (founding_.may_enter(view->group)) view_ = std::move(view);
}

std::optional<View> Joining::take_view() { return std::exchange(view_, std::nullopt); }

// ------------------------------------------------------------------------------------------------ telling

std::string Joining::contacts_in_words() const {
    std::string text;
    for (const Contact& contact : contacts_) {
        if (std::ranges::find(peers_, contact.address, &Peer::address) != peers_.end()) continue;
        text += (text.empty() ? "" : ", ") + contact.address + " (" + contact.why + ")";
    }
    return text;
}

std::string Joining::waiting_for() const {
    const std::string own_view = "a view that holds node " + std::to_string(raw(options_.self));
    for (const Peer& peer : peers_)
        if (!peer.not_yet.empty()) return own_view + "; " + peer.not_yet;
    const std::string silent = contacts_in_words();
    if (const std::string founding = options_.client ? "" : founding_.waiting_for(); !founding.empty())
        return founding + (silent.empty() ? "" : "; not here: " + silent);
    if (peers_.empty()) return "a contact to answer: " + silent;
    if (!std::ranges::all_of(peers_, &Peer::outside)) return own_view;
    std::string text = own_view + "; only nodes answered that are in no group, or no more: ";
    for (const Peer& peer : peers_) text += (&peer == peers_.data() ? "" : ", ") + peer.address;
    return text + "; one of them has to found it: with option initial_members or found";
}

}  // namespace libderecho
