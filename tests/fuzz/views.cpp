// Views and decisions as bytes, and the agreement on the next view among peers whose rows hold anything: it may end in
// suspicion, in failure or in a view, but reads nothing that is not there and installs nothing that is malformed.
#include "base/limits.hpp"
#include "fabric/fabric_testing.hpp"
#include "input.hpp"
#include "view/view_change.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr RegionId kRegion{1 << 8};
constexpr size_t kTrimsOfMember = 2;

View view_of(size_t members) {
    View view{ViewId{1}, {}};
    for (uint32_t i = 0; i < members; ++i)
        view.members.push_back({NodeId{10 + i}, 100 + i, 3, "127.0.0.1:" + std::to_string(7000 + i), i % 4 != 3});
    return view;
}

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
    ByteWriter out;
    encode(out, value);
    return {out.bytes().begin(), out.bytes().end()};
}

template <class T>
void read_as(std::span<const std::byte> bytes) {
    T value;
    ByteReader in(bytes);
    if (!decode(in, value) || !in.finished()) return;
    require(std::ranges::equal(bytes_of(value), bytes));
}

// One member's part in a view change. Its peers are the fuzzer.
class Voter {
public:
    explicit Voter(Input& input)
        : input_(input),
          view_(view_of(2 + input.below(6))),
          self_(input.below(view_.members.size())),
          trims_(kTrimsOfMember * view_.members.size()),
          columns_(view_.members.size(), trims_),
          fabric_(view_.members[self_].node),
          table_(fabric_, kRegion, view_.nodes(), rank(self_), columns_.row_bytes, columns_.counter_bytes),
          change_(view_, rank(self_), trims_, table_, options(input), now_) {
        table_.refresh();
    }

    void live() {
        while (input_.more() && !over_) {
            switch (input_.below(8)) {
                case 0:
                    now_ = now_ + milliseconds(input_.number<uint8_t>() * 10);
                    break;
                case 1:
                    change_.suspect(input_.below(view_.members.size()), "the fuzzer says so");
                    break;
                case 2:
                    change_.want_change();
                    break;
                case 3:
                    write_proposal();
                    break;
                default:
                    write_word();
            }
            step();
        }
    }

private:
    static Rank rank(size_t r) { return Rank{static_cast<uint32_t>(r)}; }
    static ViewChangeOptions options(Input& input) {
        return {input.below(2) == 0, milliseconds(10), milliseconds(200)};
    }

    std::span<std::byte> row(size_t r) { return fabric_.theirs(view_.members[r].node, kRegion); }

    void write_word() {
        const size_t words[] = {columns_.heartbeat, columns_.suspected, columns_.change_wanted, columns_.leave_wanted,
                                columns_.wedged,    columns_.accepted,  columns_.committed,     columns_.state_held,
                                columns_.wedged,    columns_.accepted,  columns_.suspected};
        const size_t who = input_.below(view_.members.size()), offset = words[input_.below(std::size(words))];
        const uint64_t value = input_.below(2) ? input_.below(view_.members.size() + 1) : input_.lie(below(self_));
        if (who != self_) put(row(who), offset, value);
    }

    Decision decision() const {
        Decision decision{view_, std::vector<uint64_t>(trims_, 64)};
        decision.next.id = ViewId{2};
        return decision;
    }

    void write_proposal() {
        const size_t who = input_.below(view_.members.size()), leader = input_.below(view_.members.size());
        if (who == self_) return;
        const std::vector<std::byte> bytes =
            input_.below(4) ? bytes_of(decision()) : input_.damaged(bytes_of(decision()));
        const size_t offset = columns_.proposal_of(leader);
        const auto area = row(who).subspan(offset + 8, columns_.proposal_bytes - 8);
        std::copy_n(bytes.begin(), std::min(bytes.size(), area.size()), area.begin());
        put(row(who), offset, input_.below(8) ? bytes.size() : input_.lie(bytes.size()));
    }

    void step() {
        for (int round = 0; round < 4 && !over_; ++round) {
            switch (change_.step(now_)) {
                case ViewChange::Want::nothing:
                    return;
                case ViewChange::Want::wedge:
                    change_.wedged();
                    break;
                case ViewChange::Want::proposal:
                    change_.propose(decision());
                    break;
                case ViewChange::Want::install:
                    require(change_.decision().trims.size() == trims_ && raw(change_.decision().next.id) == 2);
                    over_ = true;
                    break;
                case ViewChange::Want::stop:
                    require(!change_.failure().ok());
                    over_ = true;
                    break;
            }
        }
    }

    Input& input_;
    Instant now_;
    const View view_;
    const size_t self_;
    const size_t trims_;
    const ViewChangeColumns columns_;
    FakeFabric fabric_;
    Table table_;
    ViewChange change_;
    bool over_ = false;
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    const size_t what = input.below(8);
    if (what == 0) {
        const std::vector<std::byte> view = input.damaged(bytes_of(view_of(input.below(6))));
        read_as<View>(view);
    } else if (what == 1) {
        const std::vector<std::byte> decision = input.damaged(bytes_of(Decision{view_of(input.below(6)), {0, 8, 16}}));
        read_as<Decision>(decision);
    } else if (what == 2) {
        const auto rest = input.rest();
        read_as<View>(rest);
        read_as<Decision>(rest);
    } else {
        Voter(input).live();
    }
    return 0;
}
