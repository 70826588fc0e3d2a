#include "member.hpp"

#include <sched.h>
#include <algorithm>
#include <cstring>

#include "trials.hpp"

namespace bench {
namespace {

constexpr int64_t kWaitNs = 10'000'000;
constexpr int64_t kSoonNs = 100'000;
constexpr size_t kClaimFrom = 4096;         // bytes
constexpr size_t kManyAtMost = 64;          // messages handed over by one call
constexpr uint64_t kSlackNs = 100'000'000;  // after the window, for members whose own began later

// Lives as long as the process.
std::span<unsigned char> page_aligned(size_t size_bytes) {
    derecho_buffer* buffer = nullptr;
    void* data = nullptr;
    uint64_t held_bytes = 0;
    require(derecho_buffer_create(size_bytes, &buffer), "buffer");
    require(derecho_buffer_data(buffer, &data, &held_bytes), "buffer");
    std::memset(data, 0x5a, size_bytes);
    return {static_cast<unsigned char*>(data), size_bytes};
}

}  // namespace

Workload workload(Settings& settings) {
    Workload work;
    work.members = static_cast<uint32_t>(settings.number("members", work.members));
    work.senders = static_cast<uint32_t>(settings.number("senders", work.senders));
    work.payload_bytes = settings.number("bytes", work.payload_bytes);
    const std::string mode = settings.text("mode", "throughput");
    if (mode != "latency" && mode != "throughput") throw UsageError("mode must be latency or throughput");
    work.one_at_a_time = mode == "latency";
    work.warm_s = settings.real("warm", work.warm_s);
    work.window_s = settings.real("seconds", work.window_s);
    work.write = settings.flag("write", work.write);
    work.read = settings.flag("read", work.read);
    // A copy of few bytes costs less than a second call; what is large is written in place.
    const bool small = work.payload_bytes < kClaimFrom;
    const std::string send = settings.text("send", !small ? "claim" : work.one_at_a_time ? "copy" : "many");
    if (send != "copy" && send != "claim" && send != "many") throw UsageError("send must be claim, copy or many");
    work.send = send == "claim" ? Send::claim : send == "copy" ? Send::copy : Send::many;
    // Between two polls: a quarter of a second-level cache, and a system call's worth for a socket.
    const uint64_t burst = std::clamp<uint64_t>((256 << 10) / (work.payload_bytes + 16), 1, 256);
    work.burst = settings.number("burst", burst);
    work.full_ns = settings.number("full_ns", work.full_ns);
    work.processor = static_cast<int>(settings.number("processor", 1 << 20));
    if (work.processor == 1 << 20) work.processor = -1;
    if (work.payload_bytes == 0) throw UsageError("bytes must be at least 1");
    if (work.senders == 0 || work.senders > work.members) throw UsageError("senders must be 1 to members");
    return work;
}

Member::Member(const SessionOptions& options, const Workload& work)
    : work_(work),
      session_(options),
      source_(page_aligned(work.payload_bytes * (work.send == Send::many ? kManyAtMost : 1))),
      messages_(work.send == Send::many ? kManyAtMost : 1) {
    for (size_t i = 0; i < messages_.size(); ++i) {
        source_[i * work.payload_bytes] = kData;
        messages_[i] = {source_.data() + i * work.payload_bytes, work.payload_bytes};
    }
}

Json Member::run() {
    if (work_.processor >= 0) pin_to(work_.processor);
    start_together();
    while (done_ < work_.members) pump();
    Json out = result();
    session_.leave();
    return out;
}

void Member::take(const derecho_event& event) {
    const auto* payload = static_cast<const unsigned char*>(event.data);
    if (payload[0] == kData) [[likely]] {
        ++delivered_;
        own_delivered_ += event.flags / DERECHO_FLAG_OWN & 1;
        sum_ += work_.read ? sum_of(payload, event.size_bytes) : event.size_bytes;
        return;
    }
    if (payload[0] == kReady) ++ready_;
    if (payload[0] == kStop) stop_seen_ = true;
    if (payload[0] == kDone) ++done_;
}

size_t Member::poll(int64_t timeout_ns) {
    ++polls_;
    return session_.poll(timeout_ns, [this](const derecho_event& event) { take(event); });
}

// A full ring has room again only when this member, too, takes what is delivered.
void Member::tell(Tag tag) {
    const unsigned char message = tag;
    while (true) {
        const derecho_status status = derecho_shard_send(session_.shard(), &message, 1, nullptr);
        if (status == DERECHO_OK) return;
        if (status != DERECHO_AGAIN && status != DERECHO_WEDGED) fail("send", status);
        poll(kSoonNs);
        session_.check_deadline("room to send in");
    }
}

void Member::start_together() {
    session_.wait_for_members(work_.members);
    sender_ = session_.rank() < work_.senders;
    tell(kReady);
    while (ready_ < work_.members) {
        poll(kWaitNs);
        session_.check_deadline("all members to be ready");
    }
    warm_until_ns_ = now_ns() + static_cast<uint64_t>(work_.warm_s * 1e9);
    window_until_ns_ = warm_until_ns_ + static_cast<uint64_t>(work_.window_s * 1e9);
}

// One turn: send what is to be sent, take what is delivered.
void Member::pump() {
    if (!sender_ || stop_seen_) {
        poll(kWaitNs);
    } else if (work_.one_at_a_time) {
        send_one_and_wait();
    } else {
        send_burst();
        // A full ring has room again when the others released something, which is no event: look again soon.
        if (poll(full_ ? static_cast<int64_t>(work_.full_ns) : 0) == 0 && full_) sched_yield();
    }
    watch_clock();
}

void Member::send_burst() {
    full_ = false;
    if (work_.send == Send::many) {
        for (size_t left = work_.burst; left > 0 && !full_; left -= std::min(left, kManyAtMost))
            full_ = !send_many(std::min(left, kManyAtMost));
    } else {
        for (size_t i = 0; i < work_.burst && !full_; ++i) full_ = !send_one();
    }
}

// False: no room now.
bool Member::send_one() {
    if (work_.send == Send::claim) return send_claimed();
    return work_.send == Send::copy ? send_copied() : send_many(1);
}

void Member::send_one_and_wait() {
    const uint64_t begin = now_ns();
    if (!send_one()) {
        poll(0);
        return;
    }
    const uint64_t due = sent_;
    while (own_delivered_ < due && !stop_seen_) poll(kWaitNs);
    const uint64_t now = now_ns();
    if (own_delivered_ == due && begin >= warm_until_ns_ && now <= window_until_ns_) latency_.record(now - begin);
}

void Member::fill(unsigned char* payload) {
    if (work_.write) {
        std::memcpy(payload, source_.data(), work_.payload_bytes);
        if (work_.payload_bytes >= 16) std::memcpy(payload + 8, &sent_, 8);
    } else {
        payload[0] = kData;
    }
}

bool Member::send_claimed() {
    derecho_claim claim;
    derecho_status status =
        derecho_shard_claim(session_.shard(), 0, DERECHO_CLAIM_MESSAGE, work_.payload_bytes, &claim);
    if (status == DERECHO_AGAIN) return false;
    require(status, "claim");
    fill(static_cast<unsigned char*>(claim.data));
    while ((status = derecho_claim_commit(session_.shard(), &claim, work_.payload_bytes)) == DERECHO_AGAIN)
        poll(kSoonNs);
    require(status, "commit");
    ++sent_;
    return true;
}

bool Member::send_copied() {
    if (work_.write && work_.payload_bytes >= 16) std::memcpy(source_.data() + 8, &sent_, 8);
    const derecho_status status = derecho_shard_send(session_.shard(), source_.data(), work_.payload_bytes, nullptr);
    if (status == DERECHO_AGAIN) return false;
    require(status, "send");
    ++sent_;
    return true;
}

// False: there was no room for all.
bool Member::send_many(size_t count) {
    if (work_.write && work_.payload_bytes >= 16)
        for (size_t i = 0; i < count; ++i) {
            const uint64_t number = sent_ + i;
            std::memcpy(source_.data() + i * work_.payload_bytes + 8, &number, sizeof number);
        }
    size_t sent = 0;
    const derecho_status status = derecho_shard_send_many(session_.shard(), messages_.data(), count, &sent, nullptr);
    if (status != DERECHO_AGAIN) require(status, "send");
    sent_ += sent;
    return sent == count;
}

Member::Reading Member::reading() const { return {now_ns(), delivered_, polls_, cpu_seconds(), session_.stats()}; }

// Notes where the window begins and ends, and says when it is over.
void Member::watch_clock() {
    const uint64_t now = now_ns();
    if (begin_.at_ns == 0 && now >= warm_until_ns_) begin_ = reading();
    if (end_.at_ns == 0 && begin_.at_ns != 0 && now >= window_until_ns_) {
        end_ = reading();
        memory_ = memory_used();
    }
    if (session_.rank() == 0 && !stop_sent_ && now >= window_until_ns_ + kSlackNs) {
        stop_sent_ = true;
        tell(kStop);
    }
    if (stop_seen_ && !done_sent_) {
        done_sent_ = true;
        tell(kDone);
    }
    session_.check_deadline("the group to finish");
}

Json Member::stats_of_window() const {
    const derecho_stats &a = begin_.stats, &b = end_.stats;
    Json out;
    out.count("steps", b.steps - a.steps).count("pushes", b.pushes - a.pushes).count("wakes", b.wakes - a.wakes);
    out.count("sleeps", b.sleeps - a.sleeps).count("null_messages", b.null_messages - a.null_messages);
    out.count("work_requests", b.work_requests - a.work_requests).count("doorbells", b.doorbells - a.doorbells);
    out.count("completions", b.completions - a.completions);
    return out.count("allocations", b.allocations - a.allocations).count("mapped_bytes", b.memory_bytes);
}

Json Member::result() const {
    const double seconds = static_cast<double>(end_.at_ns - begin_.at_ns) / 1e9;
    const auto delivered = static_cast<double>(end_.delivered - begin_.delivered);
    const double cpu = end_.cpu_s - begin_.cpu_s;
    Json out;
    out.count("rank", session_.rank()).flag("sender", sender_).number("window_s", seconds);
    out.count("delivered", end_.delivered - begin_.delivered).number("delivered_per_s", delivered / seconds);
    out.number("bytes_per_s", delivered / seconds * static_cast<double>(work_.payload_bytes));
    out.number("events_per_poll", delivered / static_cast<double>(std::max<uint64_t>(end_.polls - begin_.polls, 1)));
    out.number("cpu_s", cpu).number("cpu_share", cpu / seconds);
    out.count("rss_bytes", memory_.rss_bytes).count("pss_bytes", memory_.pss_bytes);
    out.object("stats", stats_of_window());
    if (latency_.count() > 0) out.object("latency_ns", latency_.json());
    return out.count("sum", sum_);
}

int run_member(Settings& settings) {
    die_with_parent();
    const SessionOptions options = session_options(settings);
    const Workload work = workload(settings);
    settings.all_known();
    Member member(options, work);
    std::puts(member.run().str().c_str());
    return 0;
}

}  // namespace bench
