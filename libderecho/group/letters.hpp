// What nodes write to each other outside of views: how one comes in. Letters of the group's own mail channel.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "smc/mail.hpp"
#include "view/view.hpp"

namespace libderecho {

enum class Letter : uint8_t {
    join = 1,      // Member: "let me in"
    no_group = 2,  // "I am in no view myself"
    leader = 3,    // text: "ask the node at this address"
    view = 4,      // View: "this is the view", to its new members and to clients
    refused = 5,   // status, text: "never"
};

inline void write_letter(Mail& mail, NodeId to, Letter kind, const ByteWriter& body) {
    const std::span<const std::byte> part = body.bytes();
    mail.send(to, static_cast<uint8_t>(kind), std::span(&part, 1));  // if it does not fit, the asker will ask again
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
