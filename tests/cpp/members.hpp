// For tests of derecho.hpp: a service, and members of one group in this process, over real sockets and shared memory.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <derecho.hpp>

namespace derecho::testing {

/** A dictionary, with ways to fail. Tests look at it from their own thread while handlers run on another. */
class Cache {
public:
    using Items = Map<std::string, Bytes>;

    int64_t put(std::string_view key, BytesView value) {
        if (const std::function<void()> meanwhile = locked(during_put_)) meanwhile();
        if (key.empty()) throw std::invalid_argument("a key has at least one byte");
        const std::lock_guard lock(mutex_);
        items_[std::string(key)].assign(value.begin(), value.end());
        return static_cast<int64_t>(items_.size());
    }
    void clear() {
        const std::lock_guard lock(mutex_);
        items_.clear();
    }
    std::optional<Bytes> get(std::string_view key) const {
        const Items all = items();
        const auto found = all.find(std::string(key));
        return found == all.end() ? std::nullopt : std::optional(found->second);
    }
    void refuse(const std::string& text) const { throw std::logic_error(text); }

    Items save_state() const { return items(); }
    void load_state(Items state) {
        const std::lock_guard lock(mutex_);
        items_ = std::move(state);
    }

    Items items() const { return locked(items_); }

    /** What a test wants to happen in the handler of put. */
    void set_during_put(std::function<void()> function) {
        const std::lock_guard lock(mutex_);
        during_put_ = std::move(function);
    }

    static constexpr auto derecho_service = service(
        "Cache", state<Map<std::string, Bytes>>(), ordered<&Cache::put>("put", "key", "value"),
        ordered<&Cache::clear>("clear"), query<&Cache::get>("get", "key"), query<&Cache::refuse>("refuse", "text"));

private:
    template <class T>
    T locked(const T& value) const {
        const std::lock_guard lock(mutex_);
        return value;
    }
    mutable std::mutex mutex_;  // over what follows
    Items items_;
    std::function<void()> during_put_;
};

/** A member with a Cache. */
struct CacheMember {
    /** Join the group of `contact`, or found one. */
    explicit CacheMember(
        uint32_t node, const CacheMember* contact = nullptr,
        const std::function<void(Config&)>& options = [](Config&) {}) {
        Config config;
        options(config);
        config.node(node).listen("127.0.0.1:0");
        contact != nullptr ? config.contacts(contact->address()) : config.found();
        group.emplace(Group::join(config, service));
        cache.emplace(group->replicated<Cache>());
    }
    std::string address() const {
        const View view = group->view();
        return view.members[view.self_rank].address;
    }

    Cache service;  // outlives the group
    std::optional<Group> group;
    std::optional<Replicated<Cache>> cache;
};

}  // namespace derecho::testing
