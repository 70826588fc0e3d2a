#include "fabric/bootstrap/schemas.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

const std::string kCache =
    "service Cache\nordered put(key:str,value:i64)->i64\nordered drop(key:str)->void\nquery get(key:str)->i64\n"
    "state map<str,i64>\n";

std::string differences(const std::string& here, const std::string& there, bool cut = false) {
    return schema_differences(schema_lines(here), schema_lines(there), cut);
}

TEST(Schemas, the_methods_that_differ_are_named_with_both_signatures) {
    EXPECT_EQ(differences(kCache,
                          "service Cache\nordered put(key:str,value:str)->i64\nquery get(key:str)->i64\n"
                          "query size()->i64\nstate map<str,str>\n"),
              "put is ordered put(key:str,value:i64)->i64 here, ordered put(key:str,value:str)->i64 there; "
              "drop is not there; the state is state map<str,i64> here, state map<str,str> there; size is only there");
    EXPECT_EQ(differences(kCache, kCache), "");
}

TEST(Schemas, methods_in_another_order_are_a_difference) {
    EXPECT_EQ(differences("service S\nquery a()->i64\nquery b()->i64\n", "service S\nquery b()->i64\nquery a()->i64\n"),
              "the methods are in another order there");
}

TEST(Schemas, of_one_that_is_cut_nothing_is_said_to_be_missing) {
    EXPECT_EQ(differences(kCache, "service Cache\nordered put(key:str,value:i64)->i64\n", true), "");
}

TEST(Schemas, what_is_not_known_or_cannot_be_shown_differs_in_nothing) {
    EXPECT_EQ(differences(kCache, ""), "");
    EXPECT_EQ(differences("", kCache), "");
    EXPECT_EQ(differences(kCache, "service S\nquery \x01()->i64\n"), "");
    EXPECT_NE(differences(kCache, "x\n\n(\nstate\n"), "");  // a stranger's
}

TEST(Schemas, many_differences_are_counted) {
    std::string many = "service S\n";
    for (int i = 0; i < 20; i++) many += "query m" + std::to_string(i) + "()->i64\n";
    EXPECT_TRUE(differences("service S\n", many).ends_with("m7 is only there; and 12 more"));
}

}  // namespace
}  // namespace libderecho
