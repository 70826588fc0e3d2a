// What can be configured, as data: docs/options.md tells the same, and a test holds them together.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.hpp"
#include "group/options.hpp"
#include "node/node.hpp"

namespace libderecho::capi {

struct Option {
    enum class Type { integer, boolean, text, path, address, addresses, choice };
    std::string_view key;
    Type type;
    std::string_view fallback;
    int64_t least = 0, most = 0;  // of an integer
    std::string_view choices;     // of a choice: separated by |
    std::string_view doc;
};

std::span<const Option> option_table();

// Texts, checked one by one as they are set.
class Options {
public:
    Status set(std::string_view key, std::string_view value);
    Status get(std::string_view key, std::string& value) const;
    Status add_service(std::string_view name, uint64_t schema_hash);
    Status describe_service(std::string_view name, std::string_view schema);

    // All of them together, checked against each other.
    Status resolve(NodeOptions& out) const;

private:
    const std::string& text(std::string_view key) const;
    int64_t integer(std::string_view key) const;
    bool flag(std::string_view key) const { return text(key) == "true"; }
    uint64_t choice(std::string_view key) const;
    template <class Enum>
    Enum chosen(std::string_view key) const {
        return static_cast<Enum>(choice(key));
    }
    Status check_sizes() const;
    Status check_way_in(bool client) const;
    int64_t message_max_bytes() const;

    std::map<std::string, std::string, std::less<>> values_;
    std::vector<ServiceInfo> services_;
};

}  // namespace libderecho::capi
