// A whole node, as founder, joiner or client, and a peer that writes it letters of every kind with anything inside, and
// anything into the rows of the views they come to share. The node may expel the peer, or end; it never breaks.
#include "group/letters.hpp"
#include "fabric/fabric_testing.hpp"
#include "group/founding.hpp"
#include "input.hpp"
#include "rpc/rpc.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr uint64_t kRingBytes = 4096, kMailBytes = 64 << 10;
constexpr size_t kMailRing = 4096;  // where it begins in a mail region, behind the counter of what was sent
constexpr size_t kChannels = 2;     // the group's letters, the calls'
constexpr NodeId kSelf{1}, kPeer{2};
constexpr uint64_t kIncarnation = 5, kPeerIncarnation = 6;
const std::string kAddress = "127.0.0.1:7001", kPeerAddress = "127.0.0.1:7002";

GroupOptions options_of(size_t role, size_t digest, size_t policy) {
    GroupOptions options;
    options.digest = {static_cast<DigestOptions::Of>(digest), 2, static_cast<DigestOptions::Policy>(policy)};
    options.self = kSelf;
    options.incarnation = kIncarnation;
    options.address = role == 2 ? "" : kAddress;
    options.found = role == 0;
    options.new_group = {1, 2};
    if (role != 0) options.contacts = {kPeerAddress};
    options.client = role == 2;
    options.services = {{"Cache", 7}, {"Log", 8}};
    options.ring_bytes = kRingBytes;
    options.message_max_bytes = kRingBytes / limits::ring_share;
    options.require_majority = false;
    return options;
}

class Node {
public:
    explicit Node(Input& input)
        : input_(input),
          fabric_(kSelf),
          group_(options_of(input.below(3), input.below(3), input.below(3)), fabric_, {}),
          rpc_(group_, kMailBytes),
          peer_first_(input.below(2) == 0) {
        step();  // a founder is a member from now on
        report(PeerEvent::Kind::up, input.below(4) == 0);
        step();
    }

