// The machinery of one group: the pump, the calls under way, and what each kind of event does.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "outbox.hpp"
#include "pump.hpp"
#include "raw.hpp"

namespace derecho::detail {

/** A call that waits for answers. Its functions are called by the thread that drives. */
class Pending {
public:
    virtual ~Pending() = default;
    /** Ordered: `event` names who owes an answer. */
    virtual void order(const derecho_event&) {}
    /** An answer came. @return whether it was the last one. */
    virtual bool take(const derecho_event& event) = 0;
    /** Nothing will come any more. */
    virtual void fail(std::exception_ptr error) = 0;
};

/** What waits for one event, and fails with what receiving it throws. */
class PendingOne : public Pending {
public:
    bool take(const derecho_event& event) override {
        try {
            receive(event);
        } catch (...) {
            error = std::current_exception();
        }
        done_.store(true, std::memory_order_release);
        return true;
    }
    void fail(std::exception_ptr why) override {
        if (done()) return;
        error = why;
        done_.store(true, std::memory_order_release);
    }
    bool done() const { return done_.load(std::memory_order_acquire); }

    std::exception_ptr error;  // once it is done

private:
    virtual void receive(const derecho_event& event) = 0;

    std::atomic<bool> done_ = false;
};

}  // namespace derecho::detail

namespace derecho {

/** How far the state of a service has come to a node that joins. */
struct Progress {
    std::string service;
    uint64_t bytes = 0;
    uint64_t total_bytes = 0;  // 0: not known, as of a state that is saved in pieces
    std::chrono::nanoseconds lasted{};
    std::chrono::steady_clock::time_point began{};

    double bytes_per_second() const {
        const double seconds = std::chrono::duration<double>(lasted).count();
        return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
    }
};

/** A replica that differs from those of a majority, as option digest found. */
struct Difference {
    std::string service;
    uint64_t version = 0;  // the last call that was looked at
    uint32_t node = 0;     // whose, perhaps this node's own; DERECHO_ANY_NODE: they differ, and there is no majority
    std::string text;      // all of it as a sentence, with the nodes on either side
};

}  // namespace derecho

namespace derecho::detail {

/** One declared service or raw shard, as events number them. Its functions are called by the thread that drives. */
class Host {
public:
    explicit Host(std::string name) : name_(std::move(name)) {}
    virtual ~Host() = default;
    virtual uint64_t schema_hash() const = 0;
    virtual void handle(const derecho_event& event) = 0;
    virtual void state_requested(const derecho_event& event) = 0;
    virtual void state_came(const derecho_event& event) = 0;

    const std::string& name() const { return name_; }
    bool loading = false;  // what comes meanwhile is held back
    Progress arrived;      // of its state
    std::exception_ptr load_error;

private:
    std::string name_;
};

class Engine {
public:
    Engine(RawGroup group, std::chrono::nanoseconds default_timeout, size_t piece_bytes)
        : timeout(default_timeout),
          raw(std::move(group)),
          outbox(raw, piece_bytes),
          pump(raw, {[this](const derecho_event& event) { guarded("dispatch", [&] { dispatch(event); }); },
                     [this] { return outbox.retry(); },
                     [this](derecho_status status, const std::string& text) { end(status, text); }}) {}

    ~Engine() {
        if (news_fd_ >= 0) ::close(news_fd_);
    }

    const std::chrono::nanoseconds timeout;  // default of every wait
    RawGroup raw;
    Outbox outbox;
    std::vector<std::unique_ptr<Host>> hosts;
    std::function<void(const Progress&)> on_progress;
    Clock::time_point last_progress;  // of a state that comes
    Pump pump;

    // ------------------------------------------------------------------------------------ waiting

    /** Drive until `done()`. @return false when the time passed. @throws why the group ended, unless done. */
    template <class Done>
    bool wait(Done done, std::chrono::nanoseconds patience, const std::string& what) {
        if (inherited()) std::rethrow_exception(ended());
        if (!pump.wait([&] { return done() || has_ended(); }, patience, what)) return false;
        if (!done()) std::rethrow_exception(ended());
        return true;
    }

    bool has_ended() const { return has_ended_.load(std::memory_order_acquire) || inherited(); }

