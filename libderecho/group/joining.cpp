#include "group/joining.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace libderecho {

Joining::Joining(const GroupOptions& options, Fabric& fabric, Mail& mail)
    : options_(options),
      fabric_(fabric),
      mail_(mail),
      is_first_contact_(options.contacts.empty() || options.contacts.front() == options.address) {
    for (const std::string& address : options.contacts) learn_contact(address);
}

void Joining::learn_contact(const std::string& address) {
    const auto same = [&](const Contact& c) { return c.address == address; };
    if (address == options_.address || std::ranges::any_of(contacts_, same)) return;
    if (contacts_.size() < limits::members_max) contacts_.push_back({address, false, false, "no answer yet"});
}

void Joining::step(Instant now) {
    if (!failure_.ok() || view_) return;
    if (may_found()) return found();
    if (now < next_try_) return;
    next_try_ = now + options_.retry_contact;
    for (const Contact& contact : contacts_) {
        const auto same = [&](const Peer& p) { return p.address == contact.address; };
        if (std::ranges::none_of(peers_, same)) fabric_.connect(contact.address);
    }
    if (options_.client) return;
    for (const Peer& peer : peers_) ask(peer.node);
}

// The first contact founds the group when it is sure to be alone: all others are either down or as groupless as itself.
// Who answers, but cannot be linked with, may be in a group.
bool Joining::may_found() const {
    if (options_.client || !is_first_contact_) return false;
    const bool others_groupless = std::ranges::all_of(peers_, [](const Peer& p) { return p.no_group; });
    const bool all_answered = std::ranges::all_of(contacts_, [&](const Contact& contact) {
        return (contact.refused && !contact.answered) ||
               std::ranges::any_of(peers_, [&](const Peer& p) { return p.address == contact.address; });
    });
    return others_groupless && all_answered;
}

void Joining::found() {
    View view{ViewId{1}, {}};
    view.members.push_back({options_.self, options_.incarnation, ~0ull, options_.address});
    view_ = std::move(view);
    log::info("node " + std::to_string(raw(options_.self)) + " founds the group");
}

void Joining::ask(NodeId node) {
    ByteWriter body;
    body.number(options_.incarnation);
    body.text(options_.address);
    write_letter(mail_, node, Letter::join, body);
}

void Joining::peer_event(const PeerEvent& event) {
    const auto contact = std::ranges::find_if(contacts_, [&](const Contact& c) { return c.address == event.address; });
    switch (event.kind) {
        case PeerEvent::Kind::up:
            if (event.client) return;
            peers_.push_back({event.peer, event.address, false});
            if (!options_.client) ask(event.peer);
            return;
        case PeerEvent::Kind::lost:
            std::erase_if(peers_, [&](const Peer& p) { return p.node == event.peer; });
            return;
        case PeerEvent::Kind::refused:
            if (event.peer == options_.self && event.status.code == DERECHO_INVALID) return own_address(event.address);
            if (contact != contacts_.end()) {
                contact->refused = true;
                contact->answered = event.incarnation != 0;
                contact->why = event.status.detail;
            }
            if (event.status.code == DERECHO_INCOMPATIBLE || event.status.code == DERECHO_DUPLICATE) {
                failure_ = event.status;
            }
            return;
    }
}

// A contact under another name than this node's own address, such as localhost, was this node after all.
void Joining::own_address(const std::string& contact) {
    is_first_contact_ |= contact == options_.contacts.front();
    std::erase_if(contacts_, [&](const Contact& c) { return c.address == contact; });
}

void Joining::letter(const Mail::Letter& letter) {
    ByteReader in(letter.bytes);
    const auto peer = std::ranges::find_if(peers_, [&](const Peer& p) { return p.node == letter.from; });
    switch (static_cast<Letter>(letter.kind)) {
        case Letter::no_group:
            if (peer != peers_.end()) peer->no_group = true;
            return;
        case Letter::leader: {
            const std::string address = in.text(limits::address_bytes - 1);
            if (peer != peers_.end()) peer->no_group = false;
            if (in.good() && !address.empty()) learn_contact(address);
            return;
        }
        case Letter::view: {
            auto view = read_view(letter.bytes);
            if (view && view->holds(options_.self, options_.incarnation)) view_ = std::move(view);
            return;
        }
        case Letter::refused: {
            const auto code = in.number<int32_t>();
            std::string why = in.text(1024);
            if (in.good()) failure_ = libderecho::failure(code, std::move(why));
            return;
        }
        default:
            return;
    }
}

std::optional<View> Joining::take_view() { return std::exchange(view_, std::nullopt); }

std::string Joining::waiting_for() const {
    if (!peers_.empty()) return waiting_for_view();
    if (contacts_.empty()) return "contacts: none was given but this node itself, which is not the first of them";
    std::string text = "a contact to answer:";
    for (const Contact& contact : contacts_) {
        text += (&contact == contacts_.data() ? " " : ", ") + contact.address + " (" + contact.why + ")";
    }
    return text + founder_hint();
}

std::string Joining::waiting_for_view() const {
    const std::string view = "a view that holds node " + std::to_string(raw(options_.self));
    std::string groupless;
    for (const Peer& peer : peers_) {
        if (!peer.no_group) return view;
        groupless += (groupless.empty() ? "" : ", ") + peer.address;
    }
    return view + "; only nodes answered that are in no group, or no more: " + groupless + founder_hint();
}

std::string Joining::founder_hint() const {
    if (options_.client || is_first_contact_) return "";
    const std::string& first = options_.contacts.front();
    const auto is_there = [&](const Contact& contact) { return contact.address == first && contact.answered; };
    if (std::ranges::any_of(contacts_, is_there)) return "";
    return "; " + first + ", the first contact, founds the group: start that node first";
}

}  // namespace libderecho
