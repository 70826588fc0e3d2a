// The messages of a verbs link, right and wrong, in pieces, while regions come and go at this end and writes land late.
// A lie costs the peer its link, the truth does not; nothing is written but where the peer said, from memory that is
// there; and what the peer may write to is mapped.
#include <sys/socket.h>
#include <map>

#include "fabric/verbs/link.hpp"
#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::read_all;
using fuzz::require;

constexpr MirrorTable::Limits kLimits{.region_bytes_max = 1 << 20, .total_bytes_max = 1 << 22, .regions_max = 16};
constexpr uint64_t kRegionBytes = 12 << 10, kTheirsMax = 12;
constexpr uint64_t kControlAddress = 0x1000;
constexpr uint32_t kControlKey = 1, kDepth = 8, kInlineBytes = 64;

// Memory that somebody registered: what the device could read, or the peer write to.
using Registered = std::map<uint32_t, std::span<std::byte>>;

struct Key final : VerbsMemory {
    Key(Registered& all, std::span<std::byte> memory) : all_(all) {
        static uint32_t last = 0;
        local_key_ = remote_key_ = ++last;
        all_[local_key_] = memory;
    }
    ~Key() override { all_.erase(local_key_); }
    Registered& all_;
};

// What the peer has said that it may be written: by key and address.
struct Allowed {
    uint32_t key;
    uint64_t address, size_bytes;
};

class Pair final : public VerbsPair {
public:
    Pair(const Registered& registered, const std::vector<Allowed>& allowed)
        : registered_(registered), allowed_(allowed) {}

    VerbsEndpoint endpoint() const override { return {}; }
    void fence() override {}
    void connect(const VerbsEndpoint&) override {}
    std::optional<Status> connected() override { return Status{}; }
    uint32_t inline_bytes_max() const override { return kInlineBytes; }
    uint32_t write_bytes_max() const override { return 5000; }
    uint32_t room() const override { return kDepth - static_cast<uint32_t>(added_ - landed_); }
    void add(const Write& write, bool) override {
        require(room() > 0);
        require(std::ranges::any_of(allowed_, [&](const Allowed& a) {
            return a.key == write.remote_key && write.to - a.address <= a.size_bytes &&
                   write.size_bytes <= a.size_bytes - (write.to - a.address);
        }));
        const auto* from = static_cast<const std::byte*>(write.from);
        read_all({from, write.size_bytes});
        if (write.size_bytes > kInlineBytes) {
            const auto memory = registered_.at(write.local_key);
            require(from >= memory.data() && from + write.size_bytes <= memory.data() + memory.size());
        }
        ++added_;
        chained_ = true;
    }
    bool chained() const override { return chained_; }
    void post(Wake) override { chained_ = false; }
    uint64_t added() const override { return added_; }
    uint64_t landed() const override { return landed_; }
    void land(uint64_t count) { landed_ += std::min(count, added_ - landed_); }
    const Status& broken() const override { return ok_; }
    bool take_wake(Wake) override { return false; }

private:
    const Registered& registered_;
    const std::vector<Allowed>& allowed_;
    uint64_t added_ = 0, landed_ = 0;
    bool chained_ = false;
    Status ok_;
};

class Device final : public VerbsDevice {
public:
    const std::string& name() const override { return name_; }
    const VerbsAddress& address() const override { return address_; }
    Status register_memory(std::span<std::byte> memory, bool, std::shared_ptr<VerbsMemory>& out) override {
        out = std::make_shared<Key>(registered, memory);
        return {};
    }
    Status make_pair(bool, std::unique_ptr<VerbsPair>& out) override {
        auto made = std::make_unique<Pair>(registered, allowed);
        pair = made.get();
        out = std::move(made);
        return {};
    }
    void poll() override {}
    void bury(std::shared_ptr<void>) override {}  // at once
    void arm() override {}
    int wake_fd() const override { return -1; }
    int event_fd() const override { return -1; }
    Status take_events() override { return {}; }
    std::shared_ptr<VerbsDirect> make_direct() override { return nullptr; }
    bool connecting() const override { return false; }
    Fabric::RdmaCounts counts() const override { return {}; }

    Registered registered;
    std::vector<Allowed> allowed{{kControlKey, kControlAddress, kVerbsControlBytes}};
    Pair* pair = nullptr;

private:
    std::string name_ = "fuzz";
    VerbsAddress address_;
};

// The link at this end, and the peer at the other.
class World {
public:
    World() : mirrors_(kLimits) {
        int ends[2];
        require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        peer_.reset(ends[1]);
        VerbsParts parts;
        require(parts.make(device_, true).ok());
        control_ = parts.control.bytes();
        parts.theirs.control_address = kControlAddress;
        parts.theirs.control_key = kControlKey;
        link_ = std::make_unique<VerbsLink>(std::move(parts), UniqueFd(ends[0]), device_, mirrors_, 1 << 24);
    }

