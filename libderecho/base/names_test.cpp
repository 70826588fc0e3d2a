#include "base/names.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

using namespace std::string_literals;

TEST(Names, are_utf8_without_control_characters) {
    for (const std::string& good : {"a"s, "my group"s,
                                    "Gr\xc3\xbc\xc3\x9f"
                                    "e"s,
                                    "\xe4\xb8\xad\xe6\x96\x87"s, "\xf0\x9f\x98\x80"s, std::string(63, 'x')})
        EXPECT_TRUE(check_name("the group", good).ok()) << good;
    for (const std::string& bad :
         {""s, "a\n"s, "a\0"s, "\0"s, "\x7f"s, "a\x1b[31m"s, "\xc2\x85"s, "\xff"s, "\xc3"s, "\xc0\xaf"s,
          "\xe0\x80\xaf"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\x80"s, std::string(64, 'x')})
        EXPECT_EQ(check_name("the group", bad).code, DERECHO_INVALID) << quoted(bad);
}

TEST(Names, an_error_shows_what_was_wrong_and_what_is_right) {
    EXPECT_EQ(check_name("the group", "a\n\xff").detail,
              "the group cannot be called \"a\\x0a\\xff\", which is no plain text: a name has 1 to 63 bytes of UTF-8 "
              "without control characters");
    EXPECT_NE(check_name("a service", "").detail.find("a service cannot be called \"\", which is empty"),
              std::string::npos);
}

}  // namespace
}  // namespace libderecho
