// What stub DLLs made by `derecho stubs --dll` stand on: handles that may be misused, statuses for exceptions, calls
// whose types only the DLL knows. For generated code; not part of derecho.hpp.
#pragma once

#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>

#include "../derecho.hpp"

namespace derecho::dll {

/** What the last failed function of this thread had to say. */
inline std::string& last_error() {
    thread_local std::string text;
    return text;
}

/** Run what may throw; @return its status, with the detail in last_error(). */
template <class Function>
derecho_status guarded(Function function) noexcept {
    try {
        function();
        return DERECHO_OK;
    } catch (const Error& error) {
        last_error() = error.what();
        return error.status();
    } catch (const std::exception& error) {
        last_error() = error.what();
        return DERECHO_INTERNAL;
    } catch (...) {
        last_error() = "an exception that is not a std::exception";
        return DERECHO_INTERNAL;
    }
}

/** Objects by handle: numbers in the guise of pointers, never used twice, so that a closed one is an error. */
template <class T>
class Handles {
public:
    template <class Opaque>
    void add(std::shared_ptr<T> object, Opaque** handle_out) {
        const std::unique_lock lock(mutex_);
        objects_.emplace(++last_, std::move(object));
        *handle_out = reinterpret_cast<Opaque*>(last_);
    }
    std::shared_ptr<T> find(const void* handle) const {
        const std::shared_lock lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
        if (found == objects_.end()) throw_absent(handle);
        return found->second;
    }
    std::shared_ptr<T> remove(const void* handle) {
        const std::unique_lock lock(mutex_);
        const auto found = objects_.find(reinterpret_cast<uintptr_t>(handle));
        if (found == objects_.end()) throw_absent(handle);
        std::shared_ptr<T> object = std::move(found->second);
        objects_.erase(found);
        return object;
    }

private:
    [[noreturn]] void throw_absent(const void* handle) const {
        const auto number = reinterpret_cast<uintptr_t>(handle);
        if (number != 0 && number <= last_) throw Closed("the handle was closed");
        throw BadHandle("not a handle that this library gave");
    }

    mutable std::shared_mutex mutex_;
    std::unordered_map<uintptr_t, std::shared_ptr<T>> objects_;
    uintptr_t last_ = 0;
};

/** A call under way, of whatever result. */
class Call {
public:
    virtual ~Call() = default;
    /** Wait for the first answer, or for all. @throws why there is none */
    virtual void wait(std::chrono::nanoseconds timeout, bool all) = 0;

    /** Bytes that live as long as the call. */
    BytesView keep(Bytes bytes) {
        const std::lock_guard lock(mutex_);
        return kept_.emplace_back(std::move(bytes));
    }

private:
    std::mutex mutex_;
    std::deque<Bytes> kept_;
};

/** A call of a method whose result is a T. The result is kept, so that pointers into it live as long as the call. */
template <class T>
class CallOf : public Call {
public:
    explicit CallOf(std::variant<Reply<T>, Replies<T>> answers) : answers_(std::move(answers)) {}

    void wait(std::chrono::nanoseconds timeout, bool all) override {
        if (all && std::holds_alternative<Replies<T>>(answers_)) std::get<Replies<T>>(answers_).all(timeout);
        take(timeout);
    }
    /** The result; waits at most a moment for it, so a caller waits first. */
    const detail::Kept<T>& result() {
        const std::lock_guard lock(mutex_);
        if (!result_) throw Timeout("no result yet: wait for the call first");
        return *result_;
    }

private:
    void take(std::chrono::nanoseconds timeout) {
        std::visit(
            [&](const auto& answers) {
                if constexpr (std::is_void_v<T>) {
                    answers.get(timeout);
                    const std::lock_guard lock(mutex_);
                    result_.emplace();
                } else {
                    T value = answers.get(timeout);
                    const std::lock_guard lock(mutex_);
                    if (!result_) result_.emplace(std::move(value));
                }
            },
            answers_);
    }

    std::variant<Reply<T>, Replies<T>> answers_;
    std::mutex mutex_;
    std::optional<detail::Kept<T>> result_;
};

/** Keep a call under a new handle. */
template <class Opaque, class T>
void keep_call(Handles<Call>& calls, Replies<T> answers, Opaque** call_out) {
    calls.add(std::make_shared<CallOf<T>>(std::move(answers)), call_out);
}
template <class Opaque, class T>
void keep_call(Handles<Call>& calls, Reply<T> answers, Opaque** call_out) {
    calls.add(std::make_shared<CallOf<T>>(std::move(answers)), call_out);
}

/** The call's result, if it is of type T. */
template <class T>
const detail::Kept<T>& result_of(Call& call) {
    auto* typed = dynamic_cast<CallOf<T>*>(&call);
    if (typed == nullptr) throw InvalidArgument("the call is of a method with another result");
    return typed->result();
}

inline std::chrono::nanoseconds from_ms(int64_t timeout_ms) {
    constexpr int64_t kYear = int64_t{366} * 86400 * 1000;
    return std::chrono::milliseconds(timeout_ms < 0 || timeout_ms > kYear ? kYear : timeout_ms);
}

/** "key=value" pairs, each on a line or ended by ';'; "config" names a TOML file. */
inline Config parse_config(const char* pairs) {
    Config config;
    std::string_view text = pairs != nullptr ? pairs : "";
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_of(";\n"), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        if (equals == std::string_view::npos) {
            throw InvalidArgument("option \"" + std::string(pair) + "\" is not of the form key=value");
        }
        const std::string key(pair.substr(0, equals)), value(pair.substr(equals + 1));
        if (key == "config") {
            config.load(value);
        } else {
            config.set(key, value);
        }
    }
    return config;
}

/** A member with a service of its own: what an open handle of a stub DLL is. */
template <class Service>
struct Open {
    explicit Open(std::unique_ptr<Service> replica, Config config)
        : service(std::move(replica)),
          group(Group::join(config, *service)),
          calls(group.template replicated<Service>()) {}

    std::unique_ptr<Service> service;  // outlives the group
    Group group;
    Replicated<Service> calls;
};

/** An argument given as pointer and count. */
template <class T>
std::span<const T> span_of(const void* data, size_t count) {
    if (data == nullptr && count != 0) throw InvalidArgument("a null pointer with a size that is not 0");
    return {static_cast<const T*>(data), count};
}
inline std::string_view text_of(const void* data, size_t size) {
    const auto bytes = span_of<char>(data, size);
    return {bytes.data(), bytes.size()};
}

/** ... as a container of its own. */
template <class Owner, class T>
Owner copied(std::span<const T> values) {
    return Owner(values.begin(), values.end());
}

/** A value of any type given as a message with one field. */
template <class T>
T decode_value(const void* data, size_t size) {
    return std::get<0>(Message<T>::decode(span_of<std::byte>(data, size)));
}

}  // namespace derecho::dll
