// What nodes write to each other outside of views: how one comes in. Letters of the group's own mail channel.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "smc/mail.hpp"
#include "view/view.hpp"

namespace libderecho {

enum class Letter : uint8_t {
    join = 1,       // incarnation, address, Outsider: "let me in"
    outside = 2,    // Outsider: "I am in no view myself"
    leader = 3,     // group, text: "ask the node at this address"
    view = 4,       // View: "this is the view", to its new members and to clients
    refused = 5,    // status, text: "never"
    found = 6,      // group: "let me found it"
    granted = 7,    // group: "found it"
    member_of = 8,  // group: "this is the one that I am in", to who is in another, or wants to be
    later = 9,      // text: "not yet, because"; the joiner goes on asking
};

inline void write_letter(Mail& mail, NodeId to, Letter kind, const ByteWriter& body) {
    const std::span<const std::byte> part = body.bytes();
    mail.send(to, static_cast<uint8_t>(kind), std::span(&part, 1));  // if it does not fit, the asker will ask again
}

inline void encode(ByteWriter& out, GroupId group) {
    out.number(group.high);
    out.number(group.low);
}

inline GroupId read_group(ByteReader& in) {
    const auto high = in.number<uint64_t>();
    return {high, in.number<uint64_t>()};
}

inline void write_group(Mail& mail, NodeId to, Letter kind, GroupId group) {
    ByteWriter body;
    encode(body, group);
    write_letter(mail, to, kind, body);
}

inline void write_view(Mail& mail, NodeId to, const View& view) {
    ByteWriter body;
    encode(body, view);
    write_letter(mail, to, Letter::view, body);
}

inline std::optional<View> read_view(std::span<const std::byte> bytes) {
    ByteReader in(bytes);
    View view;
    if (!decode(in, view) || !in.finished()) return std::nullopt;
    return view;
}

}  // namespace libderecho
