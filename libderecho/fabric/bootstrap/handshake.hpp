// One bootstrap connection on its way to a link: where it stands, and the messages that arrive on it. The decisions are
// bootstrap*.cpp's. Driver thread.
//
//   dialer:   resolving, connecting, [HELLO >] hello_due, [unix: OPEN >] unix_due, [READY >] go_due, (go_held), linked
//                                                         [VERBS >] verbs_due, pair_due, [a write >] probe_due, [READY
//                                                         >] ...
//   answerer: hello_due, [HELLO >] ready_due, (pair_due, [VERBS >] ready_due), (ready_held), [GO >] linked
//
// unix_due only where both share memory, verbs_due where both have RDMA: each connects its queue pair to the other's in
// pair_due, and a write that lands proves that it works, in both directions; where it does not land, and neither
// insists, the link is a TCP one. A dialer that is told ALREADY waits, yielded, for the link that comes about over the
// connection the other side dialed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "fabric/bootstrap/address.hpp"
#include "fabric/os/memory.hpp"
#include "fabric/shm/link.hpp"
#include "fabric/verbs/link.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

// Reads whole bootstrap messages and not a byte more: what follows belongs to the link.
class MessageReader {
public:
    enum class Result { nothing, message, failed };
    // On failed, `why` has a sentence about the other side.
    Result read(int socket, Status& why);
    BootstrapKind kind() const { return static_cast<BootstrapKind>(header_.kind); }
    std::span<const std::byte> body() const { return body_; }

private:
    Result fill(int socket, std::byte* to, size_t size_bytes, size_t& got, Status& why);

    BootstrapHeader header_;
    std::vector<std::byte> body_;
    size_t header_got_ = 0, body_got_ = 0;
};

// Bootstrap messages are smaller than any socket's buffer: one that does not fit at once is a broken connection.
bool send_whole(int socket, std::span<const std::byte> message);

struct Handshake {
    enum class Stage {
        resolving,
        connecting,
        hello_due,
        unix_due,
        verbs_due,
        pair_due,
        probe_due,
        ready_due,
        ready_held,
        go_due,
        go_held,
        yielded,
        ended
    };

    bool dialer = false;
    Stage stage = Stage::hello_due;
    std::string address;  // that was dialed, or where the connection comes from
    std::string source;   // of one that comes from outside: the host (peer_source)
    Instant deadline{};   // set when first looked at
    UniqueFd socket;
    std::unique_ptr<Resolution> resolution;
    size_t next_address = 0;

    MessageReader reader;
    Hello ours;
    std::optional<Hello> theirs;
    Ready ready;
    ShmParts shm;
    VerbsParts verbs;
    Instant probe_deadline{};

    const char* waits_for() const;
};

}  // namespace libderecho
