// The way in, from the outside: finds a contact, asks to be let in, founds the group if there is none. Also a client's
// way to the members. Driver only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/fabric.hpp"
#include "group/letters.hpp"
#include "group/options.hpp"

namespace libderecho {

class Joining {
public:
    Joining(const GroupOptions& options, Fabric& fabric, Mail& mail);

    void step(Instant now);
    Instant next_deadline() const { return next_try_; }
    void peer_event(const PeerEvent& event);
    void letter(const Mail::Letter& letter);

    // A view that holds this node, once there is one; the founder makes it itself.
    std::optional<View> take_view();
    // A client has a contact.
    bool connected() const { return !peers_.empty(); }
    // It can never succeed.
    const Status& failure() const { return failure_; }
    // What it is waiting for, for the error of a time-out.
    std::string waiting_for() const;

private:
    struct Contact {
        std::string address;
        bool refused = false;   // there is no connection to it
        bool answered = false;  // though it is there
        std::string why;
    };
    struct Peer {
        NodeId node{};
        std::string address;
        bool no_group = false;  // as it said itself
    };
    std::string waiting_for_view() const;
    std::string founder_hint() const;
    void own_address(const std::string& contact);
    bool may_found() const;
    void found();
    void ask(NodeId node);
    void learn_contact(const std::string& address);

    const GroupOptions& options_;
    Fabric& fabric_;
    Mail& mail_;
    bool is_first_contact_;
    std::vector<Contact> contacts_;  // without this node's own address
    std::vector<Peer> peers_;
    std::optional<View> view_;
    Status failure_;
    Instant next_try_;
};

}  // namespace libderecho
