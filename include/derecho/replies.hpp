// The answers to a call, as they will have come: Reply<T> of one member, Replies<T> of all.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "engine.hpp"
#include "service.hpp"

namespace derecho {

namespace detail {

/** What a method returns, when it has to be kept: nothing is std::monostate. */
template <class T>
using Kept = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
Kept<T> decode_result(BytesView message) {
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::get<0>(ResultMessage<T>::decode(message));
    }
}

/** Written by the driver, once; read by others after done(). */
template <class T>
class ReplyState : public PendingOne {
public:
    ReplyState(const std::string& method, uint32_t node) : where(method), member(node) {}

    const std::string& where;  // "Service.method"; lives as long as the program
    const uint32_t member;
    std::optional<Kept<T>> value;
    bool removed = false;  // the member left before it answered
    uint64_t digest = 0;   // of the answer to an ordered call

private:
    void receive(const derecho_event& event) override {
        removed = event.status == DERECHO_REMOVED;
        digest = event.version;
        if (event.status != DERECHO_OK) throw_failure(event);
        value = decode_result<T>(data_of(event));
    }
    [[noreturn]] void throw_failure(const derecho_event& event) const {
        const BytesView said = data_of(event);
        const std::string text(reinterpret_cast<const char*>(said.data()), said.size());
        const std::string who = where + ": member " + std::to_string(member);
        if (event.status == DERECHO_REMOTE_ERROR) throw RemoteError(member, text, where);
        if (event.status == DERECHO_REMOVED) throw MemberRemoved(who + " left the view before it answered");
        if (event.status == DERECHO_UNKNOWN_METHOD) throw UnknownMethod(who + " has no such method");
        raise(event.status, who + ": " + text);
    }
};

template <class T>
class RepliesState : public Pending {
public:
    explicit RepliesState(const std::string& method) : where(method) {}

    void order(const derecho_event& event) override {
        const BytesView list = data_of(event);
        for (size_t at = 0; at + sizeof(uint32_t) <= list.size(); at += sizeof(uint32_t)) {
            uint32_t node;
            std::memcpy(&node, list.data() + at, sizeof node);
            replies.push_back(std::make_shared<ReplyState<T>>(where, node));
        }
        ordered_.store(true, std::memory_order_release);
    }
    bool take(const derecho_event& event) override {
        for (const auto& reply : replies) {
            if (reply->member == event.node && !reply->done()) {
                reply->take(event);
                arrived_++;
                if (!reply->removed && first_.load(std::memory_order_relaxed) == nullptr) first_ = reply.get();
                if (arrived_ == replies.size()) complete_.store(true, std::memory_order_release);
                break;
            }
        }
        return complete();
    }
    void fail(std::exception_ptr why) override {
        for (const auto& reply : replies) reply->fail(why);
        error = why;
        complete_.store(true, std::memory_order_release);
    }

    bool ordered() const { return ordered_.load(std::memory_order_acquire); }
    bool complete() const { return complete_.load(std::memory_order_acquire); }
    /** Whose answer came first; null while, or when, there is none. */
    const ReplyState<T>* first() const { return first_.load(std::memory_order_acquire); }

