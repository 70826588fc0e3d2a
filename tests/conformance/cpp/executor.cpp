// The executor of conformance scripts (tests/conformance/README.md) over the raw ring of derecho.hpp. It judges
// nothing.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <derecho.hpp>

#include "words.hpp"

namespace {

using conformance::split;
using derecho::BytesView;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
    std::cerr << "executor: " << what << "\n";
    std::exit(2);
}

/** What scripts name flags and kinds, and their values. */
using Names = std::vector<std::pair<std::string, uint32_t>>;
const Names kCallFlags = {{"REPLY", DERECHO_CALL_REPLY}, {"MESSAGE", DERECHO_CLAIM_MESSAGE}};
const Names kEventFlags = {{"REPLY", DERECHO_FLAG_REPLY},
                           {"FIRST", DERECHO_FLAG_FIRST},
                           {"LAST", DERECHO_FLAG_LAST},
                           {"OWN", DERECHO_FLAG_OWN}};
const Names kKinds = {{"MESSAGE", DERECHO_EVENT_MESSAGE},      {"CALL", DERECHO_EVENT_CALL},
                      {"QUERY", DERECHO_EVENT_QUERY},          {"ORDERED", DERECHO_EVENT_ORDERED},
                      {"REPLY", DERECHO_EVENT_REPLY},          {"VIEW", DERECHO_EVENT_VIEW},
                      {"STATE", DERECHO_EVENT_STATE},          {"STATE_REQUEST", DERECHO_EVENT_STATE_REQUEST},
                      {"CLOSED", DERECHO_EVENT_CLOSED},        {"MEMORY", DERECHO_EVENT_MEMORY},
                      {"DIFFERENCE", DERECHO_EVENT_DIFFERENCE}};
const Names kAccess = {{"READ", DERECHO_MEMORY_READ}, {"WRITE", DERECHO_MEMORY_WRITE}};

uint32_t value_of(const Names& names, const std::string& name) {
    for (const auto& [known, value] : names) {
        if (known == name) return value;
    }
    die("unknown name " + name);
}

std::string name_of(const Names& names, uint32_t value) {
    for (const auto& [name, known] : names) {
        if (known == value) return name;
    }
    die("unknown value " + std::to_string(value));
}

std::string short_name(derecho_status status) { return derecho_status_name(status) + std::strlen("DERECHO_"); }

/** "hex of the first bytes+sum": the README's way to give bytes. */
std::string shown(BytesView data) {
    constexpr size_t kShownBytes = 32;
    constexpr uint64_t kSumModulus = 65521;
    uint64_t sum = 0;
    for (const std::byte each : data) sum += static_cast<uint64_t>(each);
    return conformance::to_hex(data.first(std::min(data.size(), kShownBytes))) + "+" +
           std::to_string(sum % kSumModulus);
}

bool aligned(const void* data, size_t alignment) { return reinterpret_cast<uintptr_t>(data) % alignment == 0; }

class Executor {
public:
    /** Do the step of a line; @return the line that it gives. */
    std::string run(const std::string& line) {
        std::vector<std::string> fields = split(line, '\t');
        inputs_.clear();
        given_.str("");
        for (size_t i = 1; i < fields.size(); i++) {
            const size_t equals = fields[i].find('=');
            inputs_[fields[i].substr(0, equals)] = conformance::decode(fields[i].substr(equals + 1));
        }
        const auto step = steps_.find(fields[0]);
        if (step == steps_.end()) die("unknown function " + fields[0]);
        try {
            step->second();
        } catch (const derecho::Error& error) {
            return short_name(error.status()) + "\terror=" + conformance::encode(error.what());
        }
        return "OK" + given_.str();
    }

private:
    /** A group, and what of it the script still holds. */
    struct Group {
        derecho::RawGroup raw;
        std::map<uint32_t, uint64_t> versions;  // the last of each shard
    };

    // ------------------------------------------------------------------------------------ inputs

