// The table against std::map, by chance: nothing is lost or found twice, whatever was removed in between.
#include "rpc/owed_answers.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace libderecho {
namespace {

TEST(OwedAnswers, are_found_once_each) {
    std::mt19937_64 random(20261128);
    OwedAnswers<int> owed;
    std::map<std::pair<uint32_t, uint64_t>, uint64_t> model;
    int whole[2] = {};
    for (uint64_t n = 0; n < 200'000; ++n) {
        const auto caller = static_cast<uint32_t>(random() % 3);
        const uint64_t call = 1 + random() % 3000;
        if (random() % 2 == 0) {
            EXPECT_EQ(owed.put({call, caller, n, &whole[call % 2]}) != nullptr, model.contains({caller, call}));
            model[{caller, call}] = n;
        } else {
            const auto found = owed.take(caller, call);
            ASSERT_EQ(found.has_value(), model.contains({caller, call}));
            if (found) {
                EXPECT_EQ(found->version, (model[{caller, call}]));
            }
            model.erase({caller, call});
        }
        ASSERT_EQ(owed.size(), model.size());
    }
    owed.forget(&whole[1]);
    std::erase_if(model, [](const auto& entry) { return entry.first.second % 2 == 1; });
    EXPECT_EQ(owed.size(), model.size());
    for (const auto& [key, version] : model) EXPECT_TRUE(owed.take(key.first, key.second));
}

}  // namespace
}  // namespace libderecho