    const std::string& where;                             // "Service.method"; lives as long as the program
    std::vector<std::shared_ptr<ReplyState<T>>> replies;  // by rank, once ordered
    std::exception_ptr error;                             // the group ended first

private:
    size_t arrived_ = 0;
    std::atomic<bool> ordered_ = false;
    std::atomic<bool> complete_ = false;
    std::atomic<const ReplyState<T>*> first_ = nullptr;
};

/** What a value is in a sentence, where it can be said. */
template <class T>
std::string said(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        return value ? "true" : "false";
    } else if constexpr (std::is_arithmetic_v<T>) {
        return std::to_string(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
        constexpr size_t kLengthMax = 80;
        return '"' + (value.size() <= kLengthMax ? value : value.substr(0, kLengthMax) + "...") + '"';
    } else {
        return "something else";
    }
}

template <class T>
std::string said(const ReplyState<T>& reply) {
    if (!reply.error) return "answered " + said<Kept<T>>(*reply.value);
    try {
        std::rethrow_exception(reply.error);
    } catch (const RemoteError& error) {
        return "failed with " + error.type_name() + ": " + error.text();
    } catch (const std::exception& error) {
        return std::string("failed: ") + error.what();
    }
}

/** Who said what, those in the minority first; "" if all answered alike, by digests that are the same in every
 *  language. */
template <class T>
std::string differences(const std::vector<std::shared_ptr<ReplyState<T>>>& replies) {
    std::vector<std::vector<const ReplyState<T>*>> groups;
    for (const auto& reply : replies) {
        if (reply->removed || (reply->error && reply->digest == 0)) continue;
        const auto same = [&](const auto& group) { return group.front()->digest == reply->digest; };
        const auto group = std::ranges::find_if(groups, same);
        if (group == groups.end())
            groups.push_back({reply.get()});
        else
            group->push_back(reply.get());
    }
    if (groups.size() < 2) return "";
    std::ranges::stable_sort(groups, {}, [](const auto& group) { return group.size(); });
    std::string text;
    for (const auto& group : groups) {
        text += std::string(text.empty() ? "" : ", ") + (group.size() == 1 ? "node " : "nodes ");
        for (const auto* reply : group) text += (reply == group.front() ? "" : ", ") + std::to_string(reply->member);
        text += " " + said(*group.front());
    }
    return text;
}

inline std::string seconds_text(std::chrono::nanoseconds duration) {
    std::string text = std::to_string(std::chrono::duration<double>(duration).count());
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text + " s";
}

}  // namespace detail

/** The answer of one member: a future. Copies are the same one. */
template <class T>
class Reply {
public:
    Reply(std::shared_ptr<detail::Engine> engine, std::shared_ptr<detail::ReplyState<T>> state)
        : engine_(std::move(engine)), state_(std::move(state)) {}

    bool done() const { return state_->done(); }

    /** The node that answers. */
    uint32_t member() const { return state_->member; }

    /** The value where it is kept, as long as somebody holds this; null while it is not there. @throws as get() */
    const detail::Kept<T>* peek() const {
        if (!done()) return nullptr;
        if (state_->error) std::rethrow_exception(state_->error);
        return &*state_->value;
    }

    /** Wait for the value, driving the group. @throws RemoteError, MemberRemoved, Timeout, what ended the group */
    T get() const { return get(engine_->timeout); }
    T get(std::chrono::nanoseconds timeout) const {
        wait(timeout);
        const detail::Kept<T>* value = peek();
        if constexpr (!std::is_void_v<T>) return *value;
    }

    /** Wait until the answer is there, driving the group. @throws Timeout */
    void wait(std::chrono::nanoseconds timeout) const {
        if (done() || engine_->wait([this] { return done(); }, timeout, state_->where)) return;
        throw Timeout(state_->where + ": member " + std::to_string(member()) + " did not answer within " +
                      detail::seconds_text(timeout) + engine_->because(member()));
    }

private:
    std::shared_ptr<detail::Engine> engine_;
    std::shared_ptr<detail::ReplyState<T>> state_;
};

/**
 * The answers of all members to an ordered call. Members are replicas, so the first answer tells what all will say;
 * all() also means that every member has applied the call; members() only that it has its place in the order.
 */
template <class T>
class Replies {
public:
    Replies(std::shared_ptr<detail::Engine> engine, std::shared_ptr<detail::RepliesState<T>> state)
        : engine_(std::move(engine)), state_(std::move(state)) {}

    /** Whether the first answer is there. */
    bool done() const { return state_->first() != nullptr || state_->complete(); }

    /** Whether all answers are there that will come. */
    bool complete() const { return state_->complete(); }

