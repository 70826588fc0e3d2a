// What stub DLLs made by `derecho stubs --dll` stand on: handles that may be misused, statuses for exceptions, calls
// whose types only the DLL knows. For generated code; not part of derecho.hpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstring>
#include <exception>
#include <forward_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "../derecho.hpp"

namespace derecho::dll {

/** What the last failed function of this thread had to say. */
inline std::string& last_error() {
    thread_local std::string text;
    return text;
}

/** Copy a text and its NUL, cut to the room there is. @return the bytes of all of it, without the NUL */
inline size_t copy_text(std::string_view text, char* text_out, size_t text_bytes) noexcept {
    if (text_out != nullptr && text_bytes != 0) {
        const size_t shown = std::min(text.size(), text_bytes - 1);
        std::memcpy(text_out, text.data(), shown);
        text_out[shown] = 0;
    }
    return text.size();
}

/** What the last failed function of a handle had to say, whichever thread called it. */
class Said {
public:
    void note(const std::string& text) {
        const std::lock_guard lock(mutex_);
        text_ = text;
    }
    size_t copy(char* text_out, size_t text_bytes) const {
        const std::lock_guard lock(mutex_);
        return copy_text(text_, text_out, text_bytes);
    }

private:
    mutable std::mutex mutex_;
    std::string text_;
};

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

/** ... of a handle, which keeps the detail as well: threads that are not the system's cannot ask last_error(). */
template <class Table, class Function>
derecho_status guarded_of(Table& table, const void* handle, Function function) noexcept {
    const derecho_status status = guarded(std::move(function));
    if (status == DERECHO_OK) return status;
    try {
        table.find(handle)->said.note(last_error());
    } catch (...) {  // a handle that is none has nothing to keep it
    }
    return status;
}

/** What the last failed function of a handle had to say; for a handle that is none, that. @return as copy_text() */
template <class Table>
size_t error_of(Table& table, const void* handle, char* text_out, size_t text_bytes) noexcept {
    try {
        return table.find(handle)->said.copy(text_out, text_bytes);
    } catch (const std::exception& error) {
        return copy_text(error.what(), text_out, text_bytes);
    }
}

/**
 * Objects by handle: the place in a table, and how often the place was used before, in the guise of a pointer. So a
 * closed handle is an error even when its place has a new object.
 */
template <class T>
class Handles {
public:
    template <class Opaque>
    void add(std::shared_ptr<T> object, Opaque** handle_out) {
        if (handle_out == nullptr) throw InvalidArgument("a null pointer where a handle is to go");
        const std::lock_guard lock(mutex_);
        if (free_.empty()) {
            free_.push_back(static_cast<uint32_t>(places_.size()));
            places_.emplace_back();
        }
        const uint32_t index = free_.back();
        free_.pop_back();
        places_[index].object = std::move(object);
        *handle_out = reinterpret_cast<Opaque*>(uint64_t{places_[index].uses} << 32 | (index + 1));
    }
    std::shared_ptr<T> find(const void* handle) {
        const std::lock_guard lock(mutex_);
        return place_of(handle).object;
    }
    std::shared_ptr<T> remove(const void* handle) {
        const std::lock_guard lock(mutex_);
        Place& place = place_of(handle);
        std::shared_ptr<T> object = std::move(place.object);
        place.object.reset();
        place.uses++;
        free_.push_back(static_cast<uint32_t>(&place - places_.data()));
        return object;
    }

private:
    struct Place {
        std::shared_ptr<T> object;
        uint32_t uses = 0;
    };

    Place& place_of(const void* handle) {
        const auto number = reinterpret_cast<uint64_t>(handle);
        const uint64_t index = (number & UINT32_MAX) - 1;
        if (index >= places_.size() || number >> 32 > places_[index].uses) {
            throw BadHandle("not a handle that this library gave");
        }
        Place& place = places_[index];
        if (number >> 32 < place.uses || !place.object) throw Closed("the handle was closed");
        return place;
    }

    std::mutex mutex_;
    std::vector<Place> places_;
    std::vector<uint32_t> free_;
};

/** Where a result is to go. */
inline void check_out(const void* out) {
    if (out == nullptr) throw InvalidArgument("a null pointer where a result is to go");
}

/** What tells types apart at run time: each has an address of its own. */
template <class T>
inline constexpr char kTypeTag = 0;

/** A call under way, of whatever result. */
class Call {
public:
    explicit Call(const void* result_type) : result_type_(result_type) {}
    virtual ~Call() = default;

    /** Wait for the first answer, or for all. @throws why there is none */
    virtual void wait(std::chrono::nanoseconds timeout, bool all) = 0;

