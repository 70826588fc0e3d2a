// Just enough JSON to say what was measured: objects of numbers, texts and further objects, in the order written.
#pragma once

#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace bench {

class Json {
public:
    Json& number(std::string_view key, double value) {
        char text[40];
        if (!std::isfinite(value)) return raw(key, "null");
        std::snprintf(text, sizeof text, "%.6g", value);
        return raw(key, text);
    }
    Json& count(std::string_view key, uint64_t value) { return raw(key, std::to_string(value)); }
    Json& flag(std::string_view key, bool value) { return raw(key, value ? "true" : "false"); }
    Json& text(std::string_view key, std::string_view value) { return raw(key, '"' + escaped(value) + '"'); }
    Json& object(std::string_view key, const Json& value) { return raw(key, value.str()); }
    // `value` is JSON already.
    Json& raw(std::string_view key, std::string_view value) {
        if (!body_.empty()) body_ += ", ";
        body_ += '"' + escaped(key) + "\": ";
        body_ += value;
        return *this;
    }
    std::string str() const { return '{' + body_ + '}'; }

private:
    static std::string escaped(std::string_view text) {
        std::string out;
        for (const char c : text) {
            if (c == '"' || c == '\\') out += '\\';
            if (static_cast<unsigned char>(c) < 0x20) {
                char code[8];
                std::snprintf(code, sizeof code, "\\u%04x", c);
                out += code;
            } else {
                out += c;
            }
        }
        return out;
    }
    std::string body_;
};

}  // namespace bench