    /** Whether this is a child of the process that joined: locks may be held by threads that are not here. */
    bool inherited() const { return forks.load(std::memory_order_relaxed) != forks_; }

    /** Why the group ended; null while it goes on. */
    std::exception_ptr ended() const {
        if (inherited()) return exception_of(derecho_wake(raw.handle()), derecho_last_error());
        const std::lock_guard lock(mutex_);
        return ended_;
    }

    /** Call attempt() until it is neither AGAIN nor WEDGED; @throws its error, or that of the deadline. */
    template <class Attempt>
    void retrying(Attempt attempt) {
        derecho_status status = attempt();
        if (status == DERECHO_OK) return;
        const Clock::time_point deadline = deadline_after(timeout);
        while (status == DERECHO_AGAIN || status == DERECHO_WEDGED) {
            if (pump.in_handler()) break;  // room comes by dispatching, which the handler holds up
            if (Clock::now() >= deadline) raise(status, waited_in_vain(status));
            pump.turn(std::chrono::milliseconds(1));
            if (has_ended()) std::rethrow_exception(ended());
            status = attempt();
        }
        check(status);
    }

    /** A descriptor that becomes readable with every answer and every view; made, readable, when first asked for. */
    int news_fd() {
        const std::lock_guard lock(mutex_);
        if (news_fd_ < 0) news_fd_ = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        if (news_fd_ < 0) raise(DERECHO_NO_MEMORY, "no eventfd could be made: " + std::string(std::strerror(errno)));
        return news_fd_;
    }

    // ------------------------------------------------------------------------------------ sending

    /** An ordered call whose message `fill` writes in place. @param pending null when no answers are wanted. */
    template <class Fill>
    void call(Shard shard, uint32_t method, size_t size_bytes, Fill fill, std::shared_ptr<Pending> pending) {
        std::optional<Claim> claim;
        retrying([&] {
            auto [status, made] = shard.try_claim(method, pending ? DERECHO_CALL_REPLY : 0, size_bytes);
            if (status == DERECHO_OK) claim.emplace(std::move(made));
            return status;
        });
        fill(claim->data().data());
        retrying([&] {
            if (!pending) return claim->try_commit(size_bytes);
            const std::lock_guard lock(mutex_);  // the answers may come before the commit returned
            if (ended_) std::rethrow_exception(ended_);
            const derecho_status status = claim->try_commit(size_bytes);
            if (status == DERECHO_OK) pending_.emplace(claim->id(), pending);
            return status;
        });
    }

    void query(Shard shard, uint32_t node, uint32_t method, BytesView message, std::shared_ptr<Pending> pending) {
        begin([&](uint64_t* id) { return shard.try_query(node, method, message, id); }, std::move(pending));
    }

    /** Begin what ends in an event: its id is known before that can be dispatched. */
    template <class Begin>
    void begin(Begin begin, std::shared_ptr<Pending> pending) {
        if (inherited()) std::rethrow_exception(ended());
        retrying([&] {
            const std::lock_guard lock(mutex_);
            if (ended_) std::rethrow_exception(ended_);
            uint64_t id = 0;
            const derecho_status status = begin(&id);
            if (status == DERECHO_OK) pending_.emplace(id, pending);
            return status;
        });
    }

    // ------------------------------------------------------------------------------------ views

    std::vector<View> views() const {
        const std::lock_guard lock(mutex_);
        return views_;
    }

    /** The current one, with who holds the state by now; without members before the first. */
    View view() const {
        View last;
        {
            const std::lock_guard lock(mutex_);
            if (views_.empty()) return {};
            last = views_.back();
        }
        if (has_ended_ || std::ranges::all_of(last.members, &Member::has_state)) return last;
        try {
            const View now = raw.view();
            if (now.id != last.id) return last;
            const std::lock_guard lock(mutex_);
            if (views_.back().id == now.id) views_.back() = now;
            return now;
        } catch (const Error&) {  // it was closed meanwhile
            return last;
        }
    }

    /** Call a function for every view: those so far at once, on this thread. */
    void on_view(std::function<void(const View&)> function) {
        for (size_t told = 0;; told++) {
            View next;
            {
                const std::lock_guard lock(mutex_);
                if (told == views_.size()) return on_view_.push_back(std::move(function));
                next = views_[told];
            }
            function(next);
        }
    }

