// For tests of derecho.hpp: a service, and members of one group in this process, over real sockets and shared memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <derecho.hpp>

namespace derecho::testing {

/** A dictionary, with ways to fail. */
struct Cache {
    std::map<std::string, Bytes> items;
    std::function<void()> during_put;  // what a test wants to happen in the handler

    int64_t put(std::string_view key, BytesView value) {
        if (during_put) during_put();
        if (key.empty()) throw std::invalid_argument("a key has at least one byte");
        items[std::string(key)].assign(value.begin(), value.end());
        return static_cast<int64_t>(items.size());
    }
    void clear() { items.clear(); }
    std::optional<Bytes> get(std::string_view key) const {
        const auto found = items.find(std::string(key));
        return found == items.end() ? std::nullopt : std::optional(found->second);
    }
    void refuse(const std::string& text) const { throw std::logic_error(text); }

    std::map<std::string, Bytes> save_state() const { return items; }
    void load_state(std::map<std::string, Bytes> state) { items = std::move(state); }

    static constexpr auto derecho_service = service(
        "Cache", state<std::map<std::string, Bytes>>(), ordered<&Cache::put>("put", "key", "value"),
        ordered<&Cache::clear>("clear"), query<&Cache::get>("get", "key"), query<&Cache::refuse>("refuse", "text"));
};

/** A member with a Cache. */
struct CacheMember {
    /** Join the group of `contact`, or found one. */
    explicit CacheMember(uint32_t node, const CacheMember* contact = nullptr) {
        Config config;
        config.node(node).listen("127.0.0.1:0");
        if (contact != nullptr) config.contacts(contact->address());
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
