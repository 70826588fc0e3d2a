// The key=value arguments of one subcommand. What nobody asked for is a mistake and is named.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

namespace bench {

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Settings {
public:
    Settings(int count, char** arguments);

    std::string text(const std::string& key, const std::string& otherwise);
    uint64_t number(const std::string& key, uint64_t otherwise);
    double real(const std::string& key, double otherwise);
    bool flag(const std::string& key, bool otherwise) { return number(key, otherwise ? 1 : 0) != 0; }

    // Those that begin with `prefix`, without it: options that go to libderecho as they are.
    std::map<std::string, std::string> with_prefix(const std::string& prefix);
    void set(const std::string& key, const std::string& value) { values_[key] = value; }
    // Throws if something was given that no one has asked for.
    void all_known() const;

private:
    std::map<std::string, std::string> values_;
    std::set<std::string> asked_;
};

}  // namespace bench
