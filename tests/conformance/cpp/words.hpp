// The lines of tests/conformance/README.md: words that are percent-encoded, bytes in hex.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <derecho.hpp>

namespace conformance {

inline int digit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }
inline std::string two_digits(unsigned value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    return {kDigits[value / 16], kDigits[value % 16]};
}

inline std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

inline std::string decode(std::string_view word) {
    std::string text;
    for (size_t i = 0; i < word.size(); i++) {
        if (word[i] == '%') {
            text += static_cast<char>(digit(word[i + 1]) * 16 + digit(word[i + 2]));
            i += 2;
        } else {
            text += word[i];
        }
    }
    return text;
}

/** Encode control characters, '%', and what `also` names. */
inline std::string encode(std::string_view text, std::string_view also = "") {
    std::string word;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = byte >= 0x20 && c != '%' && also.find(c) == std::string_view::npos;
        word += plain ? std::string(1, c) : "%" + two_digits(byte);
    }
    return word;
}

inline derecho::Bytes from_hex(std::string_view text) {
    derecho::Bytes data;
    for (size_t i = 0; i < text.size(); i += 2) {
        data.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
    }
    return data;
}

inline std::string to_hex(derecho::BytesView data) {
    std::string text;
    for (const std::byte each : data) text += two_digits(static_cast<unsigned>(each));
    return text;
}

}  // namespace conformance
