// Brings two nodes together: listens, dials, checks that the other side fits, and agrees on the wire. What comes out
// are links; everything that is not one costs only its own connection. Driver thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/bootstrap/handshake.hpp"
#include "fabric/fabric.hpp"
#include "fabric/os/sleeper.hpp"

namespace libderecho {

// A connection that both sides agreed to use.
struct NewLink {
    Hello hello;  // the peer's
    Wire wire = Wire::tcp;
    UniqueFd tcp;
    ShmParts shm;               // complete if the wire is shm
    VerbsParts verbs;           // connected if the wire is verbs
    std::string why_no_better;  // wire, in words
    bool dialed = false;        // by this node
    std::string source;         // of one that was not: the host that it comes from
};

// What the fabric knows about lives of nodes.
class Directory {
public:
    enum class Verdict {
        welcome,
        already,  // linked: a second connection is not needed
        later,    // ask again at the next look
        refused,  // with the reason
    };
    virtual ~Directory() = default;
    // `never_up`: that node says it has never seen a link with this life of ours.
    virtual Verdict judge(const Hello& hello, bool never_up, Status& why) = 0;
    virtual bool ever_up(NodeId node, uint64_t incarnation) const = 0;
    // This life is in the view.
    virtual bool is_member(const Hello& hello) const = 0;
    // Of one that is welcome and about to be linked: whether there is a place for it; others may have to give way
    // first.
    virtual Verdict make_place(const Hello& hello, bool dialed, Status& why) = 0;
    virtual void linked(NewLink link) = 0;
};

struct BootstrapOptions {
    Hello hello;            // of this node; address, unix name and token are filled in
    std::string listen;     // empty: do not
    std::string advertise;  // what others are told; empty: `listen`
    Duration connect_timeout = milliseconds(2000);
};

class Bootstrap {
public:
    // `verbs` may be null: no RDMA here.
    Bootstrap(BootstrapOptions options, Sleeper& sleeper, VerbsDevice* verbs, Directory& directory);

    Status open();
    const std::string& address() const { return options_.hello.address; }
    const Hello& hello() const { return options_.hello; }

    // Nobody is listened to any more, nor dialed.
    void shut();
    void connect(std::string_view address);
    void enter_group(GroupId group) { options_.hello.group = group; }
    void set_clock(int64_t offset_ns) { clock_offset_ns_ = offset_ns; }
    // The RDMA device is gone: links to come do without it.
    void lost_device() { options_.hello.verbs = {}; }
    // Take every handshake as far as it goes.
    void look(Instant now, std::vector<PeerEvent>& events);
    // Whether the next poll should look again, whatever the sockets say; and whether a thread looks up a host name, or
    // connects a queue pair, which wakes nobody when it ends.
    bool impatient() const { return impatient_; }
    bool awaits_thread() const;
    const Fabric::Shortage& shortage() const { return shortage_; }
    Instant next_deadline() const;

private:
    using Stage = Handshake::Stage;
    struct UnixGuest {
        UniqueFd socket;
        Instant deadline{};
    };

    Status advertise();
    Status open_unix();
    Status lack(Status what);
    void accept_all();
    void make_room();
    void accept_unix();
    void look_at(Handshake& shake);
    void look_at_guests(Instant now);
    bool admit_guest(UnixGuest& guest);

    void dial_next(Handshake& shake, const Status& failed);
    void finish_connecting(Handshake& shake);
    void read(Handshake& shake);
    void handle(Handshake& shake, BootstrapKind kind, std::span<const std::byte> body);
    void take_hello(Handshake& shake, std::span<const std::byte> body);
    Status look_for_other_group(const Hello& theirs);
    Hello own_hello() const;
    void answer_hello(Handshake& shake, Wire wire);
    void open_unix_link(Handshake& shake, Wire wire);
    void take_unix_answer(Handshake& shake);
    void open_verbs_link(Handshake& shake);
    void take_endpoint(Handshake& shake, std::span<const std::byte> body);
    void take_connection(Handshake& shake);
    void take_probe(Handshake& shake);
    Status make_verbs(Handshake& shake);
    void without_verbs(Handshake& shake, Status why);
    void drop_verbs(Handshake& shake);
    bool fits(const Handshake& shake) const;
    void send_ready(Handshake& shake, Wire wire);
    void judge_ready(Handshake& shake);
    void judge_go(Handshake& shake);
    bool crosses_own_dial(const Handshake& shake) const;
    void yield(Handshake& shake);

    void send(Handshake& shake, std::span<const std::byte> message);
    // Tell the other side, and end. `service`: whose schemas differ, if that is why.
    void refuse(Handshake& shake, Status why, const ServiceId& service = {});
    void log_failure(const Handshake& shake, const Status& why);
    Status explained(const Refusal& refusal) const;
    void fail(Handshake& shake, Status why);  // end; a dialer's caller is told
    void end(Handshake& shake);
    void link(Handshake& shake);

    BootstrapOptions options_;
    Sleeper& sleeper_;
    VerbsDevice* verbs_;
    Directory& directory_;
    UniqueFd listener_, unix_listener_, spare_;
    std::list<Handshake> shakes_;
    std::list<UnixGuest> guests_;
    bool impatient_ = false;
    int64_t clock_offset_ns_ = 0;
    Fabric::Shortage shortage_;
    Instant now_{};
    std::vector<PeerEvent>* events_ = nullptr;  // of the look() in progress
    static constexpr size_t kToldMax = 256;
    std::map<std::string, std::string> told_;  // by address: why dialing it came to nothing, as it was logged
};

}  // namespace libderecho
