#include "base/ids.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace libderecho {
namespace {

constexpr std::array<size_t, 4> kDashes{8, 13, 18, 23};
constexpr size_t kTextBytes = 36;

bool hex_number(std::string_view text, uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string to_text(const GroupId& id) {
    char digits[33];
    std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(id.high),
                  static_cast<unsigned long long>(id.low));
    std::string text(digits);
    for (const size_t at : kDashes) text.insert(at, 1, '-');
    return text;
}

std::optional<GroupId> group_id_in(std::string_view text) {
    if (text.size() != kTextBytes) return std::nullopt;
    std::string digits(text);
    for (size_t i = kDashes.size(); i-- > 0;) {
        if (digits[kDashes[i]] != '-') return std::nullopt;
        digits.erase(kDashes[i], 1);
    }
    GroupId id;
    const std::string_view all(digits);
    if (!hex_number(all.substr(0, 16), id.high) || !hex_number(all.substr(16), id.low)) return std::nullopt;
    return id;
}

}  // namespace libderecho
