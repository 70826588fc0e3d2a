#include "session.hpp"

#include "machine.hpp"

namespace bench {
namespace {

constexpr const char* kService = "bench";
constexpr int64_t kWaitNs = 20'000'000;
constexpr int64_t kLeaveMs = 5'000;

}  // namespace

void fail(const char* what, derecho_status status) {
    throw std::runtime_error(std::string(what) + ": " + derecho_status_name(status) + ": " + derecho_last_error());
}

SessionOptions session_options(Settings& settings) {
    SessionOptions options;
    options.node = static_cast<uint32_t>(settings.number("node", 0));
    options.listen = settings.text("listen", "");
    options.contact = settings.text("contact", options.listen);
    options.batch = settings.number("batch", options.batch);
    options.library = settings.with_prefix("opt.");
    const std::string wire = settings.text("wire", "");
    if (!wire.empty()) options.library["wire"] = wire;
    options.deadline_ns = now_ns() + static_cast<uint64_t>(settings.real("timeout", 60) * 1e9);
    if (options.batch == 0) throw UsageError("batch must be at least 1");
    return options;
}

Session::Session(const SessionOptions& options) : deadline_ns_(options.deadline_ns), events_(options.batch) {
    derecho_config* config = nullptr;
    require(derecho_config_create(&config), "config");
    const auto set = [&](const std::string& key, const std::string& value) {
        require(derecho_config_set(config, key.c_str(), value.c_str()), key.c_str());
    };
    set("node", std::to_string(options.node));
    set("listen", options.listen);
    set("initial_members", options.contact);
    for (const auto& [key, value] : options.library) set(key, value);
    require(derecho_config_add_service(config, kService, 0), "service");
    const uint64_t now = now_ns();
    const uint64_t left_ms = now < deadline_ns_ ? (deadline_ns_ - now) / 1'000'000 : 0;
    const derecho_status joined = derecho_group_join(config, static_cast<int64_t>(left_ms), &group_);
    if (joined != DERECHO_OK) fail("join", joined);
    derecho_config_close(config);
    require(derecho_shard_open(group_, kService, &shard_), "shard");
}

Session::~Session() { derecho_group_close(group_); }

void Session::check_deadline(const char* waiting_for) const {
    if (now_ns() > deadline_ns_) throw std::runtime_error(std::string("gave up waiting for ") + waiting_for);
    if (closed_) throw std::runtime_error(std::string("the group ended while waiting for ") + waiting_for);
}

void Session::wait_for_members(uint32_t count) {
    while (members_ != count) {
        poll(kWaitNs, [](const derecho_event&) {});
        check_deadline("the members to join");
    }
}

void Session::note(const derecho_event& event) {
    switch (event.kind) {
        case DERECHO_EVENT_VIEW:
            note_view();
            break;
        case DERECHO_EVENT_STATE_REQUEST:
            due_.push_back({event.node, event.id});
            states_due_ = true;
            break;
        case DERECHO_EVENT_CLOSED:
            closed_ = true;
            break;
        default:
            break;
    }
}

void Session::note_view() {
    derecho_view view{};
    view.struct_bytes = sizeof view;
    require(derecho_group_view(group_, &view), "view");
    members_ = 0;
    for (uint32_t rank = 0; rank < view.member_count; ++rank)
        members_ += (view.members[rank].flags & DERECHO_MEMBER_VOTES) != 0;
    rank_ = view.self_rank;
    view_ = view.id;
}

// There is no state: joiners are told so.
void Session::answer() {
    while (!due_.empty()) {
        const derecho_status status = derecho_group_state(group_, due_.back().node, due_.back().request, nullptr, 0, 1);
        if (status == DERECHO_AGAIN) return;
        require(status, "state");
        due_.pop_back();
    }
    states_due_ = false;
}

void Session::leave() {
    const derecho_status status = derecho_group_leave(group_, kLeaveMs);
    // Whoever is last may find that the others are gone already.
    if (status != DERECHO_OK && status != DERECHO_NO_MAJORITY && status != DERECHO_EJECTED) fail("leave", status);
}

derecho_stats Session::stats() const {
    derecho_stats stats{};
    stats.struct_bytes = sizeof stats;
    require(derecho_group_stats(group_, &stats), "stats");
    return stats;
}

}  // namespace bench
