// Strong ids: a rank is not a node id, a view id is not a count.
#pragma once

#include <cstdint>

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

constexpr uint32_t raw(NodeId id) { return static_cast<uint32_t>(id); }
constexpr uint32_t raw(Rank rank) { return static_cast<uint32_t>(rank); }
constexpr uint64_t raw(ViewId id) { return static_cast<uint64_t>(id); }
constexpr uint32_t raw(ShardIndex index) { return static_cast<uint32_t>(index); }

}  // namespace libderecho
