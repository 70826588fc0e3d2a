#include "fabric/bootstrap/bootstrap.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "fabric/bootstrap/crowd.hpp"
#include "fabric/bootstrap/schemas.hpp"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace libderecho {
namespace {

constexpr size_t kAcceptsPerLook = 64;

Token random_token() {
    Token token{};
    [[maybe_unused]] const ssize_t n = ::getrandom(token.data(), token.size(), 0);
    return token;
}

std::string text_of(const Token& token) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : token) text += {kDigits[byte >> 4], kDigits[byte & 15]};
    return text;
}

socklen_t abstract_address(const std::string& name, sockaddr_un& out) {
    out = {};
    out.sun_family = AF_UNIX;
    const size_t n = std::min(name.size(), sizeof out.sun_path - 1);
    std::memcpy(out.sun_path + 1, name.data(), n);
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + n);
}

// The process on the other side, if it runs as the same user.
bool same_user(int unix_socket, pid_t& pid_out) {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(unix_socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
    pid_out = who.pid;
    return who.uid == ::geteuid();
}

Status no_descriptors() {
    return failure(DERECHO_NO_MEMORY, "this process has no descriptors left for a connection (ulimit -n)");
}

bool is_self_connected(int socket) {
    sockaddr_storage here{}, there{};
    socklen_t here_size = sizeof here, there_size = sizeof there;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&here), &here_size) == 0 &&
           ::getpeername(socket, reinterpret_cast<sockaddr*>(&there), &there_size) == 0 && here_size == there_size &&
           std::memcmp(&here, &there, here_size) == 0;
}

// Take what an OPEN message brings: the peer's control memory.
Status take_open(const UnixMessage& message, const UniqueFd& control, pid_t pid, ShmParts& parts) {
    if (message.kind != static_cast<uint32_t>(UnixKind::open) || !control.valid())
        return failure(DERECHO_INCOMPATIBLE, "it sent a malformed message");
    if (Status status = map_sealed(control.get(), kControlBytes, parts.control); !status.ok()) return status;
    if (pid > 0) parts.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return {};
}

}  // namespace

Bootstrap::Bootstrap(BootstrapOptions options, Sleeper& sleeper, VerbsDevice* verbs, Directory& directory)
    : options_(std::move(options)), sleeper_(sleeper), verbs_(verbs), directory_(directory) {}

Status Bootstrap::open() {
    spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (options_.hello.shm_possible)
        if (Status status = open_unix(); !status.ok()) return status;
    if (options_.listen.empty()) return {};
    if (Status status = listen_at(options_.listen, listener_, options_.hello.address); !status.ok()) return status;
    if (Status status = advertise(); !status.ok()) return status;
    return sleeper_.watch(listener_.get(), Sleeper::Interest::look, true, false);
}

// What others are told: the port that was bound, unless it is another one.
Status Bootstrap::advertise() {
    std::string& address = options_.hello.address;
    if (options_.advertise.empty()) {
        if (!listens_everywhere(listener_.get())) return {};
        return failure(DERECHO_INVALID, "listening at " + address + " does not say where others reach this node: " +
                                            "give that address, too, with option advertise");
    }
    std::string host;
    uint16_t port = 0;
    if (Status status = parse_address(options_.advertise, host, port); !status.ok()) return status;
    const auto with_port = [](const std::string& from, const std::string& port_of) {
        return from.substr(0, from.rfind(':')) + port_of.substr(port_of.rfind(':'));
    };
    address = port == 0 ? with_port(options_.advertise, address) : options_.advertise;
    return {};
}

