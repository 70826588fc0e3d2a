#include "settings.hpp"

namespace bench {

Settings::Settings(int count, char** arguments) {
    for (int i = 0; i < count; ++i) {
        const std::string argument = arguments[i];
        const size_t equals = argument.find('=');
        if (equals == 0 || equals == std::string::npos) throw UsageError("expected key=value, got '" + argument + "'");
        values_[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
}

std::string Settings::text(const std::string& key, const std::string& otherwise) {
    asked_.insert(key);
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : found->second;
}

double Settings::real(const std::string& key, double otherwise) {
    const std::string value = text(key, "");
    if (value.empty()) return otherwise;
    size_t used = 0;
    try {
        const double number = std::stod(value, &used);
        if (used == value.size() && number >= 0) return number;
    } catch (const std::exception&) {
    }
    throw UsageError(key + " must be a number that is not negative, not '" + value + "'");
}

uint64_t Settings::number(const std::string& key, uint64_t otherwise) {
    return static_cast<uint64_t>(real(key, static_cast<double>(otherwise)));
}

std::map<std::string, std::string> Settings::with_prefix(const std::string& prefix) {
    std::map<std::string, std::string> found;
    for (const auto& [key, value] : values_) {
        if (!key.starts_with(prefix)) continue;
        asked_.insert(key);
        found[key.substr(prefix.size())] = value;
    }
    return found;
}

void Settings::all_known() const {
    for (const auto& [key, value] : values_) {
        if (asked_.contains(key)) continue;
        std::string known;
        for (const std::string& name : asked_) known += (known.empty() ? "" : ", ") + name;
        throw UsageError("unknown setting '" + key + "'; known here: " + known);
    }
}

}  // namespace bench