    bool has(const std::string& name) const { return inputs_.contains(name); }
    const std::string& text(const std::string& name) const {
        if (!has(name)) die("missing input " + name);
        return inputs_.at(name);
    }
    template <class T = uint64_t>
    T number(const std::string& name) const {
        const std::string& value = text(name);
        return static_cast<T>(value[0] == '$' ? ids_.at(value.substr(1)) : std::stoull(value));
    }
    uint64_t number_or(const std::string& name, uint64_t fallback) const { return has(name) ? number(name) : fallback; }
    milliseconds timeout() const { return milliseconds(number_or("timeout_ms", 0)); }

    template <class T>
    T& entry(std::map<std::string, T>& table, const std::string& input) {
        const auto found = table.find(text(input));
        if (found == table.end()) die("no such name: " + text(input));
        return found->second;
    }
    derecho::Config& config() { return entry(configs_, "config"); }
    Group& group() { return *entry(groups_, "group"); }
    derecho::Shard& shard() { return entry(shards_, "shard"); }
    derecho::Claim& claim() { return entry(claims_, "claim"); }
    derecho::RegisteredMemory& memory() { return entry(memories_, "memory"); }
    std::vector<derecho_piece> pieces() const {
        std::vector<derecho_piece> found;
        for (const std::string& each : split(text("pieces"), ',')) {
            const std::vector<std::string> parts = split(each, ':');
            found.push_back(memories_.at(parts[0]).piece(std::stoull(parts[1]), std::stoull(parts[2])));
        }
        return found;
    }
    /** The newest reference to a buffer; given-up ones stay, to be misused. */
    derecho::Buffer& buffer(const std::string& name) { return buffers_.at(name).back(); }

    /** The bytes of a payload; kept until the end, as several may be needed at once. */
    BytesView to_payload(const std::string& payload) {
        const size_t colon = payload.find(':');
        const std::string kind = payload.substr(0, colon);
        const std::string argument = payload.substr(colon + 1);
        const size_t second = argument.find(':');
        if (kind == "buffer")
            return buffer(argument.substr(0, second)).data().first(std::stoul(argument.substr(second + 1)));
        derecho::Bytes& data = payloads_.emplace_back();
        if (kind == "hex") {
            data = conformance::from_hex(argument);
        } else if (kind == "repeat") {
            data.assign(std::stoul(argument.substr(second + 1)), static_cast<std::byte>(std::stoi(argument)));
        } else {
            const BytesView bytes = derecho::bytes_of(argument);
            data.assign(bytes.begin(), bytes.end());
        }
        return data;
    }
    BytesView payload(const std::string& name) { return to_payload(text(name)); }

    uint32_t flags(const std::string& name, const Names& names) const {
        uint32_t bits = 0;
        for (const std::string& each : split(text(name), '|')) bits |= value_of(names, each);
        return bits;
    }
    derecho_status status() const {
        for (derecho_status known = DERECHO_OK; known <= DERECHO_DIFFERS; known++) {
            if (text("status") == short_name(known)) return known;
        }
        return number<derecho_status>("status");
    }

    // ------------------------------------------------------------------------------------ outputs

    void give(const std::string& name, const std::string& value) {
        given_ << "\t" << name << "=" << conformance::encode(value);
    }
    void give(const std::string& name, uint64_t value) { give(name, std::to_string(value)); }

    /** Keep the id of a call or ticket under the name that the step gives. */
    void keep_sent(const std::string& output, uint64_t id) {
        if (!has(output)) return;
        ids_[text(output)] = id;
        sent_[id] = text(output);
    }

    // ------------------------------------------------------------------------------------ events

    static bool has_sent_id(const derecho_event& event) {
        if (event.kind == DERECHO_EVENT_MESSAGE) return (event.flags & DERECHO_FLAG_OWN) != 0;
        return (event.kind >= DERECHO_EVENT_CALL && event.kind <= DERECHO_EVENT_REPLY) ||
               event.kind == DERECHO_EVENT_MEMORY;
    }

