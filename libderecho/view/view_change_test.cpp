// What a member makes of rows that no honest peer writes.
#include "view/view_change.hpp"

#include <gtest/gtest.h>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr RegionId kRegion{1 << 8};
constexpr size_t kTrims = 3;

View three() {
    View view{ViewId{1}, {}};
    for (uint32_t i = 0; i < 3; ++i) view.members.push_back({NodeId{10 + i}, 1, 1, "127.0.0.1:7000"});
    return view;
}

// Rank 1, after rank 0 failed: it leads, and asks rank 2 what that has accepted.
class NewLeader : public ::testing::Test {
protected:
    NewLeader() {
        table.refresh();
        change.suspect(0, "it failed");
        EXPECT_EQ(change.step({}), ViewChange::Want::wedge);
        change.wedged();
        say(columns.suspected, 1);
        say(columns.wedged, 1);
    }
    void say(size_t column, uint64_t value) { put(fabric.theirs(NodeId{12}, kRegion), column, value); }

    const View view = three();
    const ViewChangeColumns columns{3, kTrims};
    FakeFabric fabric{NodeId{11}};
    Table table{fabric, kRegion, view.nodes(), Rank{1}, columns.row_bytes, columns.counter_bytes};
    ViewChange change{view, Rank{1}, kTrims, table, {.require_majority = false}, {}};
};

TEST_F(NewLeader, proposes_when_nobody_accepted_anything) { EXPECT_EQ(change.step({}), ViewChange::Want::proposal); }

TEST_F(NewLeader, suspects_who_accepted_the_proposal_of_a_rank_that_is_none) {
    say(columns.accepted, 1ull << 60);
    EXPECT_EQ(change.step({}), ViewChange::Want::nothing);
    EXPECT_EQ(change.alive(), just(1));
}

TEST(ViewChange, a_member_that_finds_all_links_closed_knows_by_the_others_last_words_whether_it_was_ejected) {
    for (const bool accused : {true, false}) {
        const View view = three();
        const ViewChangeColumns columns{3, kTrims};
        FakeFabric fabric{NodeId{11}};
        Table table{fabric, kRegion, view.nodes(), Rank{1}, columns.row_bytes, columns.counter_bytes};
        ViewChange change{view, Rank{1}, kTrims, table, {}, {}};
        table.refresh();
        if (accused) put(fabric.theirs(NodeId{12}, kRegion), columns.suspected, just(1));
        change.lost(0, "closed");
        change.lost(2, "closed");
        EXPECT_EQ(change.step({}), ViewChange::Want::stop);
        EXPECT_EQ(change.failure().code, accused ? DERECHO_EJECTED : DERECHO_NO_MAJORITY);
    }
}

}  // namespace
}  // namespace libderecho
