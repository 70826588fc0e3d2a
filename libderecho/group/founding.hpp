// Who founds the group, once. Founding is a decision: of one node that was told to (`found`), or of a majority of the
// `initial_members`, all of which are in no group.
//
// Of the latter the one with the lowest id asks the others to grant it the founding. Who grants it to one writes that
// down first and grants it to nobody else, not even after a restart, until that one says that it has given up: it can,
// for it alone decides. With the grants of a majority it writes down that it founds, and does. Two majorities have a
// member in common, so there is one group.
//
// Who was in a group comes back to it. It is free again when the group is known to be over: the newest view that
// anybody present knows of is of nodes that are all present, and all no longer in it. Driver only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "group/letters.hpp"
#include "group/marker.hpp"
#include "group/options.hpp"
#include "store/marker_store.hpp"

namespace libderecho {

// What a node that is in no view tells others about itself.
struct Outsider {
    uint64_t incarnation = 0;
    bool ended = false;         // it was in a view, in this very incarnation
    uint64_t initial_hash = 0;  // of its initial_members; 0: it is none of them
    GroupId candidate{};        // the group that it asks to found, at the moment
    GroupId over{};             // the group that it has found to be over last: it will not enter it any more
    Marker marker;
};
void encode(ByteWriter& out, const Outsider& standing);
bool decode(ByteReader& in, Outsider& standing);

class Founding {
public:
    // `store` may be null: nothing outlives this incarnation then.
    Founding(const GroupOptions& options, MarkerStore* store, Mail& mail);

    // An address of initial_members turned out to be this node's own.
    void own_address_is_initial() { initial_ = true; }
    bool initial() const { return initial_; }

    // ---- what is heard of nodes that are connected
    void is_outside(NodeId node, const std::string& address, Outsider standing);
    void is_in_group(NodeId node, uint64_t incarnation, GroupId group);
    void is_gone(NodeId node);
    void asked(NodeId node, GroupId group);    // to grant it
    void granted(NodeId node, GroupId group);  // to this node

    // Decide what can be decided, send what is due. `ask_again`: requests may have been lost.
    void step(bool ask_again);
    // This node founds alone, as it was told to.
    void found_alone();
    // step() has to be called soon: what was written down is not safe yet.
    bool awaits_disk() const { return founds_ || grant_owed_; }
    // The first view, once: it is written down that this node founds.
    std::optional<View> take_view();

    Outsider standing() const;
    // The group that this node comes back to, and no other; none: it is free.
    GroupId bound() const { return marker_.known.group; }
    bool must_go_back() const { return bound() && !founds_; }
    bool may_enter(GroupId group) const { return bound() ? bound() == group : group != over_; }
    // Of two groups that others are in at the same time, a sentence.
    std::string two_groups() const;
    std::string waiting_for() const;
    const Marker& marker() const { return marker_; }

    // ---- of a member
    void entered(const View& view) { remember({Marker::Kind::member, view}); }
    // Whether this node would know that view after a restart. Who forgets who came in by it, and by the one after, may
    // take the group for over while those go on with it.
    bool knows_its_view() const { return !store_ || store_->saved(); }
    static constexpr Duration kDiskLook = milliseconds(1);
    // `next` goes on without it.
    void left(const View& next);
    void ended() { ended_ = true; }

private:
    struct Seen {
        NodeId node{};
        GroupId group{};  // none: it is outside
        std::string address;
        Outsider standing;
    };
    Seen* find(NodeId node);
    const Seen* find(NodeId node) const { return const_cast<Founding*>(this)->find(node); }
    void remember(Marker marker);
    bool is_over(const View& known) const;
    const View& newest_of(GroupId group) const;
    void forget_what_is_over();
    bool grant_is_void() const;
    bool is_free(const Seen& seen) const;
    bool anybody_in_group() const;
    size_t free_initials() const;
    bool should_ask() const;
    void ask_for_grants();
    void send_grant();
    bool enough(size_t nodes) const { return 2 * nodes > options_.initial_members.size(); }
    std::string waiting_for_group() const;

    const GroupOptions& options_;
    MarkerStore* store_;
    Mail& mail_;
    Marker marker_;
    bool initial_;
    const uint64_t initial_hash_;
    bool ended_ = false;
    std::vector<Seen> seen_;
    GroupId over_{};
    GroupId candidate_{};         // this node asks for grants of it
    std::vector<NodeId> grants_;  // by others
    uint64_t attempts_ = 0;
    bool founds_ = false;               // as soon as that is written down
    std::optional<NodeId> grant_owed_;  // to be sent when it is written down
};

}  // namespace libderecho
