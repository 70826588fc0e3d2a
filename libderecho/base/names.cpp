#include "base/names.hpp"

#include <cstdint>
#include <cstdio>

#include "base/limits.hpp"

namespace libderecho {
namespace {

// Bytes of the character that `text` begins with; 0: none.
size_t character_bytes(std::string_view text) {
    const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[i]); };
    const uint32_t first = byte(0);
    if (first < 0x80) return 1;
    const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
    uint32_t code = first & (0x7fu >> size);
    for (size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3f);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < kLeast[size] || code > 0x10ffff || surrogate ? 0 : size;
}

bool is_control(std::string_view character) {
    const auto first = static_cast<unsigned char>(character[0]);
    if (character.size() == 1) return first < 0x20 || first == 0x7f;
    return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;  // U+0080 to U+009F
}

}  // namespace

bool is_printable(std::string_view text) {
    while (!text.empty()) {
        const size_t size = character_bytes(text);
        if (size == 0 || is_control(text.substr(0, size))) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string printable_start(std::string_view text, size_t bytes_max) {
    size_t end = 0;
    while (end < text.size()) {
        const size_t size = character_bytes(text.substr(end));
        if (size == 0 || end + size > bytes_max || is_control(text.substr(end, size))) break;
        end += size;
    }
    return std::string(text.substr(0, end));
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const size_t size = character_bytes(text);
        if (size > 0 && !is_control(text.substr(0, size))) {
            out += text.substr(0, size);
        } else {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
            out += escape;
        }
        text.remove_prefix(size > 0 && !is_control(text.substr(0, size)) ? size : 1);
    }
    return out + "\"";
}

Status check_name(std::string_view what, std::string_view name) {
    if (!name.empty() && name.size() < limits::name_bytes && is_printable(name)) return {};
    const std::string_view wrong = name.empty() ? "empty" : is_printable(name) ? "too long" : "no plain text";
    return failure(DERECHO_INVALID, std::string(what) + " cannot be called " + quoted(name.substr(0, 256)) +
                                        ", which is " + std::string(wrong) + ": a name has 1 to " +
                                        std::to_string(limits::name_bytes - 1) +
                                        " bytes of UTF-8 without control characters");
}

}  // namespace libderecho
