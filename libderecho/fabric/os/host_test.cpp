#include "fabric/os/host.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace libderecho {
namespace {

CoreSet cores(std::initializer_list<size_t> numbers) {
    CoreSet set{};
    for (const size_t core : numbers) set[core / 64] |= uint64_t{1} << core % 64;
    return set;
}

TEST(Host, is_crowded_by_more_nodes_than_cores) {
    const CoreSet both = cores({0, 1});
    EXPECT_FALSE(crowded(both, {}));
    EXPECT_FALSE(crowded(both, std::vector{both}));
    EXPECT_TRUE(crowded(both, std::vector{both, both}));
}

TEST(Host, is_not_crowded_by_nodes_that_have_a_core_each) {
    EXPECT_FALSE(crowded(cores({0}), std::vector{cores({1}), cores({700})}));
    EXPECT_FALSE(crowded(cores({0}), std::vector{cores({0, 1})}));
}

TEST(Host, is_crowded_for_nodes_on_one_core_and_not_for_those_who_can_go_elsewhere) {
    const CoreSet anywhere = cores({0, 1, 2, 3});
    EXPECT_TRUE(crowded(cores({0}), std::vector{cores({0}), anywhere}));
    EXPECT_FALSE(crowded(anywhere, std::vector{cores({0}), cores({0})}));
}

TEST(Host, is_crowded_when_the_system_does_not_say_what_cores_there_are) { EXPECT_TRUE(crowded(CoreSet{}, {})); }

TEST(Host, has_cores_for_this_process) { EXPECT_FALSE(crowded(cores_of_this_process(), {})); }

}  // namespace
}  // namespace libderecho
