// A fabric without a network, for tests and fuzz targets that play the peers themselves: they write the peers' memory.
// Every region is an allocation of its own, so that AddressSanitizer sees whoever reads past its end.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "fabric/fabric.hpp"

namespace libderecho {

// Devices whose part the test plays: it looks at what was asked for, and says what became of it.
class FakeDirect : public DirectAccess, public std::enable_shared_from_this<FakeDirect> {
public:
    struct Asked {
        bool read = false, fenced = false;
        uint64_t address = 0, size_bytes = 0;
        uint32_t remote_key = 0;
        std::vector<std::span<std::byte>> pieces;
    };
    // What becomes of connections; nothing: they are under way.
    std::optional<Status> connects = Status{};
    bool asks() const { return asker_ != nullptr; }
    uint32_t servers() const { return servers_; }
    uint32_t memories() const { return memories_; }
    // What is under way, oldest first.
    std::vector<Asked> asked() const { return asker_ ? asker_->asked : std::vector<Asked>{}; }
    // The oldest is carried out; what is read is all `value`.
    void carry_out(std::byte value) {
        if (!asker_ || asker_->asked.empty() || !asker_->why.ok()) return;
        const Asked& one = asker_->asked.front();
        if (one.read)
            for (const auto piece : one.pieces) std::memset(piece.data(), static_cast<int>(value), piece.size());
        asker_->asked.erase(asker_->asked.begin());
        ++asker_->done;
    }
    void fail() {
        if (asker_) asker_->why = failure(DERECHO_UNREACHABLE, "a request failed");
    }

    Limits limits() const override { return {.pieces_max = 2, .request_bytes_max = 100, .worth_bytes = 50}; }
    Status register_pieces(const DirectBuffer&, std::unique_ptr<DirectMemory>& out) override {
        out = std::make_unique<Memory>(*this, 77);
        return {};
    }
    Status show(const DirectBuffer&, Rights, std::unique_ptr<DirectMemory>& out) override {
        out = std::make_unique<Memory>(*this, 88);
        return {};
    }
    Status ask(std::unique_ptr<DirectAsker>& out) override {
        out = std::make_unique<Asker>(shared_from_this());
        return {};
    }
    Status serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) override {
        if (asker[0] == std::byte{0xff}) return failure(DERECHO_UNREACHABLE, "there is no such peer");
        out = std::make_unique<Server>(shared_from_this());
        return {};
    }

private:
    struct Memory final : DirectMemory {
        Memory(FakeDirect& of, uint32_t key) : all(of.shared_from_this()) {
            key_ = key;
            ++all->memories_;
        }
        ~Memory() override { --all->memories_; }
        std::shared_ptr<FakeDirect> all;
    };
    struct Asker final : DirectAsker {
        explicit Asker(std::shared_ptr<FakeDirect> of) : all(std::move(of)) { all->asker_ = this; }
        ~Asker() override { all->asker_ = nullptr; }
        DirectEndpoint endpoint() const override { return {std::byte{1}}; }
        void connect(const DirectEndpoint& theirs) override { possible = theirs[0] != std::byte{0xff}; }
        std::optional<Status> connected() override {
            const std::optional<Status> outcome =
                possible ? all->connects : failure(DERECHO_UNREACHABLE, "there is no such peer");
            joined = outcome && outcome->ok();
            return outcome;
        }
        void post(const Request& request) override {
            DERECHO_ASSERT(joined);
            Asked one{request.read, request.fenced, request.address, 0, request.remote_key, {}};
            for (const Piece& piece : request.pieces) {
                one.pieces.push_back(piece.bytes);
                one.size_bytes += piece.bytes.size();
            }
            asked.push_back(std::move(one));
        }
        uint32_t take_done() override { return std::exchange(done, 0); }
        const Status& broken() const override { return why; }
        bool settled() const override { return !why.ok(); }

        std::shared_ptr<FakeDirect> all;
        std::vector<Asked> asked;
        bool possible = true, joined = false;
        uint32_t done = 0;
        Status why;
    };
    struct Server final : DirectServer {
        explicit Server(std::shared_ptr<FakeDirect> of) : all(std::move(of)) { ++all->servers_; }
        ~Server() override { --all->servers_; }
        DirectEndpoint endpoint() const override { return {std::byte{2}}; }
        std::optional<Status> connected() override { return all->connects; }
        std::shared_ptr<FakeDirect> all;
    };

    Asker* asker_ = nullptr;
    uint32_t servers_ = 0, memories_ = 0;
};

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
    std::span<const std::byte> ours(size_t index) const { return own_.at(index)->bytes(); }
    std::span<const std::byte> ours(RegionId id) const {
        for (const auto& own : own_)
            if (own->id == id) return own->bytes();
        return {};
    }
    std::vector<PeerEvent> events;  // what the next poll() reports
    std::map<NodeId, std::shared_ptr<FakeDirect>> devices;

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
    std::shared_ptr<DirectAccess> direct(NodeId peer) override {
        const auto found = devices.find(peer);
        return found == devices.end() ? nullptr : found->second;
    }
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