    void live() {
        while (input_.more()) {
            switch (input_.below(12)) {
                case 0:
                    call();
                    break;
                case 1:
                    if (input_.below(8) == 0) report(PeerEvent::Kind::lost, false);
                    break;
                case 2:
                    answer();
                    break;
                case 3:
                case 4:
                    scribble_on_row();
                    break;
                case 5:
                case 6:
                    agree();
                    break;
                case 7:
                    if (input_.below(16) == 0) group_.leave();
                    break;
                case 8:
                    now_ns_ += input_.number<uint16_t>() * uint64_t{100'000};
                    break;
                default:
                    write_letter();
            }
            step();
            take();
        }
    }

private:
    void report(PeerEvent::Kind kind, bool client) {
        PeerEvent event;
        event.kind = kind;
        event.peer = kPeer;
        event.incarnation = kPeerIncarnation;
        event.client = client;
        event.address = client ? "" : kPeerAddress;
        event.status = failure(DERECHO_UNREACHABLE, "the fuzzer says so");
        fabric_.events.push_back(std::move(event));
    }

    void step() {
        now_ns_ += 1'000'000;
        for (int round = 0; round < 3; ++round) rpc_.step({{now_ns_}, now_ns_});
    }

    void take() {
        if (input_.below(4) == 0 && lease_ != 0) {
            require(group_.leases().release(std::exchange(lease_, 0)));
        }
        derecho_event events[8];
        if (lease_ != 0 || group_.leases().full()) return;
        const size_t taken = rpc_.take(std::span(events, 1 + input_.below(8)), lease_);
        for (const derecho_event& event : std::span(events, taken)) {
            fuzz::read_all({static_cast<const std::byte*>(event.data), event.size_bytes});
            if (event.kind == DERECHO_EVENT_STATE_REQUEST && NodeId{event.node} == kSelf) digest_ = event.id;
            if (event.flags & DERECHO_FLAG_REPLY) asked_ = {event.id, NodeId{event.node}};
        }
    }

    // ---- what this node's application does

    void call() {
        const auto args = input_.bytes(input_.below(32));
        if (input_.below(2)) {
            (void)rpc_.query(ShardIndex{0}, input_.below(2) ? kPeer : kSelf, 1, args, call_);
            return;
        }
        Claim claim;
        uint64_t id = 0;
        if (rpc_.claim_call(ShardIndex{0}, 1, DERECHO_CALL_REPLY, args.size(), claim, id) != DERECHO_OK) return;
        call_ = id;
        if (rpc_.commit_call(ShardIndex{0}, claim, args.size()) != DERECHO_OK)
            rpc_.abort_call(ShardIndex{0}, claim, DERECHO_CALL_REPLY, id, true);
    }

    void answer() {
        const auto data = input_.bytes(input_.below(32));
        (void)rpc_.reply(asked_.second, asked_.first, DERECHO_OK, data);
        (void)rpc_.send_state(kSelf, digest_, data, input_.below(2) == 0);
        if (const View* view = group_.taken_view())
            (void)rpc_.send_state(kPeer, raw(view->id) << 8 | input_.below(3), data, input_.below(2) == 0);
    }

    // ---- what the peer does

    // The two of them, either first: whoever is leads.
    View view(uint64_t id) {
        View both{ViewId{id},
                  {{kSelf, kIncarnation, input_.below(4), kAddress}, {kPeer, kPeerIncarnation, ~0ull, kPeerAddress}}};
        both.group = {1, 2};
        if (peer_first_) std::swap(both.members[0], both.members[1]);
        return both;
    }

    // The one that this node founds, another one, or none.
    GroupId group() { return {input_.below(3), 2}; }
    Outsider outsider() {
        Outsider one;
        one.incarnation = kPeerIncarnation;
        one.ended = input_.below(2) != 0;
        one.initial_hash = input_.number<uint8_t>();
        one.candidate = group();
        one.over = group();
        one.marker.kind = static_cast<Marker::Kind>(input_.below(3));
        one.marker.known = view(input_.below(5));
        one.marker.known.group = group();
        return one;
    }

    // A well-formed letter, or one that was, in a well-formed frame.
    void write_letter() {
        const size_t kind = input_.below(11);
        ByteWriter body;
        switch (kind) {
            case 0:
                body.number(kPeerIncarnation);
                body.text(kPeerAddress);
                encode(body, outsider());
                return post(0, Letter::join, body);
            case 1:
                if (input_.below(2)) {
                    encode(body, outsider());
                    return post(0, Letter::outside, body);
                }
                encode(body, group());
                return post(0, input_.below(2) ? Letter::found : Letter::granted, body);
            case 2:
                encode(body, group());
                if (input_.below(4) == 0) return post(0, Letter::member_of, body);
                body.text(input_.below(2) ? kPeerAddress : "host:1");
                return post(0, Letter::leader, body);
            case 3: {
                const View* mine = group_.view();
                encode(body, view(mine ? raw(mine->id) + input_.below(3) : input_.lie(3)));
                return post(0, Letter::view, body);
            }
            case 4:
                body.number(static_cast<int32_t>(input_.lie(DERECHO_DUPLICATE)));
                body.text("no");
                return post(0, Letter::refused, body);
            case 5:
                return post(1, LetterKind::query, QueryHeader{input_.number<uint8_t>(), 1, number(input_.below(3))});
            case 6:
                return post(1, LetterKind::reply,
                            ReplyHeader{input_.below(8) ? call_ : input_.lie(call_), status(), 0});
            case 7:
            case 8: {
                const View* mine = group_.taken_view();
                const uint64_t of_view = mine ? raw(mine->id) + input_.below(2) : input_.lie(3);
                return post(1, LetterKind::state,
                            StateHeader{of_view, number(input_.below(3)), input_.number<uint8_t>()});
            }
            case 9: {
                const View* mine = group_.taken_view();
                const uint64_t of_view = mine ? raw(mine->id) - input_.below(2) : input_.lie(3);
                return post(1, LetterKind::digest,
                            DigestHeader{of_view, number(input_.below(3)), number(input_.below(4))});
            }
            default:
                return post(input_.below(kChannels), static_cast<Letter>(input_.number<uint8_t>()), body);
        }
    }

    static uint32_t number(size_t value) { return static_cast<uint32_t>(value); }
    int32_t status() {
        constexpr int32_t good[] = {DERECHO_OK, DERECHO_REMOTE_ERROR, DERECHO_UNKNOWN_METHOD};
        return input_.below(8) ? good[input_.below(3)] : input_.number<int8_t>();
    }

    void post(size_t channel, Letter kind, const ByteWriter& body) {
        post(channel, static_cast<uint8_t>(kind), body.bytes());
    }
    template <class Header>
    void post(size_t channel, LetterKind kind, const Header& header) {
        ByteWriter body;
        body.number(header);
        for (const std::byte each : input_.bytes(input_.below(24))) body.number(each);
        post(channel, static_cast<uint8_t>(kind), body.bytes());
    }
    void post(size_t channel, uint8_t kind, std::span<const std::byte> body) {
        const auto region = fabric_.theirs(kPeer, channel);
        const std::vector<std::byte> bytes =
            input_.below(4) ? std::vector(body.begin(), body.end()) : input_.damaged(body);
        const uint64_t offset = sent_[channel], whole = frame_bytes(bytes.size());
        // Not round the ring: mail.cpp does that. Rows may lie where no mail region is any more.
        if (region.size() != kMailRing + kMailBytes || offset + whole > kMailBytes) return;
        const FrameTag tag{static_cast<uint32_t>(bytes.size()), FrameKind::mail, kind, 0};
        put(region, kMailRing + offset, std::bit_cast<uint64_t>(tag));
        if (!bytes.empty())
            std::memcpy(region.data() + kMailRing + offset + sizeof(FrameHeader), bytes.data(), bytes.size());
        sent_[channel] += whole;
        put(region, 0, sent_[channel]);
    }

    std::span<std::byte> row(size_t shard) {
        const View* view = group_.view();
        return view ? fabric_.theirs(kPeer, RegionId{raw(view->id) << 8 | shard}) : std::span<std::byte>{};
    }

    // What keeps an honest member in the view, and what ends it: nearly the columns of the view change.
    void agree() {
        const View* view = group_.view();
        const auto shared = row(0);
        if (!view || shared.empty() || !view->rank_of(kSelf)) return;
        const ViewChangeColumns columns(view->members.size(), 2 * view->members.size());
        beats_ += 1;
        put(shared, columns.heartbeat, beats_);
        const size_t words[] = {columns.change_wanted, columns.wedged,       columns.accepted,
                                columns.committed,     columns.leave_wanted, columns.state_held};
        const size_t which = input_.below(2 * std::size(words));
        if (which < std::size(words)) put(shared, words[which], input_.below(8) ? 1 : input_.lie(1));
        if (input_.below(4) == 0) propose(*view, shared, columns);
        for (size_t k = 1; k <= 2; ++k) multicast(*view, k);
    }

    // The peer has all that was sent and needs none of it any more, and says for its own part that it has nothing to
    // say.
    void multicast(const View& view, size_t k) {
        const auto theirs = row(k);
        const auto ours = fabric_.ours(RegionId{raw(view.id) << 8 | k});
        if (theirs.empty() || input_.below(4) == 0) return;
        const ShardColumns shard(view.members.size(), kRingBytes);
        const size_t self = raw(*view.rank_of(kSelf));
        for (const size_t column : {shard.received, shard.released})
            put(theirs, column + 8 * self,
                input_.below(32) ? get(ours, shard.sent) : input_.lie(get(ours, shard.sent)));
        const auto peer = view.rank_of(kPeer);
        const uint64_t rounds = get(ours, shard.sent_rounds), said = get(theirs, shard.sent_rounds);
        const uint64_t sent = get(theirs, shard.sent);
        if (!peer || rounds <= said || sent + sizeof(FrameHeader) > kRingBytes) return;
        const FrameKind kind = input_.below(4) ? FrameKind::nulls : FrameKind::call;
        const auto size = static_cast<uint32_t>(kind == FrameKind::nulls ? rounds - said : input_.below(3) * 8);
        const FrameTag tag{size, kind, 0, 0};
        if (sent + whole_frame_bytes(tag) > kRingBytes) return;
        put(theirs, shard.ring + sent, std::bit_cast<uint64_t>(tag));
        put(theirs, shard.sent_rounds, said + (kind == FrameKind::nulls ? size : 1));
        put(theirs, shard.sent, sent + whole_frame_bytes(tag));
        put(theirs, shard.received + 8 * raw(*peer), sent + whole_frame_bytes(tag));
    }

    void propose(const View& now, std::span<std::byte> shared, const ViewChangeColumns& columns) {
        ByteWriter out;
        encode(out, Decision{view(raw(now.id) + 1), std::vector<uint64_t>(2 * now.members.size(), input_.lie(0))});
        const std::vector<std::byte> bytes = input_.damaged(out.bytes());
        const size_t offset = columns.proposal_of(input_.below(now.members.size()));
        if (bytes.size() > columns.proposal_bytes - 8) return;
        std::ranges::copy(bytes, shared.begin() + static_cast<ptrdiff_t>(offset + 8));
        put(shared, offset, bytes.size());
    }

    void scribble_on_row() {
        const auto region = row(input_.below(3));
        if (region.empty()) return;
        // The first page of a shard's row is its counters, its ring begins with the next.
        const size_t at = input_.number<uint16_t>() % 96 + (input_.below(3) ? 0 : 4096);
        const auto bytes = input_.bytes(1 + input_.below(32));
        if (at + bytes.size() <= region.size()) std::ranges::copy(bytes, region.begin() + static_cast<ptrdiff_t>(at));
    }

    Input& input_;
    FakeFabric fabric_;
    Group group_;
    Rpc rpc_;
    uint64_t now_ns_ = 1'000'000'000;
    uint64_t lease_ = 0;
    uint64_t call_ = 0;                          // the last one made here
    uint64_t digest_ = 0;                        // the last state of its own that it was asked for
    std::pair<uint64_t, NodeId> asked_{};        // the last one that wants a reply from here
    uint64_t sent_[kChannels] = {}, beats_ = 0;  // by the peer
    const bool peer_first_;
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    Node(input).live();
    return 0;
}
