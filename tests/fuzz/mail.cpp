// Mail from peers whose rings and counters hold anything: a letter lies within its ring, and a peer that breaks the
// rules is reported once and heard no more.
#include "smc/mail.hpp"

#include "fabric/fabric_testing.hpp"
#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr uint64_t kRingBytes = 1024;
constexpr size_t kRing = 4096;              // where it begins in a mail region, behind the counters
constexpr size_t kSent = 0, kReleased = 8;  // offsets of the counters
constexpr size_t kPeers = 2;

class Postman {
public:
    explicit Postman(Input& input) : input_(input), fabric_(NodeId{1}), mail_(fabric_, 7, 0, kRingBytes) {
        for (size_t p = 0; p < kPeers; ++p) come(p);
    }

    void live() {
        while (input_.more()) {
            const size_t p = input_.below(kPeers);
            switch (input_.below(10)) {
                case 0:
                    send(p);
                    break;
                case 1:
                    lie(p);
                    break;
                case 2:
                    scribble(p);
                    break;
                case 3:
                    put(p, kReleased, sent_by_us_[p]);
                    break;
                case 4:
                    if (input_.below(8) == 0) mail_.peer_lost(node(p));
                    break;
                case 5:
                    if (input_.below(8) == 0) come(p);
                    break;
                default:
                    peer_sends(p);
            }
            mail_.step(++steps_);
            for (const NodeId offender : mail_.take_offenders()) require(!mail_.knows(offender));
            read();
        }
    }

private:
    static NodeId node(size_t p) { return NodeId{static_cast<uint32_t>(10 + p)}; }
    std::span<std::byte> region(size_t p) { return fabric_.theirs(node(p), regions_[p]); }
    void put(size_t p, size_t offset, uint64_t word) {
        if (!region(p).empty()) libderecho::put(region(p), offset, word);
    }

    // A peer, or its next life.
    void come(size_t p) {
        mail_.peer_up(node(p), ++incarnation_);
        mail_.step(++steps_);
        regions_[p] = 0;
        while (!fabric_.theirs(node(p), regions_[p] + 1).empty()) ++regions_[p];
        sent_[p] = sent_by_us_[p] = 0;
    }

    void send(size_t p) {
        const std::vector<std::byte> letter(input_.below(256));
        const std::span<const std::byte> parts[] = {std::span(letter).first(letter.size() / 2),
                                                    std::span(letter).subspan(letter.size() / 2)};
        if (mail_.send(node(p), 1, parts)) sent_by_us_[p] += frame_bytes(letter.size());
    }

    void peer_sends(size_t p) {
        FrameTag tag{};
        tag.kind = input_.below(4) ? FrameKind::mail : static_cast<FrameKind>(input_.number<uint8_t>());
        tag.flags = input_.number<uint8_t>();
        tag.size_bytes = static_cast<uint32_t>(input_.lie(input_.below(256)));
        const uint64_t offset = sent_[p] % kRingBytes, whole = whole_frame_bytes(tag);
        put(p, kRing + offset, std::bit_cast<uint64_t>(tag));
        sent_[p] += whole <= kRingBytes - offset ? align8(whole) : kRingBytes - offset;
        put(p, kSent, sent_[p]);
    }

    void lie(size_t p) {
        if (input_.below(2)) {
            put(p, kSent, input_.lie(sent_[p]));
        } else {
            put(p, kReleased, input_.lie(sent_by_us_[p]));
        }
    }

    void scribble(size_t p) {
        if (region(p).empty()) return;
        const auto ring = region(p).subspan(kRing);
        const size_t at = input_.number<uint16_t>() % kRingBytes;
        const auto bytes = input_.bytes(1 + input_.below(32));
        std::copy_n(bytes.begin(), std::min(bytes.size(), kRingBytes - at), ring.begin() + static_cast<ptrdiff_t>(at));
    }

    void read() {
        Mail::Letter letter;
        for (size_t n = input_.below(8); n > 0 && mail_.read(letter); --n) {
            fuzz::read_all(letter.bytes);
            mail_.done(letter);
        }
    }

    Input& input_;
    FakeFabric fabric_;
    Mail mail_;
    uint64_t steps_ = 0, incarnation_ = 100;
    size_t regions_[kPeers] = {};  // which of its regions a peer's latest life writes to
    uint64_t sent_[kPeers] = {}, sent_by_us_[kPeers] = {};
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    Postman(input).live();
    return 0;
}
