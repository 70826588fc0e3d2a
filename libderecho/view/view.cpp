#include "view/view.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace libderecho {

std::optional<Rank> View::rank_of(NodeId node) const {
    for (size_t r = 0; r < members.size(); ++r) {
        if (members[r].node == node) return Rank{static_cast<uint32_t>(r)};
    }
    return std::nullopt;
}

bool View::holds(NodeId node, uint64_t incarnation) const {
    return std::ranges::any_of(members,
                               [&](const Member& m) { return m.node == node && m.incarnation == incarnation; });
}

std::vector<NodeId> View::nodes() const {
    std::vector<NodeId> ids;
    for (const Member& member : members) ids.push_back(member.node);
    return ids;
}

GroupId branch_of(const View& view, NodeId leader) {
    const auto mixed = [](uint64_t z) {  // splitmix64
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    };
    const uint64_t place = mixed(raw(view.id) << 32 | raw(leader));
    constexpr uint64_t kVersion = 0xf000, kVariant = 3ull << 62;  // a UUID of version 8: made in a way of our own
    return {(mixed(view.group.high ^ place) & ~kVersion) | 0x8000,
            (mixed(view.group.low + place) & ~kVariant) | 2ull << 62};
}

void encode(ByteWriter& out, const View& view) {
    out.number(raw(view.id));
    out.number(view.group.high);
    out.number(view.group.low);
    out.number(view.time_ns);
    out.number(static_cast<uint32_t>(view.members.size()));
    for (const Member& member : view.members) {
        out.number(raw(member.node));
        out.number(member.incarnation);
        out.number(member.shards_with_state);
        out.number(static_cast<uint8_t>(member.votes));
        out.text(member.address);
    }
}

bool decode(ByteReader& in, View& view) {
    view.id = ViewId{in.number<uint64_t>()};
    view.group.high = in.number<uint64_t>();
    view.group.low = in.number<uint64_t>();
    view.time_ns = in.number<uint64_t>();
    if (raw(view.id) > limits::view_max) return false;  // no version has room for it
    view.members.resize(in.count(limits::members_max));
    for (Member& member : view.members) {
        member.node = NodeId{in.number<uint32_t>()};
        member.incarnation = in.number<uint64_t>();
        member.shards_with_state = in.number<uint64_t>();
        const auto votes = in.number<uint8_t>();
        member.votes = votes == 1;
        member.address = in.text(limits::address_bytes - 1);
        const auto same = [&](const Member& other) { return &other != &member && other.node == member.node; };
        if (!in.good() || votes > 1 || std::any_of(view.members.data(), &member, same)) return false;
    }
    return in.good();
}

void encode(ByteWriter& out, const Decision& decision) {
    encode(out, decision.next);
    out.number(static_cast<uint32_t>(decision.trims.size()));
    for (uint64_t trim : decision.trims) out.number(trim);
}

bool decode(ByteReader& in, Decision& decision) {
    if (!decode(in, decision.next)) return false;
    decision.trims.resize(in.count(limits::members_max * limits::shards_max));
    for (uint64_t& trim : decision.trims) trim = in.number<uint64_t>();
    return in.finished();
}

size_t decision_bytes_max(size_t members, size_t trims) {
    const size_t next = std::min<size_t>(limits::members_max, members + limits::joins_per_view_max);
    return 40 + next * (4 + 8 + 8 + 1 + 4 + limits::address_bytes) + trims * 8;
}

}  // namespace libderecho
