// Options: what is accepted, how errors read, files, and that docs/options.md says what the table says.
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "capi/capi_testing.hpp"
#include "capi/options.hpp"

namespace libderecho::capi_testing {
namespace {

class Config : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_DERECHO_OK(derecho_config_create(&config)); }
    void TearDown() override { EXPECT_DERECHO_OK(derecho_config_close(config)); }

    std::string get(const char* key) {
        const char* value = nullptr;
        EXPECT_DERECHO_OK(derecho_config_get(config, key, &value));
        return value ? value : "";
    }
    void refused(const char* key, const char* value, const std::string& because) {
        EXPECT_EQ(derecho_config_set(config, key, value), DERECHO_INVALID) << key << " = " << value;
        EXPECT_NE(std::string(derecho_last_error()).find(because), std::string::npos) << derecho_last_error();
    }
    void join_refused(const std::string& because) {
        derecho_group* group = nullptr;
        EXPECT_EQ(derecho_group_join(config, 100, &group), DERECHO_INVALID);
        EXPECT_NE(std::string(derecho_last_error()).find(because), std::string::npos) << derecho_last_error();
    }
    derecho_status load(const std::string& text) {
        path = std::filesystem::temp_directory_path() / ("derecho-config-test-" + std::to_string(::getpid()) + ".toml");
        std::ofstream(path) << text;
        const derecho_status status = derecho_config_load(config, path.c_str());
        std::filesystem::remove(path);
        return status;
    }

    derecho_config* config = nullptr;
    std::filesystem::path path;
};

TEST_F(Config, every_default_can_be_read_and_set) {
    for (const capi::Option& option : capi::option_table()) {
        const std::string key(option.key), value = get(key.c_str());
        EXPECT_EQ(value, option.fallback);
        if (!value.empty()) {
            EXPECT_DERECHO_OK(derecho_config_set(config, key.c_str(), value.c_str()));
        }
    }
    EXPECT_DERECHO_OK(derecho_config_set(config, "ring_bytes", "65536"));
    EXPECT_EQ(get("ring_bytes"), "65536");
}

TEST_F(Config, an_unknown_key_lists_the_known_ones) {
    refused("ring_size", "1", "unknown option \"ring_size\"");
    for (const capi::Option& option : capi::option_table())
        EXPECT_NE(std::string(derecho_last_error()).find(option.key), std::string::npos) << option.key;
    const char* value = nullptr;
    EXPECT_EQ(derecho_config_get(config, "ring_size", &value), DERECHO_INVALID);
}

TEST_F(Config, a_wrong_value_is_told_with_its_key_and_what_is_accepted) {
    refused("node", "four", "option node: \"four\" is not a whole number from 0 to 4294967294");
    refused("node", "-1", "from 0 to");
    refused("node", "4294967295", "from 0 to");
    refused("node", "1 ", "whole number");
    refused("spin_us", "99999999999999999999", "whole number");
    refused("role", "leader", "\"leader\" is none of member|client");
    refused("reactor", "yes", "neither true nor false");
    refused("listen", "7000", "host:port");
    refused("listen", "host:", "host:port");
    refused("listen", ":7000", "host:port");
    refused("listen", "host:70000", "host:port");
    refused("contacts", "a:1, b", "\"b\" is not host:port");
    refused("listen", (std::string(60, 'h') + ":7000").c_str(), "fewer than 64");
    refused("group", "", "is empty");
    refused("group", "a\nb", "\"a\\x0ab\"");
    refused("group", "\xff", "UTF-8");
    refused("listen", "a\n:1", "\"a\\x0a:1\"");
    refused("ring_bytes", "1024", "from 65536 to");
}