    bool version_grows(Group& of, const derecho_event& event) {
        if (event.kind != DERECHO_EVENT_MESSAGE && event.kind != DERECHO_EVENT_CALL) return true;
        return event.version > std::exchange(of.versions[event.shard], event.version);
    }

    void give_event(Group& of, size_t index, const derecho_event& event) {
        std::ostringstream out;
        out << name_of(kKinds, event.kind) << ";node=" << event.node << ";method=" << event.method
            << ";shard=" << event.shard << ";status=" << short_name(event.status) << ";flags=";
        const char* separator = "";
        for (const auto& [name, bit] : kEventFlags) {
            if ((event.flags & bit) != 0) out << std::exchange(separator, "|") << name;
        }
        out << ";size=" << event.size_bytes << ";data=" << shown(derecho::data_of(event));
        if (has_sent_id(event)) out << ";id=" << (sent_.contains(event.id) ? sent_.at(event.id) : "?");
        if (!version_grows(of, event)) out << ";version=BAD";
        const size_t alignment = event.kind == DERECHO_EVENT_ORDERED ? 4 : 8;
        if (event.size_bytes != 0 && !aligned(event.data, alignment)) out << ";aligned=BAD";
        give("e" + std::to_string(index), out.str());
    }

    void poll() {
        if (has("wake_after_ms")) return poll_woken();
        const Clock::time_point deadline = Clock::now() + timeout();
        const size_t wanted = number_or("until", 1);
        const uint32_t skipped = has("skip") ? kinds_of(text("skip")) : 0;
        const std::vector<std::string> ids = has("ids") ? split(text("ids"), ',') : std::vector<std::string>();
        size_t counted = 0;
        do {
            derecho::EventBatch batch(wanted - counted);
            group().raw.poll(batch, std::max(deadline - Clock::now(), Clock::duration::zero()));
            for (const derecho_event& event : batch) {
                if ((skipped & 1u << event.kind) != 0) continue;
                if (counted < ids.size()) ids_[ids[counted]] = event.id;
                give_event(group(), counted++, event);
            }
            if (has("lease_out")) leases_[text("lease_out")].push_back(std::move(batch));
        } while (counted < wanted && Clock::now() < deadline);
    }
    static uint32_t kinds_of(const std::string& names) {
        uint32_t bits = 0;
        for (const std::string& each : split(names, '|')) bits |= 1u << value_of(kKinds, each);
        return bits;
    }
    void poll_woken() {
        std::thread waker([this] {
            std::this_thread::sleep_for(milliseconds(number("wake_after_ms")));
            group().raw.wake();
        });
        const Clock::time_point begin = Clock::now();
        derecho::EventBatch batch;
        group().raw.poll(batch, timeout());
        give("woken", batch.empty() && Clock::now() - begin < timeout() ? "yes" : "no");
        waker.join();
    }

    // ------------------------------------------------------------------------------------ steps that give something

