// Strong ids: a rank is not a node id, a view id is not a count.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace libderecho {

enum class NodeId : uint32_t {};      // chosen by the operator, unique in a group
enum class Rank : uint32_t {};        // position of a member in a view
enum class ViewId : uint64_t {};      // 1, 2, 3, ...
enum class ShardIndex : uint32_t {};  // position of a shard in the group's layout

// One life of a node: an id and what tells it from the lives before.
struct NodeLife {
    NodeId node{};
    uint64_t incarnation = 0;
    bool operator==(const NodeLife&) const = default;
};

// Of one group, made when it is founded: a UUID. All zero: of none.
struct GroupId {
    uint64_t high = 0, low = 0;
    auto operator<=>(const GroupId&) const = default;
    explicit constexpr operator bool() const { return high != 0 || low != 0; }
};

// Such as "5b0e2c1a-93d4-4c7e-8f10-2a6b7c8d9e0f".
std::string to_text(const GroupId& id);
std::optional<GroupId> group_id_in(std::string_view text);

constexpr uint32_t raw(NodeId id) { return static_cast<uint32_t>(id); }
constexpr uint32_t raw(Rank rank) { return static_cast<uint32_t>(rank); }
constexpr uint64_t raw(ViewId id) { return static_cast<uint64_t>(id); }
constexpr uint32_t raw(ShardIndex index) { return static_cast<uint32_t>(index); }

}  // namespace libderecho
