// The way in, from the outside: finds contacts, asks to be let in, takes part in founding the group where there is none
// (group/founding). Also a client's way to the members. Driver only.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/fabric.hpp"
#include "group/founding.hpp"
#include "group/letters.hpp"
#include "group/options.hpp"

namespace libderecho {

class Joining {
public:
    Joining(const GroupOptions& options, Fabric& fabric, Mail& mail, Founding& founding);

    // `time_ns`: what this node takes it to be.
    void step(Instant now, uint64_t time_ns);
    Instant next_deadline() const;
    void peer_event(const PeerEvent& event);
    void letter(const Mail::Letter& letter);

    // A view that holds this node, once there is one; who founds makes it itself.
    std::optional<View> take_view();
    // A client has a contact.
    bool connected() const { return !peers_.empty(); }
    // Links to earlier incarnations of nodes, which died unnoticed: to be cut off.
    std::vector<std::pair<NodeId, uint64_t>> take_stale() { return std::exchange(stale_, {}); }
    // It can never succeed.
    const Status& failure() const { return failure_; }
    // What it is waiting for, for the error of a time-out.
    std::string waiting_for() const;

private:
    struct Contact {
        std::string address;
        bool tried = false;      // the last attempt came to nothing
        bool is_there = false;   // something answered, or accepted the connection
        bool cut_off = false;    // it will not have this incarnation
        uint64_t dialed_ns = 0;  // this node's time, when it first did so since the last attempt ended
        std::string why;
    };
    struct Peer {
        NodeId node{};
        uint64_t incarnation = 0;
        std::string address;
        bool trusted = false;  // this node was given its address
        bool outside = false;  // as it said itself
        Instant heard{};       // from it
        bool in_group = false;
        uint64_t dialed_ns = 0;  // when this node dialed it, by its own clock; 0: it did not
        uint64_t time_ns = 0;    // what its clock showed after that, and before it came here
        bool just_came = true;   // since the clock was read
        bool compared = false;   // with this node's
        bool apart = false;      // and too far from it
        std::string not_yet{};   // why it lets nobody in now, as it said
    };
    Contact* contact_at(const std::string& address);
    Peer* find(NodeId node);
    bool may_found_alone() const;
    void up(const PeerEvent& event);
    void compare_clocks(uint64_t time_ns);
    std::string clocks_apart(const Peer& peer, uint64_t time_ns) const;
    void refused(const PeerEvent& event);
    bool is_silent(const Contact& contact, Instant now) const;
    void own_address(const std::string& contact);
    void ask(NodeId node);
    void learn_contact(const std::string& address);
    void leader_is(Peer& peer, ByteReader& in);
    void take(const Peer& peer, std::optional<View> view);
    void check_groups();
    std::string contacts_in_words() const;

    const GroupOptions& options_;
    Fabric& fabric_;
    Mail& mail_;
    Founding& founding_;
    std::vector<Contact> contacts_;  // without this node's own address
    std::vector<Peer> peers_;
    std::vector<std::pair<NodeId, uint64_t>> stale_;
    std::optional<View> view_;
    Status failure_;
    Instant next_try_;
    Instant last_step_;
};

}  // namespace libderecho
