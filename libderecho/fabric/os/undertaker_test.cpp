#include "fabric/os/undertaker.hpp"

#include <gtest/gtest.h>
#include <chrono>
#include <future>
#include <vector>

namespace libderecho {
namespace {

// Whose destruction does as it is told.
std::shared_ptr<void> mortal(std::function<void()> last_act) {
    return {nullptr, [last_act = std::move(last_act)](void*) { last_act(); }};
}

TEST(Undertaker, destroys_in_order_while_its_user_goes_on_and_has_done_so_when_it_ends) {
    std::promise<void> burial_may_go_on;
    std::vector<int> destroyed;
    {
        Undertaker undertaker;
        undertaker.bury(mortal([&, may = burial_may_go_on.get_future().share()] { may.wait(); }));
        for (int i = 0; i < 3; ++i) undertaker.bury(mortal([&, i] { destroyed.push_back(i); }));
        burial_may_go_on.set_value();  // reached: nobody waited for the first
    }
    EXPECT_EQ(destroyed, (std::vector{0, 1, 2}));
}

TEST(Undertaker, leaves_alone_what_others_still_use) {
    bool destroyed = false;
    std::shared_ptr<void> shared = mortal([&] { destroyed = true; });
    { Undertaker().bury(shared); }
    EXPECT_FALSE(destroyed);
    shared.reset();
    EXPECT_TRUE(destroyed);
}

}  // namespace
}  // namespace libderecho
