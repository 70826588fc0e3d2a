#include "capi/options.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <set>

#include "base/limits.hpp"
#include "base/names.hpp"
#include "fabric/bootstrap/schemas.hpp"

namespace libderecho::capi {
namespace {

using Type = Option::Type;
constexpr int64_t kAnyTime = 24ll * 3600 * 1000;
constexpr uint64_t kRegionHeadBytes = 64 << 10;  // counters before the bytes of a ring, rows of the view: generously

constexpr std::array kTable{
    Option{"node", Type::integer, "", 0, UINT32_MAX - 1, "", "id of this node, unique in the group; required"},
    Option{"group", Type::text, "default", 0, 0, "", "name of the group; nodes of different groups refuse each other"},
    Option{"listen", Type::address, "", 0, 0, "",
           "host:port that other nodes reach this one at (port 0: any free one); required of members"},
    Option{"advertise", Type::address, "", 0, 0, "",
           "host:port that others are told instead of listen, such as that of a container's host (port 0: listen's); "
           "required where listen is every address of the host"},
    Option{
        "contacts", Type::addresses, "", 0, 0, "",
        "nodes that know the group, as host:port,host:port; a node never founds a group because none of them answers"},
    Option{
        "initial_members", Type::addresses, "", 0, 0, "",
        "nodes that found the group, as host:port,host:port, the same at all of them: together, once more than half of "
        "them are there and in no group; contacts, too"},
    Option{"found", Type::boolean, "false", 0, 0, "",
           "true: this node founds the group alone, unless it remembers one, or a contact is in one"},
    Option{
        "data_dir", Type::path, "", 0, 0, "",
        "folder in which this node remembers its group; empty: derecho in $XDG_STATE_HOME or ~/.local/state, if listen "
        "has a port"},
    Option{"role", Type::choice, "member", 0, 0, "member|client", "a client is in no view: it queries"},
    Option{"wire", Type::choice, "auto", 0, 0, "auto|shm|tcp|verbs",
           "auto: shared memory with nodes on this host, RDMA where both nodes have it and it works, else TCP; shm: "
           "refuse others; tcp: always TCP; verbs: always RDMA, refuse others"},
    Option{"rdma_device", Type::text, "", 0, 0, "",
           "such as mlx5_0; empty: the first with an active port that reaches beyond its link, or any"},
    Option{"rdma_port", Type::integer, "0", 0, 255, "", "of the RDMA device; 0: chosen like the device"},
    Option{"rdma_gid_index", Type::integer, "-1", -1, 255, "",
           "of the RDMA port's addresses; -1: of RoCE v2, and routable, if there is one"},
    Option{"rdma_service_level", Type::integer, "0", 0, 15, "", "of what is sent over RDMA"},
    Option{"rdma_traffic_class", Type::integer, "0", 0, 255, "", "of RoCE v2: DSCP and ECN of its packets"},
    Option{"rdma_pkey_index", Type::integer, "0", 0, 65535, "", "the partition, in the RDMA port's table"},
    Option{"rdma_ack_timeout", Type::integer, "0", 0, 31, "",
           "a write over RDMA that is not acknowledged is sent again after 4.096 us * 2^n; 0: so long that with "
           "rdma_retries no peer is lost over a silence of suspect_ms"},
    Option{"rdma_retries", Type::integer, "7", 0, 7, "",
           "times, before the peer is lost; 7 is for ever on Soft-RoCE, and no other number is anywhere"},
    Option{"rdma_queue_depth", Type::integer, "256", 8, 16384, "",
           "writes under way to one peer over RDMA; less if the device has less"},
    Option{"rdma_direct", Type::boolean, "true", 0, 0, "",
           "over RDMA the device itself reads and writes registered memory; false: it goes by mail"},
    Option{"ring_bytes", Type::integer, "4194304", limits::ring_bytes_min, limits::ring_bytes_max, "",
           "memory for messages of one sender in one shard that not everybody has released; a power of two"},
    Option{"mail_bytes", Type::integer, "1048576", limits::ring_bytes_min, limits::ring_bytes_max, "",
           "memory for queries, replies and state from one node to another, and as much for registered memory; a "
           "power of two"},
    Option{"message_max_bytes", Type::integer, "1048576", 1, limits::ring_bytes_max / limits::ring_share, "",
           "largest message or call; at most ring_bytes / 4, and less than the default if that is"},
    Option{"heartbeat_ms", Type::integer, "100", 1, kAnyTime, "", "time between signs of life"},
    Option{"suspect_ms", Type::integer, "2000", 2, kAnyTime, "",
           "a member without a sign of life for so long is removed; a crash is noticed at once, without it"},
    Option{"clients_max", Type::integer, "128", 0, limits::clients_max, "",
           "clients that may be connected to this node at a time; links and memory of members are kept whatever "
           "clients do"},
    Option{"slow_member_ms", Type::integer, "0", 0, kAnyTime, "",
           "a member whose application takes nothing, or releases nothing while others wait for the room, for so long "
           "is removed; 0: never. The same at all nodes"},
    Option{"digest", Type::choice, "off", 0, 0, "off|answers|state",
           "whether replicas that differ are looked for: by a digest of what members answer to ordered calls, or of "
           "the state of a service. The same at all members, as are the next two"},
    Option{"digest_every", Type::integer, "1000", 1, 1'000'000'000, "",
           "a digest is made after so many calls of a service, and at the end of each view"},
    Option{"digest_policy", Type::choice, "report", 0, 0, "report|eject|stop",
           "report: a member that differs from a majority is named; eject: and removed; stop: every member ends"},
    Option{"clock_drift_ms", Type::integer, "500", 1, kAnyTime, "",
           "members' clocks may differ by so much: who is further off cannot join, and one whose clock is set wrong "
           "later does not lead the others on. The same at all nodes"},
    Option{"connect_timeout_ms", Type::integer, "2000", 1, kAnyTime, "", "for one attempt to connect"},
    Option{"spin_us", Type::integer, "-1", -1, 1'000'000, "",
           "how long a wait spins before it yields; -1: 50, or 0 when this host has more members than cores"},
    Option{"yield_us", Type::integer, "200", 0, 1'000'000, "", "how long it then yields before it sleeps"},
    Option{
        "require_majority", Type::boolean, "true", 0, 0, "",
        "a view needs more than half of those that vote in the one before; false risks two groups after a partition"},
    Option{"reactor", Type::boolean, "true", 0, 0, "",
           "a background thread drives the node when no thread polls; false: it stands still meanwhile"},
};

const Option* find(std::string_view key) {
    const auto it = std::ranges::find(kTable, key, &Option::key);
    return it == kTable.end() ? nullptr : &*it;
}

std::string quoted(std::string_view key, std::string_view value) {
    return "option " + std::string(key) + ": " + libderecho::quoted(value) + " ";
}

Status unknown(std::string_view key) {
    std::string known;
    for (const Option& option : kTable) known += (known.empty() ? "" : ", ") + std::string(option.key);
    return failure(DERECHO_INVALID, "unknown option " + libderecho::quoted(key) + "; there are: " + known);
}

bool parse(std::string_view text, int64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t at = std::min(text.find(separator), text.size());
        std::string_view part = text.substr(0, at);
        while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
        while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
        if (!part.empty()) parts.emplace_back(part);
        text.remove_prefix(std::min(at + 1, text.size()));
    }
    return parts;
}

Status check_address(std::string_view key, std::string_view value) {
    const size_t colon = value.rfind(':');
    // 0 is any free port: one can listen there, but not call it.
    const int64_t lowest = key == "contacts" || key == "initial_members" ? 1 : 0;
    int64_t port = -1;
    const bool good = colon != std::string_view::npos && colon > 0 && parse(value.substr(colon + 1), port) &&
                      port >= lowest && port <= 65535 && value.size() < limits::address_bytes && is_printable(value);
    if (good) return {};
    return failure(DERECHO_INVALID, quoted(key, value) + "is not host:port with a port from " + std::to_string(lowest) +
                                        " to 65535 and fewer than " + std::to_string(limits::address_bytes) +
                                        " characters");
}

Status check_integer(const Option& option, std::string_view value) {
    int64_t number = 0;
    if (parse(value, number) && number >= option.least && number <= option.most) return {};
    return failure(DERECHO_INVALID, quoted(option.key, value) + "is not a whole number from " +
                                        std::to_string(option.least) + " to " + std::to_string(option.most));
}

Status check(const Option& option, std::string_view value) {
    switch (option.type) {
        case Type::integer:
            return check_integer(option, value);
        case Type::boolean:
            if (value == "true" || value == "false") return {};
            return failure(DERECHO_INVALID, quoted(option.key, value) + "is neither true nor false");
        case Type::text:
            return check_name(option.key == "group" ? "the group" : "option " + std::string(option.key), value);
        case Type::path:
            if (value.empty() || (value.front() == '/' && value.find('\0') == std::string_view::npos)) return {};
            return failure(DERECHO_INVALID, quoted(option.key, value) + "is not an absolute path");
        case Type::address:
            return value.empty() ? Status{} : check_address(option.key, value);
        case Type::addresses:
            for (const std::string& address : split(value, ','))
                if (Status status = check_address(option.key, address); !status.ok()) return status;
            return {};
        case Type::choice:
            for (const std::string& choice : split(option.choices, '|'))
                if (value == choice) return {};
            return failure(DERECHO_INVALID, quoted(option.key, value) + "is none of " + std::string(option.choices));
    }
    return {};
}

Wire wire_named(std::string_view name) {
    for (const Wire wire : {Wire::shm, Wire::tcp, Wire::verbs})
        if (name == wire_name(wire)) return wire;
    return Wire::automatic;
}

}  // namespace

