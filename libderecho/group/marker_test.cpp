// What a node remembers of its group, as a file that people can read.
#include "group/marker.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

Marker example() {
    Marker marker{Marker::Kind::member, {ViewId{7}, {}, {0x5b0e2c1a93d44c7e, 0x8f102a6b7c8d9e0f}}};
    marker.known.members.push_back({NodeId{1}, 12345, 0, "10.0.0.1:7000"});
    marker.known.members.push_back({NodeId{4294967294u}, 1ull << 63, 0, "[fe80::1]:7000"});
    return marker;
}

TEST(Marker, reads_back_as_it_was_written) {
    for (const Marker& marker : {Marker{}, example()}) EXPECT_EQ(marker_in(to_text(marker)), marker);
    Marker grant = example();
    grant.kind = Marker::Kind::granted;
    EXPECT_EQ(marker_in(to_text(grant)), grant);
}

TEST(Marker, says_in_words_what_is_remembered) {
    EXPECT_EQ(describe(example().known),
              "group 5b0e2c1a-93d4-4c7e-8f10-2a6b7c8d9e0f, view 7 of node 1 at 10.0.0.1:7000, node 4294967294 at "
              "[fe80::1]:7000");
}

TEST(Marker, that_is_cut_or_altered_is_refused) {
    const std::string text = to_text(example());
    for (size_t n = 1; n + 2 < text.size(); ++n)
        EXPECT_EQ(marker_in(text.substr(0, n)), std::nullopt) << text.substr(0, n);
    for (const char* damaged : {"kind = king\nend\n", "kind = member\ngroup = 5b0e\nend\n", "view = 99999999\nend\n",
                                "member = 1 2\nend\n", "end\n", "something else\n", "kind = member\nend\n"})
        EXPECT_EQ(marker_in(damaged), std::nullopt) << damaged;
}

TEST(Marker, a_branch_of_a_group_is_the_same_for_all_who_go_on_with_one_leader_and_no_other) {
    const View view = example().known;
    EXPECT_EQ(branch_of(view, NodeId{1}), branch_of(view, NodeId{1}));
    EXPECT_NE(branch_of(view, NodeId{1}), branch_of(view, NodeId{2}));
    EXPECT_NE(branch_of(view, NodeId{1}), view.group);
}

}  // namespace
}  // namespace libderecho
