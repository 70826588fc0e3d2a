// A shard's multicast among peers whose counters and rings hold anything: whatever is delivered lies within the ring it
// came from, and a peer that breaks the rules is reported or harmless.
#include "fabric/fabric_testing.hpp"
#include "group/shard_epoch.hpp"
#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr RegionId kRegion{1 << 8 | 1};
constexpr uint64_t kRingBytes = 1024;  // much smaller than real ones, so that it wraps around soon
constexpr size_t kEventsMax = 16;

class Member {
public:
    explicit Member(Input& input)
        : input_(input),
          members_(2 + input.below(3)),
          self_(input.below(members_)),
          columns_(members_, kRingBytes),
          fabric_(node(self_)),
          writer_(kRingBytes),
          epoch_(fabric_, kRegion, {ViewId{1}, ShardIndex{0}, Rank{static_cast<uint32_t>(self_)}, nodes()}, kRingBytes,
                 clock_),
          peers_(members_) {
        epoch_.start(writer_, {});
        step();
    }

    void live() {
        while (input_.more()) {
            switch (input_.below(10)) {
                case 0:
                    send();
                    break;
                case 1:
                    acknowledge();
                    break;
                case 2:
                case 3:
                case 4:
                    peer_sends();
                    break;
                case 5:
                    peer_lies();
                    break;
                case 6:
                    scribble();
                    break;
                case 7:
                    release();
                    break;
                case 8:
                    if (input_.below(16) == 0) finish();
                    break;
                default:
                    break;
            }
            step();
            take();
        }
    }

private:
    struct Peer {
        uint64_t sent = 0, rounds = 0;
    };

    static NodeId node(size_t rank) { return NodeId{static_cast<uint32_t>(10 + rank)}; }
    std::vector<NodeId> nodes() const {
        std::vector<NodeId> result;
        for (size_t r = 0; r < members_; ++r) result.push_back(node(r));
        return result;
    }
    std::span<std::byte> row(size_t r) { return fabric_.theirs(node(r), kRegion); }
    // Any member but this one.
    size_t pick_peer() { return (self_ + 1 + input_.below(members_ - 1)) % members_; }

    void step() {
        const Instant now{++steps_ * 1'000'000};
        clock_.read({now, now.ns});
        epoch_.step(writer_, now);
        require(!has(epoch_.offenders(), self_) || blame_is_open_);
    }

    void send() {
        Claim claim;
        const uint64_t size = input_.below(200);
        if (writer_.claim(size, claim) != RingWriter::Result::ok) return;
        std::memset(claim.payload, 1, size);
        require(writer_.commit(claim, FrameKind::message, 0, size - input_.below(size + 1)));
    }

    // As an honest peer does: it has what everybody sent, and needs none of it any more.
    void acknowledge() {
        const size_t r = pick_peer();
        for (size_t s = 0; s < members_; ++s) {
            const uint64_t sent = s == self_ ? writer_.published_bytes() : peers_[s].sent;
            put(row(r), columns_.received + 8 * s, sent);
            put(row(r), columns_.released + 8 * s, sent);
        }
    }

    // A frame where the next one of this peer belongs, and the counters that go with it: right but for what the fuzzer
    // makes of the frame.
    void peer_sends() {
        const size_t r = pick_peer();
        Peer& peer = peers_[r];
        FrameTag tag{};
        tag.kind = static_cast<FrameKind>(input_.below(8));
        tag.flags = input_.number<uint8_t>();
        tag.size_bytes = static_cast<uint32_t>(input_.lie(input_.below(200)));
        const uint64_t offset = peer.sent % kRingBytes, whole = whole_frame_bytes(tag);
        const uint64_t word = std::bit_cast<uint64_t>(tag);
        put(row(r), columns_.ring + offset, word);
        if (offset + 16 <= kRingBytes) put(row(r), columns_.ring + offset + 8, input_.number<uint8_t>());
        peer.sent += whole <= kRingBytes - offset ? align8(whole) : kRingBytes - offset;
        peer.rounds += tag.kind == FrameKind::nulls ? tag.size_bytes : tag.kind == FrameKind::pad ? 0 : 1;
        put(row(r), columns_.sent_rounds, peer.rounds);
        put(row(r), columns_.sent, peer.sent);
        put(row(r), columns_.received + 8 * r, peer.sent);
    }

    void peer_lies() {
        const size_t r = pick_peer(), s = input_.below(members_);
        const uint64_t sent = s == self_ ? writer_.published_bytes() : peers_[s].sent;
        switch (input_.below(4)) {
            case 0:
                return put(row(r), columns_.sent, input_.lie(peers_[r].sent));
            case 1:
                return put(row(r), columns_.sent_rounds, input_.lie(peers_[r].rounds));
            case 2:
                return put(row(r), columns_.received + 8 * s, input_.lie(sent));
            default:
                return put(row(r), columns_.released + 8 * s, input_.lie(sent));
        }
    }

    void scribble() {
        const auto ring = row(pick_peer()).subspan(columns_.ring);
        const size_t at = input_.number<uint16_t>() % kRingBytes;
        const auto bytes = input_.bytes(1 + input_.below(32));
        std::copy_n(bytes.begin(), std::min(bytes.size(), kRingBytes - at), ring.begin() + static_cast<ptrdiff_t>(at));
    }

    void take() {
        derecho_event events[kEventsMax];
        const size_t most = input_.below(kEventsMax + 1);
        if (leases_.full()) return;
        const size_t taken = epoch_.take(std::span(events, most), leases_, batch_);
        require(taken <= most);
        for (const derecho_event& event : std::span(events, taken))
            fuzz::read_all({static_cast<const std::byte*>(event.data), event.size_bytes});
        if (const uint64_t lease = leases_.open(batch_)) held_.push_back(lease);
    }

    void release() {
        for (size_t n = input_.below(8); n > 0 && !held_.empty(); --n) {
            require(leases_.release(held_.front()));
            held_.erase(held_.begin());
        }
        leases_.retire();
    }

    void finish() {
        if (!std::exchange(wedged_, true)) epoch_.wedge();
        std::vector<uint64_t> trims;
        epoch_.append_trims(first_ranks(members_), trims);
        if (input_.below(2)) trims[input_.below(members_)] = input_.lie(trims[0]);
        if (finished_ || !epoch_.finish(trims)) return;
        finished_ = true;
        blame_is_open_ = true;
        (void)epoch_.own_end();
    }

    Input& input_;
    const size_t members_;
    const size_t self_;
    const ShardColumns columns_;
    FakeFabric fabric_;
    RingWriter writer_;
    HybridClock clock_{milliseconds(500)};
    ShardEpoch epoch_;
    Leases leases_;
    Leases::Batch batch_;
    std::vector<uint64_t> held_;
    std::vector<Peer> peers_;
    uint64_t steps_ = 0;
    bool wedged_ = false, finished_ = false;
    bool blame_is_open_ = false;  // a trim was agreed on that no honest leader proposes
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    Member(input).live();
    return 0;
}
