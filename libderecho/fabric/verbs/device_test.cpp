#include "fabric/verbs/device.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

// By the standard a device gives up when it has waited at least so often and so long.
uint64_t least_ms(uint32_t exponent, uint32_t retries) {
    return (retries + 1) * (uint64_t{4096} << exponent) / 1'000'000;
}

TEST(AckTimeout, outlives_every_silence_that_members_put_up_with) {
    for (const uint64_t silence_ms : {2u, 100u, 300u, 2000u, 6000u, 30'000u, 120'000u})
        for (const uint32_t retries : {0u, 1u, 6u, 7u}) {
            const uint32_t exponent = ack_timeout_beyond(milliseconds(silence_ms), retries);
            EXPECT_GE(least_ms(exponent, retries), silence_ms) << silence_ms << " ms, " << retries;
            EXPECT_GE(exponent, 14u);
            if (exponent > 14) {
                EXPECT_LT(least_ms(exponent - 1, retries), silence_ms) << "and not for long";
            }
        }
    EXPECT_EQ(ack_timeout_beyond(milliseconds(24ull * 3600 * 1000), 0), 31u);
    EXPECT_EQ(VerbsOptions{}.ack_timeout, 16u);
}

}  // namespace
}  // namespace libderecho
