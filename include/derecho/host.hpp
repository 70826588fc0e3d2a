// One service in one group: its local replica, where the calls of all members come in.
#pragma once

#include <array>
#include <concepts>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "context.hpp"
#include "engine.hpp"
#include "service.hpp"

namespace derecho {

namespace detail {
template <class T>
using SavedState =
    std::conditional_t<std::is_void_v<typename Description<T>::StateValue>, Bytes, typename Description<T>::StateValue>;
}

/** A service whose state can be handed to a joiner: save_state() const returns it, load_state() takes it. Bytes, or the
 * type that derecho::state<T>() declares. */
template <class T>
concept SavesState = Service<T> && requires(T service, const T constant, detail::SavedState<T> state) {
    { constant.save_state() } -> std::convertible_to<detail::SavedState<T>>;
    service.load_state(std::move(state));
};

/** ... and in pieces, which may be made while the group goes on: save_state_pieces() const returns them, or an empty
 * function for save_state() to be used. Until the last one was made the service's ordered calls are held back here. */
template <class T>
concept SavesStateInPieces = SavesState<T> && requires(const T constant) {
    { constant.save_state_pieces() } -> std::convertible_to<StatePieces>;
};

namespace detail {

/** Messages of a raw shard, given to a function in place. */
class RawHost : public Host {
public:
    using Function = std::function<void(const derecho_event&)>;
    RawHost(Engine& engine, std::string name, Function function)
        : Host(std::move(name)), engine_(engine), function_(std::move(function)) {}

    uint64_t schema_hash() const override { return 0; }
    void handle(const derecho_event& event) override {
        if (event.kind == DERECHO_EVENT_MESSAGE) {
            engine_.guarded(name().c_str(), [&] { function_(event); });
        } else if ((event.flags & DERECHO_FLAG_REPLY) != 0) {
            engine_.outbox.answer(event.node, event.id, DERECHO_UNKNOWN_METHOD, {});
        }
    }
    void state_requested(const derecho_event& event) override { engine_.outbox.state(event.node, event.id, {}); }
    void state_came(const derecho_event& event) override {
        if ((event.flags & DERECHO_FLAG_LAST) != 0) loading = false;
    }

private:
    Engine& engine_;
    Function function_;
};

template <SavesState T>
class ServiceHost : public Host {
public:
    ServiceHost(Engine& engine, T& service)
        : Host(std::string(T::derecho_service.name)), engine_(engine), service_(service) {}

    T& service() { return service_; }
    uint64_t schema_hash() const override { return derecho::schema_hash<T>(); }

    void handle(const derecho_event& event) override {
        // A query sees the state as it is.
        if (loading || (!saving_.empty() && event.kind != DERECHO_EVENT_QUERY)) {
            const BytesView data = data_of(event);
            held_.emplace_back(event, Bytes(data.begin(), data.end()));
            held_bytes_ += data.size();
            if (!loading && held_bytes_ > kHeldBytesMax) finish_saving();
        } else if (!saving_.empty() && event.version > saved_as_of_.version) {
            run(as_of(event, saved_as_of_));  // what came since is held back
        } else {
            run(event);
        }
    }

    void state_requested(const derecho_event& event) override {
        if (!held_.empty()) finish_saving();  // what is held back is a part of it
        try {
            if constexpr (SavesStateInPieces<T>) {
                if (StatePieces pieces = service_.save_state_pieces()) {
                    const uint64_t request = event.id;
                    const uint32_t node = event.node;
                    saving_.emplace_back(node, request);
                    saved_as_of_ = {event.version, event.timestamp_ns};
                    const auto saved = [this, node, request] { this->saved({node, request}); };
                    return engine_.outbox.state(node, request, std::move(pieces), saved);
                }
            }
            engine_.outbox.state(event.node, event.id, save());
        } catch (...) {
            const std::string why = describe_current_exception();
            engine_.outbox.no_state(event.node, event.id, why);
            engine_.failed("the state of " + name() + " for a joiner", std::current_exception());
        }
    }

