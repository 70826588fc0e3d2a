// A region of this node's own, and who reads it over which wire. Driver thread.
#pragma once

#include <memory>
#include <vector>

#include "fabric/fabric.hpp"
#include "fabric/link_set.hpp"
#include "fabric/os/memory.hpp"

namespace libderecho {

// What lies behind a region; lives on while a queue refers to it.
struct RegionMemory {
    UniqueFd fd;  // none if no reader can map it
    Mapping mapping;
};

class TcpLink;
class VerbsLink;
class VerbsMemory;
struct VerbsRemote;

// A peer that reads a region over verbs, and what is known of its mirror there.
struct VerbsReader {
    VerbsLink* link;
    VerbsRemote* remote;
};

class OwnRegion final : public Region {
    RegionId id_;
    std::shared_ptr<const RegionMemory> memory_;  // outlives its key
    std::vector<NodeId> readers_;

public:
    OwnRegion(RegionId id, std::shared_ptr<const RegionMemory> memory, std::span<const NodeId> readers)
        : id_(id), memory_(std::move(memory)), readers_(readers.begin(), readers.end()) {
        bytes_ = memory_->mapping.bytes();
    }

    RegionId id() const { return id_; }
    const std::shared_ptr<const RegionMemory>& memory() const { return memory_; }
    bool is_read_by(NodeId node) const {
        for (const NodeId reader : readers_)
            if (reader == node) return true;
        return false;
    }

    LinkSet shm_readers;                // connected ones
    std::vector<TcpLink*> tcp_readers;  // connected ones
    std::vector<VerbsReader> verbs_readers;
    std::shared_ptr<VerbsMemory> verbs_key;  // once anybody reads it over verbs
};

}  // namespace libderecho
