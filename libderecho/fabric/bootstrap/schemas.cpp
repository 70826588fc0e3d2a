#include "fabric/bootstrap/schemas.hpp"

#include <algorithm>

#include "base/names.hpp"

namespace libderecho {
namespace {

constexpr size_t kToldMax = 8;         // methods
constexpr size_t kLineShownMax = 200;  // bytes

// "ordered put(key:str)->i64": put; "state map<str,i64>": the state.
std::string_view method_of(std::string_view line) {
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos || line.substr(0, blank) == "state") return "the state";
    const std::string_view rest = line.substr(blank + 1);
    return rest.substr(0, rest.find('('));
}

const std::string* find(const std::vector<std::string>& lines, std::string_view method) {
    const auto found = std::ranges::find(lines, method, method_of);
    return found == lines.end() ? nullptr : &*found;
}

std::string shown(const std::string& line) {
    return line.size() <= kLineShownMax ? line : printable_start(line, kLineShownMax) + "...";
}

// The first line has the service's name.
std::vector<std::string> methods_of(const std::vector<std::string>& schema) {
    return {schema.begin() + 1, schema.end()};
}

}  // namespace

std::vector<std::string> schema_lines(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        if (!is_printable(text.substr(0, end))) return {};
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string schema_differences(const std::vector<std::string>& here, const std::vector<std::string>& there,
                               bool there_is_cut) {
    if (here.empty() || there.empty()) return "";
    const std::vector<std::string> ours = methods_of(here), theirs = methods_of(there);
    std::vector<std::string> told;
    for (const std::string& line : ours) {
        const std::string name(method_of(line));
        const std::string* other = find(theirs, name);
        if (!other && !there_is_cut) {
            told.push_back(name + " is not there");
        } else if (other && *other != line) {
            told.push_back(name + " is " + shown(line) + " here, " + shown(*other) + " there");
        }
    }
    for (const std::string& line : theirs)
        if (!find(ours, method_of(line))) told.push_back(std::string(method_of(line)) + " is only there");
    if (told.empty() && ours != theirs && !there_is_cut) told.push_back("the methods are in another order there");
    std::string text;
    for (size_t i = 0; i < std::min(told.size(), kToldMax); ++i) text += (i == 0 ? "" : "; ") + told[i];
    if (told.size() > kToldMax) text += "; and " + std::to_string(told.size() - kToldMax) + " more";
    return text;
}

}  // namespace libderecho
