// Registered memory with peers whose letters hold anything: nothing is touched outside of the buffers, nor without a
// key, nor in what was not registered for it; an operation ends once; a peer that breaks the rules is reported and
// heard no more. In half of the runs it can also be reached directly: what the device is asked for is within what the
// peer said, and pieces of this node's.
#include "rpc/memory.hpp"

#include <map>

#include "fabric/fabric_testing.hpp"
#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr uint64_t kRingBytes = 4096, kChunkMax = kRingBytes / 16 - sizeof(MemoryRequest);
constexpr size_t kRing = 4096;              // where it begins in a mail region, behind the counters
constexpr size_t kSent = 0, kReleased = 8;  // offsets of the counters
constexpr NodeId kSelf{1}, kPeer{2}, kStranger{3};
constexpr size_t kBytes = 300;
constexpr uint32_t kAccess[] = {DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE, DERECHO_MEMORY_READ, DERECHO_MEMORY_WRITE,
                                0};

class Node {
public:
    explicit Node(Input& input) : input_(input), fabric_(kSelf), memory_(fabric_, 5, kRingBytes) {
        if (input_.below(2)) fabric_.devices[kPeer] = device_;
        memory_.members_changed({ViewId{1}, {{kSelf, 5, 0, "a:1"}, {kPeer, 6, 0, "a:2"}, {kStranger, 7, 0, "a:3"}}});
        memory_.peer_up(kPeer, 6);
        memory_.step(++now_);
        for (size_t i = 0; i < std::size(kAccess); ++i) {
            bytes_[i] = std::vector<std::byte>(kBytes, std::byte{static_cast<uint8_t>(i)});
            ids_[i] = memory_.enrol(bytes_[i], kAccess[i]);
            (void)memory_.key_for(ids_[i], kPeer, {11, 12, 13 + i}, keys_[i]);
            (void)memory_.key_for(ids_[i], kStranger, {21, 22, 23 + i}, strangers_keys_[i]);
        }
    }

    void live() {
        while (input_.more()) {
            switch (input_.below(10)) {
                case 0:
                case 1:
                    begin();
                    break;
                case 2:
                    put(kReleased, released_ += input_.number<uint16_t>());  // perhaps more than was sent
                    break;
                case 3:
                    if (input_.below(16) == 0) memory_.peer_lost(kPeer);
                    break;
                case 4:
                    answer();
                    break;
                case 5:
                    answer_access();
                    break;
                case 6:
                    trouble();
                    break;
                case 8:
                    device_->carry_out(std::byte{0xdd});
                    break;
                case 7:
                    input_.below(2) ? ask_access() : ask();
                    break;
                default:
                    ask();
            }
            memory_.step(++now_);
            for (const NodeId offender : memory_.take_offenders()) {
                require(offender == kPeer && !offended_);
                offended_ = true;
                memory_.peer_lost(kPeer);
            }
            take();
            check();
        }
    }

private:
    void trouble() {
        const Status never = failure(DERECHO_UNREACHABLE, "there is no way to the peer");
        switch (input_.below(4)) {
            case 0:
                return device_->fail();
            case 1:
                device_->connects = std::nullopt;
                return;
            case 2:
                device_->connects = never;
                return;
            default:
                device_->connects = Status{};
        }
    }

    // What no key lets the peer write stays as it is, and what operations of this node may have written is the rest.
    void check() const {
        for (const size_t i : {size_t{1}, size_t{3}})
            require(std::ranges::count(bytes_[i], std::byte{static_cast<uint8_t>(i)}) == kBytes);
        const auto asked = device_->asked();
        require(asked.size() <= kDirectRequestsMax);
        for (const auto& one : asked) {
            require(!one.pieces.empty() && one.pieces.size() <= 2 && one.size_bytes <= 100);
            require(std::ranges::any_of(grants_, [&](const MemoryGrant& grant) {
                const uint64_t offset = one.address - grant.address;
                return one.remote_key == grant.remote_key && offset <= grant.size_bytes &&
                       one.size_bytes <= grant.size_bytes - offset && (grant.access & (one.read ? 1u : 2u));
            }));
            for (const auto piece : one.pieces)
                require(std::ranges::any_of(bytes_, [&](const auto& all) {
                    return piece.data() >= all.data() && piece.data() + piece.size() <= all.data() + all.size();
                }));
        }
    }

    void begin() {
        // Only the first and the third are written to here.
        const size_t mine = 2 * input_.below(2);
        const bool read = input_.below(2);
        const NodeId node = input_.below(4) ? kPeer : kSelf;
        const size_t theirs = node == kSelf ? 0 : input_.below(4);
        const uint64_t at = input_.below(kBytes + 1);
        const Memory::Piece pieces[] = {{ids_[mine], at, input_.below(kBytes - at + 1)},
                                        {ids_[mine], 0, input_.below(kBytes)}};
        MemoryKey key = keys_[theirs];
        uint64_t id = 0;
        const auto kind = read ? Memory::Kind::read : Memory::Kind::write;
        const uint64_t offset = input_.lie(input_.below(kBytes));
        if (memory_.begin(kind, node, key, offset, std::span(pieces).first(input_.below(3)), id).ok())
            require(under_way_.emplace(id, node).second);
    }

