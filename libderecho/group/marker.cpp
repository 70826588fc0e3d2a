#include "group/marker.hpp"

#include <sstream>

#include "base/limits.hpp"

namespace libderecho {
namespace {

constexpr const char* kHead =
    "# libderecho: what this node remembers of its group. docs/founding.md says when to remove it.\n";
constexpr const char* kKinds[] = {"none", "granted", "member"};

bool read_member(std::istringstream& words, Member& member) {
    uint32_t node = 0;
    words >> node >> member.incarnation >> member.address;
    member.node = NodeId{node};
    return !words.fail() && member.address.size() < limits::address_bytes;
}

// One line; false if it is none of ours.
bool read_line(const std::string& line, Marker& marker, bool& ended) {
    std::istringstream words(line);
    std::string key, equals, value;
    words >> key >> equals;
    if (key == "end") return ended = true;
    if (equals != "=") return false;
    if (key == "member") {
        marker.known.members.emplace_back();
        return marker.known.members.size() <= limits::members_max && read_member(words, marker.known.members.back());
    }
    words >> value;
    if (key == "kind") {
        marker.kind = value == kKinds[1] ? Marker::Kind::granted : Marker::Kind::member;
        return value == kKinds[1] || value == kKinds[2];
    }
    if (key == "group") {
        const auto group = group_id_in(value);
        if (group) marker.known.group = *group;
        return group.has_value();
    }
    if (key != "view") return false;
    uint64_t id = 0;
    std::istringstream(value) >> id;
    marker.known.id = ViewId{id};
    return id <= limits::view_max;
}

}  // namespace

std::string to_text(const Marker& marker) {
    if (marker.kind == Marker::Kind::none) return "";
    std::string text = kHead;
    text += std::string("kind = ") + kKinds[static_cast<size_t>(marker.kind)] + "\n";
    text += "group = " + to_text(marker.known.group) + "\n";
    text += "view = " + std::to_string(raw(marker.known.id)) + "\n";
    for (const Member& member : marker.known.members)
        text += "member = " + std::to_string(raw(member.node)) + " " + std::to_string(member.incarnation) + " " +
                member.address + "\n";
    return text + "end\n";
}

std::optional<Marker> marker_in(std::string_view text) {
    Marker marker;
    if (text.empty()) return marker;
    std::istringstream lines{std::string(text)};
    bool ended = false;
    for (std::string line; !ended && std::getline(lines, line);)
        if (!line.empty() && line[0] != '#' && !read_line(line, marker, ended)) return std::nullopt;
    const bool whole = ended && marker.kind != Marker::Kind::none && marker.known.group;
    return whole ? std::optional(std::move(marker)) : std::nullopt;
}

void encode(ByteWriter& out, const Marker& marker) {
    out.number(static_cast<uint8_t>(marker.kind));
    encode(out, marker.known);
}

bool decode(ByteReader& in, Marker& marker) {
    const auto kind = in.number<uint8_t>();
    marker.kind = static_cast<Marker::Kind>(kind);
    return decode(in, marker.known) && kind <= static_cast<uint8_t>(Marker::Kind::member);
}

std::string describe(const View& view) {
    std::string text = "group " + to_text(view.group) + ", view " + std::to_string(raw(view.id));
    const char* before = " of ";
    for (const Member& member : view.members) {
        text += before + ("node " + std::to_string(raw(member.node))) + " at " + member.address;
        before = ", ";
    }
    return text;
}

}  // namespace libderecho
