// What a member makes of rows that no honest peer writes.
#include "view/view_change.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <optional>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr RegionId kRegion{1 << 8};
constexpr size_t kTrims = 3;

View three() {
    View view{ViewId{1}, {}};
    for (uint32_t i = 0; i < 3; ++i) view.members.push_back({NodeId{10 + i}, 1, 1, "127.0.0.1:7000", true});
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

// Rank 2 of five, after ranks 0 and 1 failed: what was accepted from them may be decided.
class LeaderAfterTwo : public ::testing::Test {
protected:
    LeaderAfterTwo() {
        for (uint32_t i = 0; i < 5; ++i) view.members.push_back({NodeId{10 + i}, 1, 1, "127.0.0.1:7000", true});
        change.emplace(view, Rank{2}, kTrims, *table, ViewChangeOptions{}, Instant{});
        table->refresh();
        change->state_held(1);
        for (const size_t r : {3u, 4u}) say(r, columns.state_held, 1);
        for (const size_t failed : {0u, 1u}) change->suspect(failed, "it failed");
        EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
        change->wedged();
        for (const size_t r : {3u, 4u}) say(r, columns.wedged, 1);
    }
    std::span<std::byte> row(size_t rank) { return fabric.theirs(view.members[rank].node, kRegion); }
    void say(size_t rank, size_t column, uint64_t value) { put(row(rank), column, value); }
    // Without the last of those that stay, so that one proposal is told from another.
    std::vector<std::byte> proposal(size_t leader) {
        Decision decision{view, std::vector<uint64_t>(kTrims, 8 * leader)};
        decision.next.id = ViewId{2};
        std::erase_if(decision.next.members, [&](const Member& m) { return raw(m.node) < 10 + leader; });
        ByteWriter out;
        encode(out, decision);
        return {out.bytes().begin(), out.bytes().end()};
    }
    void accepted(size_t rank, size_t leader) {
        const auto bytes = proposal(leader);
        put(row(rank), columns.proposal_of(leader), uint64_t{bytes.size()});
        std::ranges::copy(bytes, row(rank).begin() + static_cast<ptrdiff_t>(columns.proposal_of(leader) + 8));
        say(rank, columns.accepted, leader + 1);
    }
    std::vector<std::byte> proposed() {
        const std::byte* area = table->own() + columns.proposal_of(2);
        const uint64_t length = *reinterpret_cast<const uint64_t*>(area);
        return {area + 8, area + 8 + length};
    }

    View view{ViewId{1}, {}};
    const ViewChangeColumns columns{5, kTrims};
    FakeFabric fabric{NodeId{12}};
    std::vector<NodeId> nodes{NodeId{10}, NodeId{11}, NodeId{12}, NodeId{13}, NodeId{14}};
    std::optional<Table> table{std::in_place,        fabric, kRegion, nodes, Rank{2}, columns.row_bytes,
                               columns.counter_bytes};
    std::optional<ViewChange> change;
};

TEST_F(LeaderAfterTwo, waits_for_the_promise_of_all_that_they_accept_nothing_more_from_those_before) {
    say(3, columns.suspected, 3);
    say(4, columns.suspected, 1);  // rank 1 may still have what it proposes accepted, and decided
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    say(4, columns.suspected, 3);
    EXPECT_EQ(change->step({}), ViewChange::Want::proposal);
}

TEST_F(LeaderAfterTwo, carries_on_the_proposal_of_the_highest_rank_that_anybody_accepted) {
    for (const size_t r : {3u, 4u}) say(r, columns.suspected, 3);
    accepted(3, 0);
    accepted(4, 1);
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    EXPECT_EQ(proposed(), proposal(1));
}

// Rank 1, of so many.
struct Bystander {
    explicit Bystander(size_t members) : columns(members, kTrims) {
        view.members.resize(members);
        table.emplace(fabric, kRegion, view.nodes(), Rank{1}, columns.row_bytes, columns.counter_bytes);
        change.emplace(view, Rank{1}, kTrims, *table, ViewChangeOptions{}, Instant{});
        table->refresh();
    }
    void suspects(size_t rank, RankSet whom) {
        put(fabric.theirs(view.members[rank].node, kRegion), columns.suspected, whom);
    }
    derecho_status end() {
        EXPECT_EQ(change->step({}), ViewChange::Want::stop);
        return change->failure().code;
    }

    View view = three();
    const ViewChangeColumns columns;
    FakeFabric fabric{NodeId{11}};
    std::optional<Table> table;
    std::optional<ViewChange> change;
};

TEST(ViewChange, a_member_that_finds_all_links_closed_knows_by_the_others_last_words_whether_it_was_ejected) {
    for (const bool accused : {true, false}) {
        Bystander one(3);
        if (accused) one.suspects(2, just(1));
        one.change->lost(0, "closed");
        one.change->lost(2, "closed");
        EXPECT_EQ(one.end(), accused ? DERECHO_EJECTED : DERECHO_NO_MAJORITY);
    }
}

TEST(ViewChange, nobody_was_ejected_by_one_that_could_not_go_on_itself) {
    Bystander one(2);
    one.suspects(0, just(1));
    one.change->lost(0, "it left, when this node had been silent for a while");
    EXPECT_EQ(one.end(), DERECHO_NO_MAJORITY);
}

TEST(ViewChange, nobody_was_ejected_by_those_who_had_given_up_on_each_other) {
    Bystander one(3);
    one.suspects(0, just(1) | just(2));
    one.suspects(2, just(1));
    EXPECT_EQ(one.end(), DERECHO_NO_MAJORITY);
}

// Ranks 0 to 2 vote, 3 to 5 have just come.
class AmongNewcomers : public ::testing::Test {
protected:
    AmongNewcomers() {
        for (uint32_t i = 0; i < 6; ++i)
            view.members.push_back({NodeId{10 + i}, 1, i < 3 ? 1u : 0u, "127.0.0.1:7000", i < 3});
        change.emplace(view, Rank{1}, 6, *table, ViewChangeOptions{}, Instant{});
        table->refresh();
        change->state_held(1);
        say(0, columns.state_held, 1);
        say(2, columns.state_held, 1);
    }
    std::span<std::byte> row(size_t rank) { return fabric.theirs(view.members[rank].node, kRegion); }
    void say(size_t rank, size_t column, uint64_t value) { put(row(rank), column, value); }
    void everybody_wedges() {
        say(0, columns.change_wanted, 1);
        EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
        change->wedged();
        for (const size_t r : {0u, 2u, 3u, 4u, 5u}) say(r, columns.wedged, 1);
    }
    // Rank 0 proposes a view of the same members.
    void propose(const std::function<void(View&)>& edit) {
        Decision decision{view, std::vector<uint64_t>(6, 0)};
        decision.next.id = ViewId{2};
        edit(decision.next);
        ByteWriter out;
        encode(out, decision);
        put(row(0), columns.proposal_of(0), uint64_t{out.bytes().size()});
        std::ranges::copy(out.bytes(), row(0).begin() + static_cast<ptrdiff_t>(columns.proposal_of(0) + 8));
        say(0, columns.accepted, 1);
    }
    uint64_t accepted() { return *table->own_word(columns.accepted); }
    // It looks twice before it gives up on who proposes.
    void look() {
        for (int n = 0; n < 2; ++n) EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    }

    View view{ViewId{1}, {}};
    const ViewChangeColumns columns{6, 6};
    FakeFabric fabric{NodeId{11}};
    std::vector<NodeId> nodes{NodeId{10}, NodeId{11}, NodeId{12}, NodeId{13}, NodeId{14}, NodeId{15}};
    std::optional<Table> table{std::in_place,        fabric, kRegion, nodes, Rank{1}, columns.row_bytes,
                               columns.counter_bytes};
    std::optional<ViewChange> change;
};

TEST_F(AmongNewcomers, who_has_just_come_takes_nobodys_majority) {
    for (const size_t failed : {3u, 4u, 5u, 2u}) change->suspect(failed, "it failed");
    EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
    EXPECT_TRUE(change->enough(just(0) | just(1)));
}

TEST_F(AmongNewcomers, they_are_no_majority_without_those_that_vote_and_are_told_how_many_these_are) {
    for (const size_t failed : {0u, 2u}) change->suspect(failed, "it failed");
    EXPECT_EQ(change->step({}), ViewChange::Want::stop);
    EXPECT_EQ(change->failure().code, DERECHO_NO_MAJORITY);
    EXPECT_EQ(change->failure().detail, "only 1 of 3 members of view 1 that vote is left");
}

TEST_F(AmongNewcomers, who_holds_every_state_when_the_view_ends_votes_in_the_next) {
    say(4, columns.state_held, 1);
    everybody_wedges();
    propose([](View& next) {
        next.members[4].shards_with_state = 1;
        next.members[4].votes = true;
    });
    look();
    EXPECT_EQ(accepted(), 1u);
}

TEST_F(AmongNewcomers, the_word_of_newcomers_alone_removes_nobody_that_votes) {
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    for (const size_t r : {3u, 4u}) say(r, columns.suspected, just(2));
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    EXPECT_TRUE(has(change->alive(), 2));
    say(0, columns.suspected, just(2));
    EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
    EXPECT_FALSE(has(change->alive(), 2));
}

TEST_F(AmongNewcomers, who_takes_back_that_it_holds_the_state_is_suspected) {
    say(4, columns.state_held, 1);
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    EXPECT_TRUE(change->will_vote(4));
    say(4, columns.state_held, 0);
    EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
    EXPECT_FALSE(has(change->alive(), 4));
}

TEST_F(AmongNewcomers, who_takes_back_that_it_leaves_is_suspected) {
    say(4, columns.leave_wanted, 1);
    EXPECT_EQ(change->step({}), ViewChange::Want::nothing);
    say(4, columns.leave_wanted, 0);
    EXPECT_EQ(change->step({}), ViewChange::Want::wedge);
    EXPECT_FALSE(has(change->alive(), 4));
}

TEST_F(AmongNewcomers, nobody_is_given_a_vote_without_the_state_nor_denied_one_with_it) {
    using Edit = std::function<void(View&)>;
    const std::vector<Edit> lies{
        [](View& next) { next.members[5].votes = true; },
        [](View& next) { next.members[2].votes = false; },
        [](View& next) { next.members[4].shards_with_state = 1; },
        [](View& next) {
            next.members.push_back({NodeId{99}, 1, 0, "127.0.0.1:1", true});
        },
    };
    for (const Edit& lie : lies) {
        change.emplace(view, Rank{1}, 6, *table, ViewChangeOptions{}, Instant{});
        everybody_wedges();
        propose(lie);
        look();
        EXPECT_EQ(accepted(), 0u);
        EXPECT_FALSE(has(change->alive(), 0));
    }
}

}  // namespace
}  // namespace libderecho