std::span<const Option> option_table() { return kTable; }

Status Options::set(std::string_view key, std::string_view value) {
    const Option* option = find(key);
    if (!option) return unknown(key);
    if (Status status = check(*option, value); !status.ok()) return status;
    values_[std::string(key)] = value;
    return {};
}

Status Options::get(std::string_view key, std::string& value) const {
    const Option* option = find(key);
    if (!option) return unknown(key);
    value = text(key);
    return {};
}

const std::string& Options::text(std::string_view key) const {
    static const auto fallbacks = [] {
        std::map<std::string, std::string, std::less<>> texts;
        for (const Option& option : kTable) texts.emplace(option.key, option.fallback);
        return texts;
    }();
    const auto set = values_.find(key);
    return set != values_.end() ? set->second : fallbacks.find(key)->second;
}

int64_t Options::integer(std::string_view key) const {
    int64_t value = 0;
    parse(text(key), value);
    return value;
}

// Which of its choices it is.
uint64_t Options::choice(std::string_view key) const {
    const auto choices = split(find(key)->choices, '|');
    return static_cast<uint64_t>(std::ranges::find(choices, text(key)) - choices.begin());
}

Status Options::add_service(std::string_view name, uint64_t schema_hash) {
    if (Status status = check_name("a service", name); !status.ok()) return status;
    if (std::ranges::any_of(services_, [&](const ServiceInfo& s) { return s.name == name; }))
        return failure(DERECHO_INVALID, "there is a service \"" + std::string(name) + "\" already");
    if (services_.size() >= limits::shards_max)
        return failure(DERECHO_INVALID, "a group has at most " + std::to_string(limits::shards_max) + " services");
    services_.push_back({std::string(name), schema_hash});
    return {};
}