    void group_view() {
        const derecho::View view = group().raw.view();
        give("id", view.id);
        give("self_rank", view.self_rank);
        std::string members;
        for (const derecho::Member& member : view.members) {
            members += (members.empty() ? "" : ",") + std::to_string(member.node) + ":" +
                       (member.votes       ? "VOTES"
                        : member.has_state ? "HAS_STATE"
                                           : "");
        }
        give("members", members);
    }
    void group_stats() {
        const derecho_stats stats = group().raw.stats();
        give("delivered_messages", stats.delivered_messages);
        give("delivered_bytes", stats.delivered_bytes);
        give("sent_messages", stats.sent_messages);
        give("views", stats.views);
    }
    void group_holdup() {
        static constexpr const char* kCauses[] = {"NONE", "NOT_POLLING", "NOT_RELEASING", "NO_STATE",
                                                  "NOT_ACKNOWLEDGING"};
        const std::optional<derecho::Holdup> holdup = group().raw.holdup(number<uint32_t>("node"));
        give("cause", std::string(kCauses[holdup ? holdup->cause : 0]));
        if (holdup) give("node", holdup->node);
    }
    void shard_send_many() {
        std::vector<derecho_bytes> messages;
        for (const std::string& each : split(text("messages"), ',')) {
            const BytesView data = to_payload(each);
            messages.push_back({data.data(), data.size()});
        }
        uint64_t ticket = 0;
        give("sent", shard().send_many(messages, &ticket));
        keep_sent("ticket_out", ticket);
    }
    void shard_call() {
        uint64_t id = 0;
        derecho::check(shard().try_call(number<uint32_t>("method"), flags("flags", kCallFlags), payload("args"),
                                        has("call_out") ? &id : nullptr));
        keep_sent("call_out", id);
    }
    void shard_claim() {
        derecho::Claim made =
            shard().claim(number<uint32_t>("method"), flags("flags", kCallFlags), number("size_bytes"));
        give("size_bytes", made.data().size());
        if (!aligned(made.data().data(), 8)) give("aligned", "BAD");
        claims_.insert_or_assign(text("claim_out"), std::move(made));
    }
    void claim_fill() {
        const BytesView data = payload("data");
        if (data.size() > claim().data().size()) die("more than was claimed: " + text("claim"));
        std::ranges::copy(data, claim().data().begin());
    }
    void buffer_data() {
        const BytesView data = buffer(text("buffer")).data();
        give("size_bytes", data.size());
        if (!aligned(data.data(), 4096)) give("aligned", "BAD");
    }
    void buffer_release() {
        std::deque<derecho::Buffer>& references = buffers_.at(text("buffer"));
        references.back().release();
        if (references.size() > 1) references.pop_back();
    }
    void release() {
        for (derecho::EventBatch& batch : leases_.at(text("lease"))) batch.release();
    }

    std::map<std::string, std::string> inputs_;
    std::ostringstream given_;  // fields of the line
    std::deque<derecho::Bytes> payloads_;

    std::map<std::string, derecho::Config> configs_;
    std::map<std::string, std::shared_ptr<Group>> groups_;
    std::map<std::string, derecho::Shard> shards_;
    std::map<std::string, derecho::Claim> claims_;
    std::map<std::string, std::deque<derecho::Buffer>> buffers_;
    std::map<std::string, derecho::RegisteredMemory> memories_;
    std::map<std::string, derecho::MemoryKey> keys_;
    std::map<std::string, std::vector<derecho::EventBatch>> leases_;
    std::map<std::string, uint64_t> ids_;
    std::map<uint64_t, std::string> sent_;