    void on_difference(std::function<void(const Difference&)> function) {
        const std::lock_guard lock(mutex_);
        on_difference_.push_back(std::move(function));
    }

    // ------------------------------------------------------------------------------------ failures

    using OnFailure = std::function<void(const std::string& where, std::exception_ptr)>;

    /** Who is told of exceptions that no caller waits for. */
    void on_failure(OnFailure function) {
        const std::lock_guard lock(mutex_);
        on_failure_ = std::move(function);
    }

    void failed(const std::string& where, std::exception_ptr error) {
        OnFailure tell;
        {
            const std::lock_guard lock(mutex_);
            tell = on_failure_;
        }
        try {
            if (tell) tell(where, error);
        } catch (...) {  // there is nobody left to be told
        }
    }

    /** Run what must not end the driver's turn. */
    template <class Function>
    void guarded(const char* where, Function function) {
        try {
            function();
        } catch (...) {
            failed(where, std::current_exception());
        }
    }

    // ------------------------------------------------------------------------------------ the end

    /** Whoever waits is told why. */
    void end(derecho_status status, const std::string& text) {
        std::unordered_map<uint64_t, std::shared_ptr<Pending>> left;
        std::vector<OnEnd> told;
        std::exception_ptr why;
        {
            const std::lock_guard lock(mutex_);
            if (!ended_) ended_ = exception_of(status, text);
            why = ended_;
            left.swap(pending_);
            told.swap(on_end_);
            has_ended_.store(true, std::memory_order_release);
        }
        for (auto& [call, pending] : left) pending->fail(why);
        announce();
        for (const OnEnd& function : told) guarded("on_end", [&] { function(why); });
    }

    using OnEnd = std::function<void(std::exception_ptr)>;

    /** Call a function with the reason, once, when the group ends; at once if it has. */
    void on_end(OnEnd function) {
        std::exception_ptr why = inherited() ? ended() : nullptr;
        if (!why) {
            const std::lock_guard lock(mutex_);
            why = ended_;
            if (!why) return on_end_.push_back(std::move(function));
        }
        function(why);
    }

    /** Who gives this node its state. */
    uint32_t donor() const {
        for (const Member& member : view().members)
            if (member.has_state) return member.node;
        return DERECHO_ANY_NODE;
    }

    /** A sentence about a member, or any, that holds others up; "" if none does. */
    std::string holdup_text(uint32_t node = DERECHO_ANY_NODE) const noexcept {
        derecho_holdup found;
        found.struct_bytes = sizeof found;
        return derecho_group_holdup(raw.handle(), node, &found) == DERECHO_OK ? found.text : "";
    }
    /** The same, to be added to an error. */
    std::string because(uint32_t node = DERECHO_ANY_NODE) const {
        std::string text = holdup_text(node);
        if (text.empty()) text = holdup_text();
        return text.empty() ? text : " (" + text + ")";
    }

private:
    static std::exception_ptr exception_of(derecho_status status, const std::string& text) {
        try {
            raise(status, text);
        } catch (...) {
            return std::current_exception();
        }
    }

    std::string waited_in_vain(derecho_status status) const {
        const std::string seconds = std::to_string(std::chrono::duration<double>(timeout).count()) + " s";
        if (status == DERECHO_WEDGED)
            return "members were still being added or removed after " + seconds + "; try again";
        const std::string whose = holdup_text();
        return "no room within " + seconds + ": " +
               (whose.empty() ? "a member, perhaps this one, is slow to take messages" : whose) +
               "; try again, or raise option ring_bytes (for queries mail_bytes)";
    }

    void dispatch(const derecho_event& event) {
        switch (event.kind) {
            case DERECHO_EVENT_MESSAGE:
            case DERECHO_EVENT_CALL:
            case DERECHO_EVENT_QUERY:
                return hosts[event.shard]->handle(event);
            case DERECHO_EVENT_ORDERED:
                return ordered(event);
            case DERECHO_EVENT_REPLY:
            case DERECHO_EVENT_MEMORY:
                return replied(event);
            case DERECHO_EVENT_VIEW:
                return view_installed();
            case DERECHO_EVENT_STATE_REQUEST:
                return hosts[event.shard]->state_requested(event);
            case DERECHO_EVENT_STATE:
                if (event.status == DERECHO_OK) progressed(*hosts[event.shard], event);
                return hosts[event.shard]->state_came(event);
            case DERECHO_EVENT_CLOSED:
                return closed(event.status);
            case DERECHO_EVENT_DIFFERENCE:
                return differed(event);
            default:
                return;
        }
    }