Status Options::describe_service(std::string_view name, std::string_view schema) {
    const auto service = std::ranges::find(services_, name, &ServiceInfo::name);
    if (service == services_.end())
        return failure(DERECHO_INVALID, "there is no service " + libderecho::quoted(name) + " to describe");
    std::vector<std::string> lines = schema_lines(schema);
    if (lines.empty()) return failure(DERECHO_INVALID, "schema: no text, or one that is not printable UTF-8");
    service->schema = std::move(lines);
    return {};
}

// The default gives way to a smaller ring; what was set does not.
int64_t Options::message_max_bytes() const {
    const int64_t value = integer("message_max_bytes");
    const int64_t most = integer("ring_bytes") / static_cast<int64_t>(limits::ring_share);
    return values_.contains("message_max_bytes") ? value : std::min(value, most);
}

Status Options::check_sizes() const {
    for (const std::string_view key : {"ring_bytes", "mail_bytes"})
        if (!std::has_single_bit(static_cast<uint64_t>(integer(key))))
            return failure(DERECHO_INVALID, quoted(key, text(key)) + "is not a power of two");
    const int64_t most = integer("ring_bytes") / static_cast<int64_t>(limits::ring_share);
    if (message_max_bytes() > most)
        return failure(DERECHO_INVALID, quoted("message_max_bytes", text("message_max_bytes")) + "is more than " +
                                            std::to_string(most) + ", a quarter of ring_bytes (" + text("ring_bytes") +
                                            ")");
    if (integer("suspect_ms") < 2 * integer("heartbeat_ms"))
        return failure(DERECHO_INVALID, quoted("suspect_ms", text("suspect_ms")) + "is less than twice heartbeat_ms (" +
                                            text("heartbeat_ms") + "): live members would be removed");
    return {};
}

// How this node comes into a group is written down, never guessed.
Status Options::check_way_in(bool client) const {
    const bool told_nobody = text("contacts").empty() && text("initial_members").empty();
    if (client && told_nobody)
        return failure(DERECHO_INVALID, "option contacts is missing: a client needs a member to connect to");
    if (client && flag("found")) return failure(DERECHO_INVALID, "option found is true: a client founds no group");
    if (flag("found") && !text("initial_members").empty())
        return failure(DERECHO_INVALID,
                       "options found and initial_members are both set: the first founds alone, the second together; "
                       "choose one");
    const std::vector<std::string> founders = split(text("initial_members"), ',');
    for (size_t i = 0; i < founders.size(); ++i)
        if (std::find(founders.begin(), founders.begin() + static_cast<ptrdiff_t>(i), founders[i]) !=
            founders.begin() + static_cast<ptrdiff_t>(i))
            return failure(DERECHO_INVALID, "option initial_members names " + founders[i] + " twice");
    if (flag("found") || !told_nobody) return {};
    return failure(DERECHO_INVALID,
                   "nothing says how this node comes into a group: set initial_members (the same addresses at all of "
                   "them, which found it together), contacts (nodes that are in it), or found = true (alone)");
}