    const std::map<std::string, std::function<void()>> steps_ = {
        {"status_name", [this] { give("result", derecho_status_name(status())); }},
        {"last_error", [this] { give("result", derecho_last_error()); }},
        {"abi_version", [this] { give("result", derecho_abi_version()); }},
        {"abi_hash", [this] { give("result", derecho_abi_hash()); }},
        {"version", [this] { give("result", derecho_version()); }},
        {"config_create", [this] { configs_.insert_or_assign(text("config_out"), derecho::Config()); }},
        {"config_set", [this] { config().set(text("key"), text("value")); }},
        {"config_get", [this] { give("value", config().get(text("key"))); }},
        {"config_load", [this] { config().load(text("path")); }},
        {"config_add_service", [this] { config().service(text("name"), number("schema_hash")); }},
        {"config_close", [this] { config().close(); }},
        {"group_join",
         [this] {
             auto raw = derecho::RawGroup::join(config(), timeout());
             groups_[text("group_out")] = std::make_shared<Group>(Group{std::move(raw), {}});
         }},
        {"group_leave", [this] { group().raw.leave(timeout()); }},
        {"group_close", [this] { group().raw.close(); }},
        {"group_fd", [this] { group().raw.fd(); }},
        {"group_view", [this] { group_view(); }},
        {"group_stats", [this] { group_stats(); }},
        {"group_holdup", [this] { group_holdup(); }},
        {"group_reply",
         [this] { group().raw.reply(number<uint32_t>("node"), number("call"), status(), payload("data")); }},
        {"group_state",
         [this] {
             group().raw.state(number<uint32_t>("node"), number("request"), payload("data"), number("last") != 0);
         }},
        {"group_state_size",
         [this] { group().raw.state_size(number<uint32_t>("node"), number("request"), number("total_bytes")); }},
        {"group_state_fail",
         [this] {
             const BytesView why = payload("text");
             group().raw.state_fail(number<uint32_t>("node"), number("request"),
                                    {reinterpret_cast<const char*>(why.data()), why.size()});
         }},
        {"shard_open", [this] { shards_.insert_or_assign(text("shard_out"), group().raw.shard(text("service"))); }},
        {"shard_send", [this] { keep_sent("ticket_out", shard().send(payload("data"))); }},
        {"shard_send_many", [this] { shard_send_many(); }},
        {"shard_call", [this] { shard_call(); }},
        {"shard_query",
         [this] {
             keep_sent("call_out",
                       shard().query(number<uint32_t>("node"), number<uint32_t>("method"), payload("args")));
         }},
        {"shard_claim", [this] { shard_claim(); }},
        {"claim_fill", [this] { claim_fill(); }},
        {"claim_commit",
         [this] {
             claim().commit(number("used_bytes"));
             keep_sent("claim", claim().id());
         }},
        {"claim_abort", [this] { claim().abort(); }},
        {"poll", [this] { poll(); }},
        {"release", [this] { release(); }},
        {"wake", [this] { group().raw.wake(); }},
        {"buffer_create",
         [this] {
             derecho::Buffer made(number("size_bytes"));
             buffers_[text("buffer_out")].assign(1, std::move(made));
         }},
        {"buffer_data", [this] { buffer_data(); }},
        {"buffer_retain", [this] { buffers_.at(text("buffer")).push_back(buffer(text("buffer"))); }},
        {"buffer_release", [this] { buffer_release(); }},
        {"buffer_fill",
         [this] {
             const BytesView data = payload("data");
             std::ranges::copy(data, buffer(text("buffer")).data().subspan(number("offset"), data.size()).begin());
         }},
        {"buffer_read",
         [this] {
             give("data", shown(buffer(text("buffer")).data().subspan(number("offset"), number("size_bytes"))));
         }},
        {"memory_register",
         [this] {
             memories_.insert_or_assign(text("memory_out"), group().raw.register_memory(buffer(text("buffer")).data(),
                                                                                        flags("access", kAccess)));
         }},
        {"memory_register_dmabuf",
         [this] {
             memories_.insert_or_assign(text("memory_out"),
                                        group().raw.register_dmabuf(number<int>("fd"), number("offset"),
                                                                    number("size_bytes"), flags("access", kAccess)));
         }},
        {"memory_key_for", [this] { keys_[text("key_out")] = memory().key_for(number<uint32_t>("node")); }},
        {"memory_read",
         [this] {
             keep_sent("operation_out",
                       group().raw.read(number<uint32_t>("node"), entry(keys_, "key"), number("offset"), pieces()));
         }},
        {"memory_write",
         [this] {
             keep_sent("operation_out",
                       group().raw.write(number<uint32_t>("node"), entry(keys_, "key"), number("offset"), pieces()));
         }},
        {"memory_deregister", [this] { memory().deregister(timeout()); }},
        {"log_to", [this] { derecho::check(derecho_log_to(number<int>("fd"), number<int32_t>("level"))); }},
    };
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) die("usage: executor SCRIPT");
    std::ifstream script(argv[1]);
    if (!script) die(std::string("cannot read ") + argv[1]);
    Executor executor;
    for (std::string line; std::getline(script, line);) std::cout << executor.run(line) << std::endl;
}
