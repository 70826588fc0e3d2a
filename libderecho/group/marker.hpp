// What a node remembers of its group from one incarnation to the next, so that it comes back to it and never founds a
// second one beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "view/view.hpp"

namespace libderecho {

struct Marker {
    enum class Kind : uint8_t {
        none,
        granted,  // another node may found `known.group`; it is the only member in `known`
        member,   // of `known.group`; `known` is the newest view that the node knows of, with itself or without
    };
    Kind kind = Kind::none;
    View known;
    bool operator==(const Marker&) const = default;
};

// As the lines of a file that people can read; empty for none.
std::string to_text(const Marker& marker);
// Nothing if it is damaged.
std::optional<Marker> marker_in(std::string_view text);

void encode(ByteWriter& out, const Marker& marker);
bool decode(ByteReader& in, Marker& marker);

// Such as "group 5b0e..., view 7 of node 1 at 10.0.0.1:7000, node 2 at 10.0.0.2:7000".
std::string describe(const View& view);

}  // namespace libderecho