    void take() {
        derecho_event events[4];
        for (const derecho_event& event : std::span(events, memory_.take(events))) {
            require(under_way_.erase(event.id) == 1);
            require(event.kind == DERECHO_EVENT_MEMORY);
            fuzz::read_all({static_cast<const std::byte*>(event.data), event.size_bytes});
        }
    }

    void ask() {
        const size_t i = input_.below(4);
        MemoryRequest request{input_.below(4) ? keys_[i] : strangers_keys_[i], input_.lie(input_.below(kBytes)), 0, 0};
        const bool write = input_.below(2);
        const uint64_t size = input_.below(kChunkMax + 8);
        request.size_bytes = input_.below(16) ? size : input_.lie(size);
        request.rest_bytes = input_.below(8) ? size + input_.below(64) : input_.lie(size);
        ByteWriter body;
        body.number(request);
        if (write)
            for (uint64_t n = 0; n < size; ++n) body.number(uint8_t{0xee});
        const auto kind = static_cast<uint8_t>(write ? MemoryLetter::write : MemoryLetter::read);
        post(input_.below(32) ? kind : input_.number<uint8_t>(), body.bytes());
    }

    void answer() {
        ByteWriter body;
        const auto outcome = static_cast<MemoryOutcome>(input_.below(8) ? 0 : input_.below(6));
        body.number(MemoryAnswer{outcome, 0});
        for (size_t n = input_.below(2) ? input_.below(kChunkMax + 8) : 0; n > 0; --n) body.number(uint8_t{0xdd});
        post(static_cast<uint8_t>(MemoryLetter::answer), body.bytes());
    }

    void ask_access() {
        MemoryAccess access{input_.below(4) ? keys_[input_.below(4)] : strangers_keys_[0],
                            static_cast<MemoryWant>(input_.below(4)),
                            0,
                            {}};
        access.asker[0] = static_cast<std::byte>(input_.below(4) ? 1 : 0xff);
        post(static_cast<uint8_t>(MemoryLetter::access), bytes_of(access));
        require(device_->servers() <= 1);
    }

    void answer_access() {
        MemoryGrant grant{input_.lie(4096),
                          input_.lie(kBytes),
                          input_.number<uint32_t>(),
                          static_cast<uint32_t>(input_.below(5)),
                          {}};
        grant.server[0] = static_cast<std::byte>(input_.below(4) ? 2 : 0xff);
        ByteWriter body;
        body.number(MemoryAnswer{});
        body.number(grant);
        post(static_cast<uint8_t>(MemoryLetter::answer), body.bytes());
    }

    std::span<std::byte> region() { return fabric_.theirs(kPeer, 0); }
    void put(size_t offset, uint64_t word) {
        if (!region().empty()) libderecho::put(region(), offset, word);
    }

    void post(uint8_t kind, std::span<const std::byte> body) {
        const std::vector<std::byte> bytes =
            input_.below(8) ? std::vector(body.begin(), body.end()) : input_.damaged(body);
        if (region().empty() || bytes.size() > kRingBytes / limits::ring_share) return;
        if (MemoryGrant grant; bytes.size() == sizeof(MemoryAnswer) + sizeof grant) {
            read_header(std::span(bytes).subspan(sizeof(MemoryAnswer)), grant);
            grants_.push_back(grant);
        }
        const FrameTag tag{static_cast<uint32_t>(bytes.size()), FrameKind::mail, kind, 0};
        const uint64_t whole = whole_frame_bytes(tag), to_end = kRingBytes - sent_ % kRingBytes;
        if (whole > to_end) {  // the rest of the ring is a frame that says nothing
            put(kRing + sent_ % kRingBytes,
                std::bit_cast<uint64_t>(FrameTag{static_cast<uint32_t>(to_end), FrameKind::pad, 0, 0}));
            sent_ += to_end;
        }
        const size_t at = kRing + sent_ % kRingBytes;
        put(at, std::bit_cast<uint64_t>(tag));
        std::ranges::copy(bytes, region().begin() + static_cast<ptrdiff_t>(at + sizeof(FrameHeader)));
        sent_ += whole;
        put(kSent, sent_);
    }

    Input& input_;
    std::shared_ptr<FakeDirect> device_ = std::make_shared<FakeDirect>();
    std::vector<MemoryGrant> grants_;
    FakeFabric fabric_;
    Memory memory_;
    std::vector<std::byte> bytes_[4];
    uint64_t ids_[4] = {};
    MemoryKey keys_[4], strangers_keys_[4];
    std::map<uint64_t, NodeId> under_way_;
    uint64_t now_ = 0, sent_ = 0, released_ = 0;
    bool offended_ = false;
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    Node(input).live();
    return 0;
}
