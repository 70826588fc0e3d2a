// A region of this node's own, and who reads it over which wire. Driver thread.
#pragma once

#include <array>
#include <bit>
#include <memory>
#include <vector>

#include "base/limits.hpp"
#include "fabric/fabric.hpp"
#include "fabric/memory.hpp"

namespace libderecho {

// Links have slots, so that a set of them is a few words and pushing to many costs no more than pushing to one.
inline constexpr uint32_t kLinksMax = limits::links_max;

class LinkSet {
public:
    void add(uint32_t slot) { words_[slot / 64] |= 1ull << slot % 64; }
    void remove(uint32_t slot) { words_[slot / 64] &= ~(1ull << slot % 64); }
    bool has(uint32_t slot) const { return words_[slot / 64] >> slot % 64 & 1; }
    bool any() const { return (words_[0] | words_[1] | words_[2] | words_[3]) != 0; }
    void clear() { words_ = {}; }
    LinkSet& operator|=(const LinkSet& other) {
        for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
        return *this;
    }
    template <typename Visit>
    void for_each(Visit&& visit) const {
        for (uint32_t i = 0; i < words_.size(); ++i)
            for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1)
                visit(i * 64 + static_cast<uint32_t>(std::countr_zero(rest)));
    }

private:
    std::array<uint64_t, kLinksMax / 64> words_{};
};

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