    void progressed(Host& host, const derecho_event& event) {
        last_progress = Clock::now();
        if ((event.flags & DERECHO_FLAG_FIRST) != 0) host.arrived = {host.name(), 0, 0, {}, last_progress};
        host.arrived.bytes += event.size_bytes;
        host.arrived.total_bytes = event.version;
        host.arrived.lasted = last_progress - host.arrived.began;
        if (on_progress) guarded("on_progress", [&] { on_progress(host.arrived); });
    }

    std::shared_ptr<Pending> find(uint64_t call) const {
        const std::lock_guard lock(mutex_);
        const auto found = pending_.find(call);
        return found == pending_.end() ? nullptr : found->second;
    }

    void announce() const {
        const int fd = news_fd_.load(std::memory_order_relaxed);
        const uint64_t one = 1;
        if (fd >= 0 && ::write(fd, &one, sizeof one) < 0) return;  // full: it is readable
    }

    void ordered(const derecho_event& event) {
        if (const std::shared_ptr<Pending> pending = find(event.id)) pending->order(event);
    }

    void replied(const derecho_event& event) {
        const std::shared_ptr<Pending> pending = find(event.id);
        if (!pending || event.status == DERECHO_CLOSED) return;  // what ended the group fails it, at once
        if (pending->take(event)) {
            const std::lock_guard lock(mutex_);
            pending_.erase(event.id);
        }
        announce();
    }

    void view_installed() {
        const View view = raw.view();
        std::vector<std::function<void(const View&)>> told;
        {
            const std::lock_guard lock(mutex_);
            if (views_.empty() && view.self_rank != View::kNoRank && !view.members[view.self_rank].has_state) {
                for (const std::unique_ptr<Host>& host : hosts) host->loading = true;
            }
            views_.push_back(view);
            told = on_view_;
        }
        for (const auto& function : told) guarded("on_view", [&] { function(view); });
        announce();
    }

    void differed(const derecho_event& event) {
        const BytesView said = data_of(event);
        const Difference difference{hosts[event.shard]->name(), event.version, event.node,
                                    std::string(reinterpret_cast<const char*>(said.data()), said.size())};
        std::vector<std::function<void(const Difference&)>> told;
        {
            const std::lock_guard lock(mutex_);
            told = on_difference_;
        }
        for (const auto& function : told) guarded("on_difference", [&] { function(difference); });
    }

    void closed(derecho_status status) {
        std::string text = status == DERECHO_EJECTED ? "the others removed this node from the group"
                           : status == DERECHO_NO_MAJORITY
                               ? "half or more of the members that vote were lost, so this node stopped"
                           : status == DERECHO_NO_MEMORY    ? "this node lacks memory or descriptors"
                           : status == DERECHO_DIFFERS      ? "replicas differ, and option digest_policy is stop"
                           : status == DERECHO_STATE_LOST   ? "every member that had the state is gone"
                           : status == DERECHO_INCOMPATIBLE ? "this node cannot be with that group any more"
                                                            : "this node left the group";
        if (derecho_group_leave(raw.handle(), 0) == status) text += std::string(" (") + derecho_last_error() + ")";
        end(status, text);
    }

    const uint32_t forks_ = forks.load();
    mutable std::mutex mutex_;  // over what follows; never held while a handler or a wait runs
    std::unordered_map<uint64_t, std::shared_ptr<Pending>> pending_;
    mutable std::vector<View> views_;  // the last is brought up to date when somebody looks
    std::vector<std::function<void(const View&)>> on_view_;
    std::vector<std::function<void(const Difference&)>> on_difference_;
    std::vector<OnEnd> on_end_;
    OnFailure on_failure_;
    std::exception_ptr ended_;
    std::atomic<bool> has_ended_ = false;
    std::atomic<int> news_fd_ = -1;
};

}  // namespace derecho::detail