Status Bootstrap::open_unix() {
    options_.hello.unix_name = "derecho-" + text_of(random_token());
    unix_listener_ = open_socket(AF_UNIX, SOCK_SEQPACKET);
    sockaddr_un address;
    const socklen_t size = abstract_address(options_.hello.unix_name, address);
    if (!unix_listener_.valid() || ::bind(unix_listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(unix_listener_.get(), static_cast<int>(limits::handshakes_max)) != 0)
        return failure(DERECHO_NO_MEMORY, std::string("no unix socket: ") + std::strerror(errno));
    return sleeper_.watch(unix_listener_.get(), Sleeper::Interest::look, true, false);
}

void Bootstrap::shut() {
    listener_.reset();
    unix_listener_.reset();
    shakes_.clear();
    guests_.clear();
}

void Bootstrap::connect(std::string_view address) {
    // Who asks again and again must not pile up dials: one may take long, when it tries RDMA in vain.
    if (std::ranges::any_of(shakes_, [&](const Handshake& shake) {
            return shake.dialer && shake.stage != Stage::ended && shake.address == address;
        }))
        return;
    Handshake& shake = shakes_.emplace_back();
    shake.dialer = true;
    shake.stage = Stage::resolving;
    shake.address = address;
    shake.resolution = std::make_unique<Resolution>(address);
    impatient_ = true;
}

Instant Bootstrap::next_deadline() const {
    Instant next = kNever;
    for (const Handshake& shake : shakes_) next = std::min(next, shake.deadline);
    for (const UnixGuest& guest : guests_) next = std::min(next, guest.deadline);
    return next;
}

// ------------------------------------------------------------------------------------------------- looking

void Bootstrap::look(Instant now, std::vector<PeerEvent>& events) {
    now_ = now;
    events_ = &events;
    impatient_ = false;
    accept_all();
    accept_unix();
    look_at_guests(now);
    for (Handshake& shake : shakes_) look_at(shake);
    std::erase_if(shakes_, [](const Handshake& shake) { return shake.stage == Stage::ended; });
    events_ = nullptr;
}

void Bootstrap::look_at(Handshake& shake) {
    if (shake.deadline == Instant{}) shake.deadline = now_ + options_.connect_timeout;
    // Each stage may complete and make the next one possible at once.
    for (Stage before = Stage::ended; before != shake.stage && shake.stage != Stage::ended;) {
        before = shake.stage;
        switch (shake.stage) {
            case Stage::resolving:
                if (shake.resolution->done()) dial_next(shake, shake.resolution->status);
                break;
            case Stage::connecting:
                finish_connecting(shake);
                break;
            case Stage::unix_due:
                take_unix_answer(shake);
                break;
            case Stage::pair_due:
                take_connection(shake);
                break;
            case Stage::probe_due:
                take_probe(shake);
                break;
            case Stage::ready_held:
                judge_ready(shake);
                break;
            case Stage::go_held:
                judge_go(shake);
                break;
            case Stage::yielded:
                if (shake.theirs && directory_.ever_up(shake.theirs->node, shake.theirs->incarnation)) end(shake);
                break;
            default:
                read(shake);
        }
    }
    if (shake.stage == Stage::ended || now_ < shake.deadline) return;
    fail(shake, failure(DERECHO_UNREACHABLE, "no link with " + shake.address + " within " +
                                                 std::to_string(options_.connect_timeout.ns / 1'000'000) +
                                                 " ms: " + shake.waits_for()));
}

// Remembered for whoever misses a link.
Status Bootstrap::lack(Status what) {
    if (what.code == DERECHO_NO_MEMORY) shortage_ = {now_, what.detail};
    return what;
}

void Bootstrap::accept_all() {
    for (size_t i = 0; i < kAcceptsPerLook && listener_.valid(); ++i) {
        UniqueFd socket = accept_from(listener_.get());
        if (!socket.valid() && (errno == EMFILE || errno == ENFILE)) {
            // Otherwise the caller would wait in the queue for ever, and wake us for ever.
            spare_.reset();
            accept_from(listener_.get()).reset();
            spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            log::warn("a connection was dropped: no descriptors left");
            lack(no_descriptors());
            return;
        }
        if (!socket.valid()) return;
        make_room();
        if (!lack(sleeper_.watch(socket.get(), Sleeper::Interest::look, true, false)).ok()) continue;
        Handshake& shake = shakes_.emplace_back();
        shake.address = peer_text(socket.get());
        shake.source = peer_source(socket.get());
        shake.socket = std::move(socket);
    }
}

// Strangers that say nothing, or stop halfway, must not keep nodes out: of too many one goes, whatever it has said.
void Bootstrap::make_room() {
    std::vector<Handshake*> guests, strangers;  // the oldest first
    for (Handshake& shake : shakes_) {
        if (shake.dialer || shake.stage == Stage::ended) continue;
        guests.push_back(&shake);
        if (!shake.theirs || !directory_.is_member(*shake.theirs)) strangers.push_back(&shake);
    }
    if (guests.size() < limits::handshakes_max) return;
    if (strangers.empty()) strangers = std::move(guests);
    std::vector<std::string_view> sources;
    for (const Handshake* shake : strangers) sources.push_back(shake->source);
    end(*strangers[who_gives_way(sources)]);
}

bool Bootstrap::awaits_thread() const {
    return std::ranges::any_of(
        shakes_, [](const Handshake& s) { return s.stage == Stage::resolving || s.stage == Stage::pair_due; });
}

void Bootstrap::accept_unix() {
    for (size_t i = 0; i < kAcceptsPerLook && unix_listener_.valid(); ++i) {
        UniqueFd socket = accept_from(unix_listener_.get());
        if (!socket.valid() && (errno == EMFILE || errno == ENFILE)) {  // as for the other listener
            spare_.reset();
            accept_from(unix_listener_.get()).reset();
            spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            lack(no_descriptors());
            return;
        }
        if (!socket.valid()) return;
        pid_t pid = 0;
        if (!same_user(socket.get(), pid)) continue;
        if (guests_.size() >= limits::handshakes_max) guests_.pop_front();
        if (!sleeper_.watch(socket.get(), Sleeper::Interest::look, true, false).ok()) continue;
        guests_.push_back({std::move(socket), now_ + options_.connect_timeout});
    }
}

void Bootstrap::look_at_guests(Instant now) {
    for (auto guest = guests_.begin(); guest != guests_.end();)
        guest = admit_guest(*guest) || now >= guest->deadline ? guests_.erase(guest) : std::next(guest);
}

// Whether the guest is done: tied to its handshake, or turned away.
bool Bootstrap::admit_guest(UnixGuest& guest) {
    UnixMessage message;
    std::array<UniqueFd, 1> fds;
    const int got = receive_unix(guest.socket.get(), message, fds);
    if (got == 0) return false;
    pid_t pid = 0;
    if (got < 0 && errno == EMFILE) lack(no_descriptors());
    if (got < 0 || !same_user(guest.socket.get(), pid)) return true;
    for (Handshake& shake : shakes_) {
        if (shake.dialer || shake.stage != Stage::ready_due || shake.ours.token != message.token) continue;
        if (shake.shm.complete()) return true;
        if (!lack(take_open(message, fds[0], pid, shake.shm)).ok()) return true;
        const std::array own{sleeper_.control_fd()};
        if (send_unix(guest.socket.get(), message, own) != 1) return true;
        sleeper_.unwatch(guest.socket.get());
        shake.shm.socket = std::move(guest.socket);
        return true;
    }
    return true;
}

// ------------------------------------------------------------------------------------------------- dialing

// Try the next of a host's addresses; `failed` is what became of the one before.
void Bootstrap::dial_next(Handshake& shake, const Status& failed) {
    if (shake.next_address >= shake.resolution->addresses.size()) return fail(shake, failed);
    const SocketAddress& to = shake.resolution->addresses[shake.next_address++];
    shake.socket = open_socket(to.storage.ss_family, SOCK_STREAM);
    if (!shake.socket.valid())
        return fail(shake,
                    lack(failure(DERECHO_NO_MEMORY, std::string("no socket to dial with: ") + std::strerror(errno))));
    shake.stage = Stage::connecting;
    if (::connect(shake.socket.get(), to.get(), to.size_bytes) != 0 && errno != EINPROGRESS)
        return dial_next(
            shake, failure(DERECHO_UNREACHABLE, "cannot connect to " + shake.address + ": " + std::strerror(errno)));
    if (Status status = lack(sleeper_.watch(shake.socket.get(), Sleeper::Interest::look, true, true)); !status.ok())
        fail(shake, status);
}

void Bootstrap::finish_connecting(Handshake& shake) {
    pollfd entry{shake.socket.get(), POLLOUT, 0};
    if (::poll(&entry, 1, 0) != 1) return;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(shake.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    // TCP may connect a socket to itself when it dials a free port of this very host.
    if (error == 0 && is_self_connected(shake.socket.get())) error = ECONNREFUSED;
    if (error != 0)
        return dial_next(
            shake, failure(DERECHO_UNREACHABLE, "cannot connect to " + shake.address + ": " + std::strerror(error)));
    sleeper_.change(shake.socket.get(), Sleeper::Interest::look, true, false);
    shake.stage = Stage::hello_due;
    shake.ours = own_hello();
    send(shake, encode(shake.ours));
}

// ------------------------------------------------------------------------------------------------- messages

void Bootstrap::read(Handshake& shake) {
    Status why;
    const auto result = shake.reader.read(shake.socket.get(), why);
    if (result == MessageReader::Result::nothing) return;
    if (result == MessageReader::Result::failed) {
        if (why.code == DERECHO_INCOMPATIBLE && shake.theirs) return refuse(shake, why);
        return fail(shake, failure(why.code, shake.address + ": " + why.detail));
    }
    handle(shake, shake.reader.kind(), shake.reader.body());
}

void Bootstrap::handle(Handshake& shake, BootstrapKind kind, std::span<const std::byte> body) {
    if (kind == BootstrapKind::hello && shake.stage == Stage::hello_due) return take_hello(shake, body);
    if (kind == BootstrapKind::refused) {
        const auto refusal = decode_refused(body);
        if (!refusal) return fail(shake, failure(DERECHO_INCOMPATIBLE, shake.address + " refused, saying nothing"));
        if (refusal->why.code == DERECHO_INVALID) shake.theirs = options_.hello;  // only this very node answers so
        return fail(shake, explained(*refusal));
    }
    if (kind == BootstrapKind::already && shake.theirs) return yield(shake);
    if (kind == BootstrapKind::verbs && (shake.stage == Stage::verbs_due || shake.stage == Stage::ready_due))
        return take_endpoint(shake, body);
    if (kind == BootstrapKind::ready && shake.stage == Stage::ready_due) {
        const auto ready = decode_ready(body);
        if (!ready) return refuse(shake, failure(DERECHO_INCOMPATIBLE, "malformed READY message"));
        shake.ready = *ready;
        shake.stage = Stage::ready_held;
        return;
    }
    if (kind == BootstrapKind::go && shake.stage == Stage::go_due) {
        shake.stage = Stage::go_held;
        return;
    }
    refuse(shake, failure(DERECHO_INCOMPATIBLE, "unexpected bootstrap message"));
}

void Bootstrap::take_hello(Handshake& shake, std::span<const std::byte> body) {
    shake.theirs = decode_hello(body);
    if (!shake.theirs) return refuse(shake, failure(DERECHO_INCOMPATIBLE, "malformed HELLO message"));
    Hello& theirs = *shake.theirs;
    // This very node would have refused itself instead.
    if (shake.dialer && theirs.node == options_.hello.node && theirs.incarnation == options_.hello.incarnation)
        return fail(
            shake, failure(DERECHO_INCOMPATIBLE,
                           shake.address + ": it does not speak Derecho's protocol, but " + "echoes what it receives"));
    Wire wire = Wire::tcp;
    const ServiceId* service = nullptr;
    Status why = compare(options_.hello, theirs, &service);
    if (service) return refuse(shake, why, *service);
    if (why.ok()) why = look_for_other_group(theirs);
    if (why.ok()) why = choose_wire(options_.hello, theirs, wire);
    if (!why.ok()) return refuse(shake, why);
    // An answerer decides when READY comes: until then it cannot know what the dialer has seen.
    const bool never_up = !shake.dialer || !directory_.ever_up(theirs.node, theirs.incarnation);
    const auto verdict = directory_.judge(theirs, never_up, why);
    if (verdict == Directory::Verdict::refused) return refuse(shake, why);
    if (!shake.dialer) return answer_hello(shake, wire);
    if (verdict == Directory::Verdict::already) {
        send(shake, encode_empty(BootstrapKind::already));
        return end(shake);
    }
    if (wire == Wire::shm) return open_unix_link(shake, wire);
    if (wire == Wire::verbs) return open_verbs_link(shake);
    send_ready(shake, wire);
}

// Two groups of one name have met: both sides hear of it.
Status Bootstrap::look_for_other_group(const Hello& theirs) {
    Status why = compare_groups(options_.hello, theirs);
    if (why.ok()) return why;
    PeerEvent event;
    event.kind = PeerEvent::Kind::other_group;
    event.peer = theirs.node;
    event.incarnation = theirs.incarnation;
    event.address = theirs.address;
    event.group = theirs.group;
    event.status = why;
    events_->push_back(std::move(event));
    return why;
}

// Its time is read now: who dialed must be able to rely on its being later than that.
Hello Bootstrap::own_hello() const {
    Hello hello = options_.hello;
    hello.time_ns = monotonic_now().ns + static_cast<uint64_t>(clock_offset_ns_);
    return hello;
}

void Bootstrap::answer_hello(Handshake& shake, Wire wire) {
    shake.ours = own_hello();
    shake.ours.token = random_token();
    shake.ready.wire = wire;
    shake.stage = Stage::ready_due;
    send(shake, encode(shake.ours));
}

// Descriptors cannot cross TCP: meet on a unix socket as well.
void Bootstrap::open_unix_link(Handshake& shake, Wire wire) {
    UniqueFd socket = open_socket(AF_UNIX, SOCK_SEQPACKET);
    sockaddr_un address;
    const socklen_t size = abstract_address(shake.theirs->unix_name, address);
    pid_t pid = 0;
    UnixMessage message;
    message.kind = static_cast<uint32_t>(UnixKind::open);
    message.token = shake.theirs->token;
    const std::array own{sleeper_.control_fd()};
    if (!socket.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        return refuse(shake, lack(failure(DERECHO_NO_MEMORY, std::string("no unix socket: ") + std::strerror(errno))));
    if (!socket.valid() || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        !same_user(socket.get(), pid) || send_unix(socket.get(), message, own) != 1) {
        if (options_.hello.wire != Wire::shm && shake.theirs->wire != Wire::shm) return send_ready(shake, Wire::tcp);
        return refuse(shake, failure(DERECHO_INCOMPATIBLE, "wire shm is wanted, but the unix socket of node " +
                                                               std::to_string(raw(shake.theirs->node)) +
                                                               " does not answer: " + std::strerror(errno)));
    }
    if (Status status = lack(sleeper_.watch(socket.get(), Sleeper::Interest::look, true, false)); !status.ok())
        return refuse(shake, status);
    shake.shm.socket = std::move(socket);
    shake.ready.wire = wire;
    shake.stage = Stage::unix_due;
}

void Bootstrap::take_unix_answer(Handshake& shake) {
    UnixMessage message;
    std::array<UniqueFd, 1> fds;
    const int got = receive_unix(shake.shm.socket.get(), message, fds);
    if (got == 0) return;
    pid_t pid = 0;
    Status status = got < 0 && errno == EMFILE
                        ? no_descriptors()
                        : failure(DERECHO_UNREACHABLE, shake.address + " closed its unix socket during the handshake");
    if (got > 0 && same_user(shake.shm.socket.get(), pid)) status = take_open(message, fds[0], pid, shake.shm);
    if (!lack(status).ok()) return refuse(shake, status);
    sleeper_.unwatch(shake.shm.socket.get());
    send_ready(shake, Wire::shm);
}

void Bootstrap::send_ready(Handshake& shake, Wire wire) {
    shake.ready.wire = wire;
    shake.ready.never_up = !directory_.ever_up(shake.theirs->node, shake.theirs->incarnation);
    shake.stage = Stage::go_due;
    send(shake, encode(shake.ready));
}

// Both dial each other: the connection dialed by the lower id is the one that stays.
bool Bootstrap::crosses_own_dial(const Handshake& shake) const {
    if (raw(options_.hello.node) > raw(shake.theirs->node)) return false;
    return std::any_of(shakes_.begin(), shakes_.end(), [&](const Handshake& own) {
        return own.dialer && own.theirs && own.theirs->node == shake.theirs->node &&
               (own.stage == Stage::unix_due || own.stage == Stage::verbs_due || own.stage == Stage::pair_due ||
                own.stage == Stage::probe_due || own.stage == Stage::go_due);
    });
}

// Whether READY names the wire that both chose, set up, or TCP where neither insists on another.
bool Bootstrap::fits(const Handshake& shake) const {
    Wire possible = Wire::tcp;
    choose_wire(options_.hello, *shake.theirs, possible);
    switch (shake.ready.wire) {
        case Wire::shm:
            return possible == Wire::shm && shake.shm.complete();
        case Wire::verbs:
            return possible == Wire::verbs && shake.verbs.pair && shake.verbs.pair->broken().ok();
        default:
            return std::ranges::none_of(std::array{options_.hello.wire, shake.theirs->wire},
                                        [](Wire wire) { return wire == Wire::shm || wire == Wire::verbs; });
    }
}

void Bootstrap::judge_ready(Handshake& shake) {
    Status why;
    auto verdict = directory_.judge(*shake.theirs, shake.ready.never_up, why);
    if (verdict == Directory::Verdict::welcome && crosses_own_dial(shake)) verdict = Directory::Verdict::already;
    switch (verdict) {
        case Directory::Verdict::later:
            impatient_ = true;
            return;
        case Directory::Verdict::refused:
            return refuse(shake, why);
        case Directory::Verdict::already:
            send(shake, encode_empty(BootstrapKind::already));
            return end(shake);
        case Directory::Verdict::welcome:
            break;
    }
    if (!fits(shake)) return refuse(shake, failure(DERECHO_INCOMPATIBLE, "the wire in READY is not the one agreed on"));
    verdict = directory_.make_place(*shake.theirs, false, why);
    if (verdict == Directory::Verdict::refused) return refuse(shake, why);
    impatient_ |= verdict == Directory::Verdict::later;
    if (verdict != Directory::Verdict::welcome) return;
    send(shake, encode_empty(BootstrapKind::go));
    if (shake.stage != Stage::ended) link(shake);
}

// What was fine when READY was sent may have changed: the node may have been cut off meanwhile.
void Bootstrap::judge_go(Handshake& shake) {
    Status why;
    auto verdict = directory_.judge(*shake.theirs, shake.ready.never_up, why);
    if (verdict == Directory::Verdict::welcome) verdict = directory_.make_place(*shake.theirs, true, why);
    switch (verdict) {
        case Directory::Verdict::later:
            impatient_ = true;
            return;
        case Directory::Verdict::refused:
            return fail(shake, why);
        case Directory::Verdict::already:
            return end(shake);
        case Directory::Verdict::welcome:
            return link(shake);
    }
}

void Bootstrap::yield(Handshake& shake) {
    if (!shake.dialer) return end(shake);
    sleeper_.unwatch(shake.socket.get());
    shake.socket.reset();
    shake.shm = {};
    drop_verbs(shake);
    shake.stage = Stage::yielded;
    impatient_ = true;
}

// ------------------------------------------------------------------------------------------------- ends

void Bootstrap::send(Handshake& shake, std::span<const std::byte> message) {
    if (!send_whole(shake.socket.get(), message))
        fail(shake, failure(DERECHO_UNREACHABLE, shake.address + " closed the connection during the handshake"));
}

void Bootstrap::refuse(Handshake& shake, Status why, const ServiceId& service) {
    send_whole(shake.socket.get(), encode(Refusal{why, service.name, service.schema}));
    fail(shake, std::move(why));
}

// Why another node refused this one. If a service's schemas differ: which methods do.
Status Bootstrap::explained(const Refusal& refusal) const {
    Status why = refusal.why;
    const auto service = std::ranges::find(options_.hello.services, refusal.service, &ServiceId::name);
    if (service == options_.hello.services.end()) return why;
    const std::string differences = schema_differences(service->schema, refusal.schema, refusal.schema_is_cut);
    why.detail +=
        differences.empty() ? "; `derecho schema FILE OTHER` names the methods that differ" : ": " + differences;
    return why;
}

// A node that is not there is dialed many times a second: it is told of again when there is something new.
void Bootstrap::log_failure(const Handshake& shake, const Status& why) {
    if (!shake.dialer) return log::info("connection from " + shake.address + ": " + why.detail);
    if (told_.size() >= kToldMax) told_.clear();
    std::string& told = told_[shake.address];
    if (told == why.detail) return;
    told = why.detail;
    log::info("dialing " + shake.address + ": " + why.detail);
}

void Bootstrap::fail(Handshake& shake, Status why) {
    log_failure(shake, why);
    if (shake.dialer) {
        PeerEvent event;
        event.kind = PeerEvent::Kind::refused;
        event.address = shake.address;
        event.status = std::move(why);
        event.accepted = shake.stage != Stage::resolving && shake.stage != Stage::connecting;
        if (shake.theirs) event.peer = shake.theirs->node, event.incarnation = shake.theirs->incarnation;
        events_->push_back(std::move(event));
    }
    end(shake);
}

void Bootstrap::end(Handshake& shake) {
    shake.stage = Stage::ended;
    shake.socket.reset();
    shake.shm = {};
    drop_verbs(shake);
}

void Bootstrap::link(Handshake& shake) {
    sleeper_.unwatch(shake.socket.get());
    NewLink link;
    link.hello = std::move(*shake.theirs);
    link.wire = shake.ready.wire;
    link.tcp = std::move(shake.socket);
    link.dialed = shake.dialer;
    link.source = std::move(shake.source);
    link.shm = std::move(shake.shm);
    if (link.wire == Wire::verbs) link.verbs = std::move(shake.verbs);
    Wire chosen = Wire::tcp;
    choose_wire(options_.hello, link.hello, chosen, &link.why_no_better);
    if (chosen != link.wire)
        link.why_no_better = std::string(wire_name(chosen)) + " did not come about" +
                             (shake.dialer ? "" : ", and the log of that node says why");
    told_.erase(shake.address);
    end(shake);
    directory_.linked(std::move(link));
}

}  // namespace libderecho