    /** Whether that wait would end at once. */
    virtual bool done(bool all) const = 0;

    Said said;

    /** The first answer, which lives as long as the call. @throws why there is none */
    template <class T>
    const detail::Kept<T>& result() const {
        if (result_type_ != &kTypeTag<T>) throw InvalidArgument("the call is of a method with another result");
        const void* value = peek();
        if (value == nullptr) throw Timeout("no result yet: wait for the call first");
        return *static_cast<const detail::Kept<T>*>(value);
    }

    /** Bytes that live as long as the call. */
    BytesView keep(Bytes bytes) {
        const std::lock_guard lock(mutex_);
        return kept_.emplace_front(std::move(bytes));
    }

protected:
    virtual const void* peek() const = 0;

private:
    const void* result_type_;
    std::mutex mutex_;
    std::forward_list<Bytes> kept_;
};

/** A call whose answers are a Reply<T> or Replies<T>. */
template <class T, template <class> class Answers>
class CallOf : public Call {
public:
    explicit CallOf(Answers<T> answers) : Call(&kTypeTag<T>), answers_(std::move(answers)) {}

    void wait(std::chrono::nanoseconds timeout, bool all) override {
        if constexpr (std::same_as<Answers<T>, Replies<T>>) {
            if (all) answers_.all(timeout);
        }
        answers_.wait(timeout);
        answers_.peek();  // for why there is none
    }

    bool done(bool all) const override {
        if constexpr (std::same_as<Answers<T>, Replies<T>>) {
            if (all) return answers_.complete();
        }
        return answers_.done();
    }

protected:
    const void* peek() const override { return answers_.peek(); }

private:
    Answers<T> answers_;
};

/** Keep a call under a new handle. */
template <class Opaque, class T, template <class> class Answers>
void keep_call(Handles<Call>& calls, Answers<T> answers, Opaque** call_out) {
    calls.add(std::make_shared<CallOf<T, Answers>>(std::move(answers)), call_out);
}

inline std::chrono::nanoseconds from_ms(int64_t timeout_ms) {
    constexpr int64_t kYear = int64_t{366} * 86400 * 1000;
    return std::chrono::milliseconds(timeout_ms < 0 || timeout_ms > kYear ? kYear : timeout_ms);
}

/** How a member is opened. */
struct Opening {
    Config config;
    std::chrono::milliseconds timeout{10'000};
};

inline std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r");
    return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

/** "key=value" pairs, each on a line or ended by ';'; "config" names a TOML file, "timeout_ms" is of all waits. */
inline Opening parse_config(const char* pairs) {
    Opening opening;
    Config& config = opening.config;
    std::string_view text = pairs != nullptr ? pairs : "";
    while (!text.empty()) {
        const size_t end = std::min(text.find_first_of(";\n"), text.size());
        const std::string_view pair = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        if (equals == std::string_view::npos) {
            throw InvalidArgument("option \"" + std::string(pair) + "\" is not of the form key=value");
        }
        const std::string key(trimmed(pair.substr(0, equals))), value(trimmed(pair.substr(equals + 1)));
        if (key == "config") {
            config.load(value);
        } else if (key == "timeout_ms") {
            uint32_t ms = 0;
            const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
            if (error != std::errc() || rest != value.data() + value.size())
                throw InvalidArgument("timeout_ms = " + value + ": milliseconds, as a whole number");
            opening.timeout = std::chrono::milliseconds(ms);
        } else {
            config.set(key, value);
        }
    }
    return opening;
}

/** Tell a view's id, and as many of these nodes of it as there is room for. @return how many they are */
inline size_t tell(const View& view, const std::vector<uint32_t>& nodes, uint64_t* id_out, uint32_t* nodes_out,
                   size_t room) {
    if (id_out != nullptr) *id_out = view.id;
    for (size_t i = 0; nodes_out != nullptr && i < std::min(room, nodes.size()); i++) nodes_out[i] = nodes[i];
    return nodes.size();
}

/** A member with a service of its own: what an open handle of a stub DLL is. */
template <class Service>
struct Open {
    explicit Open(std::unique_ptr<Service> replica, Opening opening)
        : service(std::move(replica)),
          group(Group::join(opening.config, opening.timeout, *service)),
          calls(group.template replicated<Service>()) {}

    size_t members(uint64_t* id_out, uint32_t* nodes_out, size_t room) const {
        const View view = group.view();
        return tell(view, view.nodes(), id_out, nodes_out, room);
    }
    size_t voters(uint64_t* id_out, uint32_t* nodes_out, size_t room) const {
        const View view = group.view();
        return tell(view, view.voters(), id_out, nodes_out, room);
    }

    Said said;
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