    void state_came(const derecho_event& event) override {
        if (event.status != DERECHO_OK) {
            const BytesView text = data_of(event);
            load_error = std::make_exception_ptr(
                StateError("member " + std::to_string(event.node) + " cannot give the state of " + name() + ": " +
                           std::string(reinterpret_cast<const char*>(text.data()), text.size())));
            loading = false;
            return run_held();
        }
        if ((event.flags & DERECHO_FLAG_FIRST) != 0) incoming_.clear();
        const BytesView piece = data_of(event);
        incoming_.insert(incoming_.end(), piece.begin(), piece.end());
        if ((event.flags & DERECHO_FLAG_LAST) == 0) return;
        loaded_as_of_ = {event.id, event.timestamp_ns};
        try {
            load(std::exchange(incoming_, {}));
        } catch (...) {
            load_error = std::make_exception_ptr(
                StateError("the state of " + name() + " cannot be loaded: " + describe_current_exception()));
        }
        loading = false;
        run_held();
    }

private:
    static constexpr uint64_t kHeldBytesMax = 64 << 20;  // of calls while a state is saved; then it is made at once
    using Request = std::pair<uint32_t, uint64_t>;       // who, which

    void run_held() {
        held_bytes_ = 0;
        for (std::deque<std::pair<derecho_event, Bytes>> held = std::exchange(held_, {}); auto& [late, data] : held) {
            late.data = data.data();
            run(late.version < loaded_as_of_.version ? as_of(late, loaded_as_of_) : late);
        }
    }

    /** Version and time of the last ordered call that a state has. */
    struct Moment {
        uint64_t version = 0;
        uint64_t timestamp_ns = 0;
    };
    static derecho_event as_of(derecho_event query, const Moment& moment) {
        query.version = moment.version;
        query.timestamp_ns = moment.timestamp_ns;
        return query;
    }

    /** The last piece was made, or nobody wants it any more. */
    void saved(const Request& request) {
        if (std::erase(saving_, request) > 0 && saving_.empty()) run_held();
    }

    /** Make what is missing now, so that the service may change. */
    void finish_saving() {
        for (const auto& [node, request] : std::vector(saving_)) engine_.outbox.collect(node, request);
    }

    using State = typename Description<T>::StateValue;
    using Run = void (*)(ServiceHost&, const derecho_event&);

    Bytes save() const {
        if constexpr (std::is_void_v<State>) {
            return service_.save_state();
        } else {
            return Message<State>::encode(service_.save_state());
        }
    }
    void load(Bytes data) {
        if constexpr (std::is_void_v<State>) {
            service_.load_state(std::move(data));
        } else {
            service_.load_state(std::get<0>(Message<State>::decode(data)));
        }
    }

    /** Run the handler of one method; its result's message goes to the caller if he wants it. */
    template <auto Pointer>
    static void run_method(ServiceHost& host, const derecho_event& event) {
        using Signature = detail::Signature<decltype(Pointer)>;
        using Result = typename Signature::Result;
        auto arguments = Signature::Arguments::decode(data_of(event));
        auto invoke = [&host](auto&... each) -> Result { return (host.service_.*Pointer)(each...); };
        const bool wants_answer = (event.flags & DERECHO_FLAG_REPLY) != 0;
        const auto answer = [&](const Bytes& message) {
            host.engine_.outbox.answer(event.node, event.id, DERECHO_OK, message);
        };
        if constexpr (std::is_void_v<Result>) {
            std::apply(invoke, arguments);
            if (wants_answer) answer({});
        } else {
            const Result result = std::apply(invoke, arguments);
            if (wants_answer) answer(ResultMessage<Result>::encode(result));
        }
    }

    static constexpr std::array<Run, Description<T>::kCount> kMethods = [] {
        std::array<Run, Description<T>::kCount> table{};
        size_t i = 0;
        Description<T>::for_each([&table, &i ]<auto Pointer>() { table[i++] = &run_method<Pointer>; });
        return table;
    }();

    void run(const derecho_event& event) {
        if (event.kind == DERECHO_EVENT_MESSAGE) return;  // of a member that treats this shard as raw
        const bool wants_answer = (event.flags & DERECHO_FLAG_REPLY) != 0;
        const Running running(event);
        try {
            if (event.method < kMethods.size()) return kMethods[event.method](*this, event);
            if (wants_answer) engine_.outbox.answer(event.node, event.id, DERECHO_UNKNOWN_METHOD, {});
        } catch (...) {
            if (!wants_answer) return engine_.failed(name(), std::current_exception());
            const std::string said = describe_current_exception();
            engine_.guarded(name().c_str(),
                            [&] { engine_.outbox.answer(event.node, event.id, DERECHO_REMOTE_ERROR, bytes_of(said)); });
        }
    }

    Engine& engine_;
    T& service_;
    Bytes incoming_;                                    // pieces of state
    std::deque<std::pair<derecho_event, Bytes>> held_;  // what came while the state was under way
    uint64_t held_bytes_ = 0;
    std::vector<Request> saving_;  // in pieces that are still to be made
    Moment saved_as_of_, loaded_as_of_;
};

}  // namespace detail
}  // namespace derecho
