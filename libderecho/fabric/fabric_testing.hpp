// A fabric without a network, for tests and fuzz targets that play the peers themselves: they write the peers' memory.
// Every region is an allocation of its own, so that AddressSanitizer sees whoever reads past its end.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fabric/fabric.hpp"

namespace libderecho {

class FakeFabric : public Fabric {
public:
    explicit FakeFabric(NodeId self) : self_(self) {}

    // A peer's region that was looked for, in the order in which its regions were. Null if there is none (yet).
    std::span<std::byte> theirs(NodeId peer, size_t index) {
        size_t seen = 0;
        for (const auto& mirror : mirrors_)
            if (mirror->peer == peer && seen++ == index) return mirror->memory.bytes();
        return {};
    }
    std::span<std::byte> theirs(NodeId peer, RegionId id) {
        for (const auto& mirror : mirrors_)
            if (mirror->peer == peer && mirror->id == id) return mirror->memory.bytes();
        return {};
    }
    std::span<const std::byte> ours(RegionId id) const {
        for (const auto& own : own_)
            if (own->id == id) return own->bytes();
        return {};
    }
    std::vector<PeerEvent> events;  // what the next poll() reports

    NodeId self() const override { return self_; }
    void connect(std::string_view) override {}
    void disconnect(NodeId) override {}
    bool connected(NodeId) const override { return true; }
    Region* expose(RegionId id, size_t size, std::span<const NodeId>) override {
        own_.push_back(std::make_unique<Own>(id, size));
        return own_.back().get();
    }
    void retire(Region* region) override {
        std::erase_if(own_, [&](const auto& own) { return own.get() == region; });
    }
    // There at once, and as large as its reader expects: as the region of the same name here; or, if there is none, as
    // any of those between two nodes.
    std::span<const std::byte> mirror(NodeId peer, RegionId id) override {
        if (const auto known = theirs(peer, id); !known.empty()) return known;
        size_t size = 0;
        for (const auto& own : own_)
            if (own->id == id || (size == 0 && id.value >> 63 && own->id.value >> 63)) size = own->bytes().size();
        if (size == 0) return {};
        mirrors_.push_back(std::make_unique<Mirror>(Mirror{peer, id, Memory(size)}));
        return mirrors_.back()->memory.bytes();
    }
    void forget(NodeId peer, RegionId id) override {
        std::erase_if(mirrors_, [&](const auto& mirror) { return mirror->peer == peer && mirror->id == id; });
    }
    void push_data(Region&, size_t, size_t) override {}
    void push_counters(Region&, size_t, size_t) override {}
    void push_quietly(Region&, size_t, size_t) override {}
    void flush() override {}
    void poll(Instant, std::vector<PeerEvent>& out) override {
        for (PeerEvent& event : std::exchange(events, {})) out.push_back(std::move(event));
    }
    void arm() override {}
    void disarm() override {}
    void wait(Duration) override {}
    void wake() override {}
    bool crowded() const override { return false; }
    Stats stats() const override { return {}; }

private:
    struct Memory {
        explicit Memory(size_t size_bytes) : words(size_bytes / 8) {}
        std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words)); }
        std::vector<uint64_t> words;
    };
    struct Own final : Region {
        Own(RegionId name, size_t size) : id(name), memory(size) { bytes_ = memory.bytes(); }
        RegionId id;
        Memory memory;
    };
    struct Mirror {
        NodeId peer{};
        RegionId id;
        Memory memory;
    };

    const NodeId self_;
    std::vector<std::unique_ptr<Own>> own_;
    std::vector<std::unique_ptr<Mirror>> mirrors_;
};

// A word of a region.
inline uint64_t get(std::span<const std::byte> region, size_t offset) {
    uint64_t word = 0;
    std::memcpy(&word, region.data() + offset, sizeof word);
    return word;
}
inline void put(std::span<std::byte> region, size_t offset, uint64_t word) {
    std::memcpy(region.data() + offset, &word, sizeof word);
}

}  // namespace libderecho