Status Options::resolve(NodeOptions& out) const {
    const bool client = text("role") == "client";
    if (text("node").empty()) return failure(DERECHO_INVALID, "option node is missing: the id of this node");
    if (!client && text("listen").empty())
        return failure(DERECHO_INVALID, "option listen is missing: host:port that other members reach this node at");
    if (Status status = check_way_in(client); !status.ok()) return status;
    if (services_.empty())
        return failure(DERECHO_INVALID,
                       "no service was added: a group replicates at least one (derecho_config_add_service)");
    if (Status status = check_sizes(); !status.ok()) return status;

    const auto ms = [this](std::string_view key) { return milliseconds(static_cast<uint64_t>(integer(key))); };

    GroupOptions& group = out.group;
    group.self = NodeId{static_cast<uint32_t>(integer("node"))};
    group.contacts = split(text("contacts"), ',');
    group.initial_members = split(text("initial_members"), ',');
    group.found = flag("found");
    out.data_dir = text("data_dir");
    group.services = services_;
    group.client = client;
    group.require_majority = flag("require_majority");
    group.ring_bytes = static_cast<uint64_t>(integer("ring_bytes"));
    group.message_max_bytes = static_cast<uint64_t>(message_max_bytes());
    group.heartbeat = ms("heartbeat_ms");
    group.suspect_after = ms("suspect_ms");
    group.slow_after = ms("slow_member_ms");
    group.digest = {chosen<DigestOptions::Of>("digest"), static_cast<uint32_t>(integer("digest_every")),
                    chosen<DigestOptions::Policy>("digest_policy")};
    group.clock_drift = ms("clock_drift_ms");

    NetFabricOptions& fabric = out.fabric;
    fabric.self = group.self;
    fabric.client = client;
    fabric.listen = client ? "" : text("listen");
    fabric.advertise = text("advertise");
    fabric.group_name = text("group");
    for (const ServiceInfo& service : services_)
        fabric.services.push_back({service.name, service.schema_hash, service.schema});
    fabric.limits = {.ring_bytes = group.ring_bytes,
                     .mail_bytes = static_cast<uint64_t>(integer("mail_bytes")),
                     .message_max_bytes = group.message_max_bytes,
                     .digest = static_cast<uint64_t>(group.digest.of),
                     .digest_every = group.digest.every,
                     .digest_policy = static_cast<uint64_t>(group.digest.policy)};
    fabric.wire = wire_named(text("wire"));
    fabric.connect_timeout = ms("connect_timeout_ms");
    fabric.vanished_after = std::max(fabric.vanished_after, Duration{5 * group.suspect_after.ns});
    fabric.shares.clients_max = static_cast<uint32_t>(integer("clients_max"));
    const auto number = [this](std::string_view key) { return static_cast<uint32_t>(integer(key)); };
    fabric.verbs.device = text("rdma_device");
    fabric.verbs.port = number("rdma_port");
    fabric.verbs.gid_index = static_cast<int32_t>(integer("rdma_gid_index"));
    fabric.verbs.service_level = number("rdma_service_level");
    fabric.verbs.traffic_class = number("rdma_traffic_class");
    fabric.verbs.pkey_index = number("rdma_pkey_index");
    fabric.verbs.retries = number("rdma_retries");
    fabric.verbs.ack_timeout = number("rdma_ack_timeout");
    if (fabric.verbs.ack_timeout == 0)
        fabric.verbs.ack_timeout = ack_timeout_beyond(group.suspect_after, fabric.verbs.retries);
    fabric.verbs.queue_depth = number("rdma_queue_depth");
    fabric.verbs.direct = flag("rdma_direct");
    // A ring of each service's, of two views while one follows the other; two mails, both ways. As doctor/needs.py
    // says.
    const uint64_t rings = 2 * std::max<uint64_t>(1, services_.size()) * (group.ring_bytes + kRegionHeadBytes);
    fabric.verbs.rings_bytes = client ? 0 : rings;
    fabric.verbs.mail_bytes = 2 * (2 * fabric.limits.mail_bytes + kRegionHeadBytes);

    out.mail_bytes = static_cast<uint64_t>(integer("mail_bytes"));
    out.spin_us = integer("spin_us");
    out.yield_us = static_cast<uint64_t>(integer("yield_us"));
    out.reactor = flag("reactor");
    return {};
}

}  // namespace libderecho::capi
