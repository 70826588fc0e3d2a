// A view: who the members are, in rank order, and which of them hold the state of which shard.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace libderecho {

struct Member {
    NodeId node{};
    uint64_t incarnation = 0;
    uint64_t shards_with_state = 0;  // bit k: holds the state of shard k when the view starts
    std::string address;
    bool votes = false;  // counts where more than half of the view is asked for: it held every state by an earlier view
    bool operator==(const Member&) const = default;
};

struct View {
    ViewId id{};
    std::vector<Member> members;
    GroupId group{};
    uint64_t time_ns = 0;  // hybrid logical: everything delivered before it is no later, and what comes no earlier
    bool operator==(const View&) const = default;

    std::optional<Rank> rank_of(NodeId node) const;
    bool holds(NodeId node, uint64_t incarnation) const;
    std::vector<NodeId> nodes() const;
};

// What the members of a view agree on at its end: the next view, and how far each sender's messages are delivered in
// this one, as byte positions of rings, shard by shard, sender by sender.
struct Decision {
    View next;
    std::vector<uint64_t> trims;
    bool operator==(const Decision&) const = default;
};

// What a group is called from here on when it goes on without a majority, led by `leader`: others of it may do so, too.
GroupId branch_of(const View& view, NodeId leader);

void encode(ByteWriter& out, const View& view);
bool decode(ByteReader& in, View& view);
void encode(ByteWriter& out, const Decision& decision);
bool decode(ByteReader& in, Decision& decision);

// Most bytes that a decision about the successor of a view of so many members can take.
size_t decision_bytes_max(size_t members, size_t trims);

}  // namespace libderecho