TEST_F(Config, services_are_named_once_and_within_bounds) {
    EXPECT_DERECHO_OK(derecho_config_add_service(config, "a", 1));
    EXPECT_EQ(derecho_config_add_service(config, "a", 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_config_add_service(config, "", 1), DERECHO_INVALID);
    EXPECT_EQ(derecho_config_add_service(config, std::string(64, 'n').c_str(), 1), DERECHO_INVALID);
    for (int k = 1; k < 16; ++k) EXPECT_DERECHO_OK(derecho_config_add_service(config, std::to_string(k).c_str(), 1));
    EXPECT_EQ(derecho_config_add_service(config, "one more", 1), DERECHO_INVALID);
}

TEST_F(Config, what_is_missing_or_does_not_fit_together_is_told_when_joining) {
    const auto set = [&](const char* key, const char* value) {
        EXPECT_DERECHO_OK(derecho_config_set(config, key, value));
    };
    join_refused("option node is missing");
    set("node", "1");
    join_refused("option listen is missing");
    set("listen", "127.0.0.1:0");
    join_refused("nothing says how this node comes into a group: set initial_members");
    set("found", "true");
    set("initial_members", "127.0.0.1:1");
    join_refused("options found and initial_members are both set");
    set("found", "false");
    set("initial_members", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:1");
    join_refused("option initial_members names 127.0.0.1:1 twice");
    set("found", "true");
    set("initial_members", "");
    set("role", "client");
    join_refused("option contacts is missing");
    set("contacts", "127.0.0.1:1");
    join_refused("a client founds no group");
    set("found", "false");
    set("contacts", "");
    join_refused("option contacts is missing");
    set("contacts", "127.0.0.1:1");
    join_refused("no service was added");
    EXPECT_DERECHO_OK(derecho_config_add_service(config, "a", 0));
    set("ring_bytes", "100000");
    join_refused("option ring_bytes: \"100000\" is not a power of two");
    set("ring_bytes", "131072");
    set("message_max_bytes", "32769");
    join_refused("option message_max_bytes: \"32769\" is more than 32768, a quarter of ring_bytes (131072)");
    set("message_max_bytes", "32768");
    set("suspect_ms", "150");
    join_refused("less than twice heartbeat_ms");
}

#ifdef DERECHO_HAVE_TOML
TEST_F(Config, a_file_sets_options_at_its_top_or_in_a_table_named_derecho) {
    ASSERT_DERECHO_OK(load("node = 7\ncontacts = [\"a:1\", \"b:2\"]\nreactor = false\nwire = \"tcp\"\n"));
    EXPECT_EQ(get("node"), "7");
    EXPECT_EQ(get("contacts"), "a:1,b:2");
    EXPECT_EQ(get("reactor"), "false");
    ASSERT_DERECHO_OK(load("[other]\nx = 1\n[derecho]\nnode = 8\n"));
    EXPECT_EQ(get("node"), "8");
}

TEST_F(Config, a_wrong_file_is_told_with_its_line_and_changes_nothing) {
    const auto refused_at = [&](const std::string& text, const std::string& line, const std::string& because) {
        EXPECT_EQ(load(text), DERECHO_INVALID);
        const std::string error = derecho_last_error();
        EXPECT_NE(error.find(path.string() + line), std::string::npos) << error;
        EXPECT_NE(error.find(because), std::string::npos) << error;
    };
    refused_at("node = 7\nring_bytes = 3\n", ":2: ", "option ring_bytes");
    EXPECT_EQ(get("node"), "");
    refused_at("node = 7\nbogus = 3\n", ":2: ", "unknown option");
    refused_at("node = \n", ":1", "");
    refused_at("node = 1.5\n", ":1: ", "not a string");
    refused_at("[\4d]\n", ":1: ", "");
    refused_at("\u022b = 1\n", ":1: ", "");
    EXPECT_EQ(derecho_config_load(config, "/no/such/file"), DERECHO_INVALID);
    EXPECT_NE(std::string(derecho_last_error()).find("/no/such/file"), std::string::npos);
}
#endif

TEST_F(Config, the_documentation_has_every_option_with_its_default_and_text) {
    const auto docs = std::filesystem::path(__FILE__).parent_path() / "../../docs/options.md";
    if (!std::filesystem::exists(docs)) GTEST_SKIP() << "the sources are not where they were built";
    std::stringstream text;
    text << std::ifstream(docs).rdbuf();
    for (const capi::Option& option : capi::option_table()) {
        const std::string fallback = option.fallback.empty() ? "" : "`" + std::string(option.fallback) + "`";
        const std::string row = "| `" + std::string(option.key) + "` | " + fallback;
        EXPECT_NE(text.str().find(row), std::string::npos) << "no row " << row;
        EXPECT_NE(text.str().find("| " + std::string(option.doc) + " |"), std::string::npos) << option.doc;
    }
}

}  // namespace
}  // namespace libderecho::capi_testing