    /** The first answer where it is kept, as long as somebody holds this; null while there is none. @throws as get() */
    const detail::Kept<T>* peek() const {
        if (!done()) return nullptr;
        const detail::ReplyState<T>* first = state_->first();
        if (first == nullptr) throw_without_answers();
        if (first->error) std::rethrow_exception(first->error);
        return &*first->value;
    }

    /** Wait until there is an answer, driving the group. @throws Timeout */
    void wait(std::chrono::nanoseconds timeout) const {
        await([this] { return done(); }, timeout, "nothing came");
    }

    /** Wait for the first answer, whoever's, driving the group. @throws as Reply::get() */
    T get() const { return get(engine_->timeout); }
    T get(std::chrono::nanoseconds timeout) const {
        wait(timeout);
        const detail::Kept<T>* value = peek();
        if constexpr (!std::is_void_v<T>) return *value;
    }

    /** Wait until the call is ordered: the nodes that apply and answer it, by rank. */
    std::vector<uint32_t> members() const { return members(engine_->timeout); }
    std::vector<uint32_t> members(std::chrono::nanoseconds timeout) const {
        std::vector<uint32_t> nodes;
        for (const Reply<T>& reply : replies(timeout)) nodes.push_back(reply.member());
        return nodes;
    }

    /** Wait until the call is ordered: each member's own future, by rank. */
    std::vector<Reply<T>> replies() const { return replies(engine_->timeout); }
    std::vector<Reply<T>> replies(std::chrono::nanoseconds timeout) const {
        await([this] { return state_->ordered() || state_->complete(); }, timeout, "it was not ordered");
        if (!state_->ordered()) std::rethrow_exception(state_->error);
        std::vector<Reply<T>> found;
        for (const auto& reply : state_->replies) found.emplace_back(engine_, reply);
        return found;
    }

    /**
     * Wait for every member that was in the view when the call was ordered. Members that left before they answered are
     * not in it. Values by node; for a method without result std::monostate.
     * @throws ReplicasDiffer if they did not all answer alike, in values, or in that some failed: replies() has what
     *         each said; RemoteError of the first member, by rank, if all failed; MemberRemoved if all left; Timeout
     *         naming who did not answer.
     */
    std::map<uint32_t, detail::Kept<T>> all() const { return all(engine_->timeout); }
    std::map<uint32_t, detail::Kept<T>> all(std::chrono::nanoseconds timeout) const {
        await([this] { return state_->complete(); }, timeout, "");
        if (const std::string text = detail::differences(state_->replies); !text.empty())
            throw ReplicasDiffer(state_->where + ": replicas differ: " + text);
        std::map<uint32_t, detail::Kept<T>> values;
        for (const auto& reply : state_->replies) {
            if (reply->error && !reply->removed) std::rethrow_exception(reply->error);
            if (!reply->error) values.emplace(reply->member, *reply->value);
        }
        if (values.empty()) throw_without_answers();
        return values;
    }

private:
    template <class Done>
    void await(Done done, std::chrono::nanoseconds timeout, const char* late) const {
        if (done() || engine_->wait(done, timeout, state_->where)) return;
        throw Timeout(state_->where + ": " + (*late != '\0' ? late : who_is_missing()) + " within " +
                      detail::seconds_text(timeout) + engine_->because(first_missing()));
    }
    std::string who_is_missing() const {
        if (!state_->ordered()) return "it was not ordered";
        std::string nodes;
        for (const auto& reply : state_->replies) {
            if (!reply->done()) nodes += (nodes.empty() ? "" : ", ") + std::to_string(reply->member);
        }
        return "members " + nodes + " did not answer";
    }
    uint32_t first_missing() const {
        for (const auto& reply : state_->replies)
            if (!reply->done()) return reply->member;
        return DERECHO_ANY_NODE;
    }
    [[noreturn]] void throw_without_answers() const {
        if (state_->error) std::rethrow_exception(state_->error);
        throw MemberRemoved(state_->where + ": every member left before it answered");
    }

    std::shared_ptr<detail::Engine> engine_;
    std::shared_ptr<detail::RepliesState<T>> state_;
};

}  // namespace derecho