    // One thing that the peer or this end does; false once the peer is lost.
    bool act(Input& input) {
        switch (input.below(16)) {
            case 0:
                if (theirs_ < kTheirsMax) say(input, VerbsMessageKind::announce, theirs_++, kRegionBytes);
                break;
            case 1:
            case 2:
                answer(input);
                break;
            case 3:
                if (retired_ < keyed_) say(input, VerbsMessageKind::retired, retired_++);
                break;
            case 4:
                lie(input);
                break;
            case 5: {
                const auto word = static_cast<std::ptrdiff_t>(8 * input.below(8));
                const uint64_t value = input.lie(1);
                std::memcpy(control_.data() + word, &value, sizeof value);
                break;
            }
            case 6:
                expose();
                break;
            case 7:
                if (!own_.empty()) {
                    const size_t which = input.below(own_.size());
                    link_->retire(*own_[which].remote);
                    own_.erase(own_.begin() + static_cast<std::ptrdiff_t>(which));
                }
                break;
            case 8:
                link_->forget({input.below(kTheirsMax)});
                break;
            case 9:
            case 10:
            case 11:
                push(input);
                break;
            case 12:
                link_->tell(input.below(4));
                break;
            case 13:
                device_.pair->land(input.below(kDepth));
                break;
            case 14:
                link_->flush();
                break;
            default:
                return look();
        }
        return true;
    }
    bool look() {
        Status status = link_->receive();
        if (status.ok()) status = link_->step();
        if (status.ok()) status = link_->send();
        require(status.ok() || lied_);
        for (const auto& [key, memory] : device_.registered) read_all(memory);
        hear();
        return status.ok();
    }

private:
    struct Own {
        std::unique_ptr<OwnRegion> region;
        VerbsRemote* remote;
    };

    void send(Input& input, std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const auto piece = bytes.first(input.below(4) ? bytes.size() : std::min<size_t>(bytes.size(), 7));
            require(::send(peer_.get(), piece.data(), piece.size(), MSG_DONTWAIT) == std::ssize(piece) || lied_);
            bytes = bytes.subspan(piece.size());
            if (!bytes.empty()) lied_ = !link_->receive().ok() || lied_;  // only what was a lie before can fail it
        }
    }
    void say(Input& input, VerbsMessageKind kind, uint64_t region, uint64_t size_bytes = 0, uint64_t address = 0,
             uint32_t key = 0) {
        VerbsMessage message;
        message.kind = static_cast<uint32_t>(kind);
        message.region = region;
        message.size_bytes = size_bytes;
        message.address = address;
        message.key = key;
        send(input, std::as_bytes(std::span(&message, 1)));
    }
    // The truth, or not wanted, of a region that was announced to it.
    void answer(Input& input) {
        if (asked_.empty()) return;
        const uint64_t region = asked_.front();
        asked_.erase(asked_.begin());
        if (input.below(4) == 0) return say(input, VerbsMessageKind::unwanted, region);
        const auto key = static_cast<uint32_t>(100 + region);
        device_.allowed.push_back({key, region << 32, kRegionBytes});
        say(input, VerbsMessageKind::key, region, 0, region << 32, key);
    }
    void lie(Input& input) {
        VerbsMessage message;
        message.kind = static_cast<uint32_t>(input.below(6));
        message.region = input.lie(theirs_);
        message.address = input.lie(1ull << 32);
        message.size_bytes = input.lie(kRegionBytes);
        message.key = input.number<uint8_t>();
        // Where it says, there it will be written, true or not.
        device_.allowed.push_back({message.key, message.address, kRegionBytes});
        lied_ = true;
        send(input, input.damaged(std::as_bytes(std::span(&message, 1))));
    }
    void expose() {
        if (ours_ == 8) return;
        auto memory = std::make_shared<RegionMemory>();
        require(map_anonymous(kRegionBytes, memory->mapping).ok());
        std::memset(memory->mapping.data() + 5000, 1, 3000);
        Own own{std::make_unique<OwnRegion>(RegionId{ours_++}, memory, std::span<const NodeId>{}), nullptr};
        std::shared_ptr<VerbsMemory> key;
        require(device_.register_memory(memory->mapping.bytes(), false, key).ok());
        own.remote = &link_->announce(*own.region, key);
        link_->push_contents(*own.remote);
        own_.push_back(std::move(own));
    }
    void push(Input& input) {
        if (own_.empty()) return;
        VerbsRemote& remote = *own_[input.below(own_.size())].remote;
        const uint64_t offset = input.number<uint16_t>() % (kRegionBytes - 4096);
        const uint64_t size = 1 + input.number<uint16_t>() % 4096;
        input.below(2) ? link_->push_data(remote, offset, size) : link_->push_counters(remote, offset, size, true);
    }
    // What the link said: of regions to be announced, and keys that may be retired from now on.
    void hear() {
        VerbsMessage message;
        while (::recv(peer_.get(), &message, sizeof message, MSG_DONTWAIT) == ssize_t{sizeof message}) {
            const auto kind = static_cast<VerbsMessageKind>(message.kind);
            if (kind == VerbsMessageKind::announce) asked_.push_back(message.region);
            if (kind == VerbsMessageKind::key || kind == VerbsMessageKind::unwanted) ++keyed_;
        }
    }

    Device device_;
    MirrorTable mirrors_;
    UniqueFd peer_;
    std::vector<Own> own_;
    std::unique_ptr<VerbsLink> link_;
    std::span<std::byte> control_;
    std::vector<uint64_t> asked_;
    uint64_t theirs_ = 0, ours_ = 0, keyed_ = 0, retired_ = 0;
    bool lied_ = false;
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    libderecho::Input input(data, size);
    libderecho::World world;
    while (input.more())
        if (!world.act(input)) return 0;
    world.look();
    return 0;
}
