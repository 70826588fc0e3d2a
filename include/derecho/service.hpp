// Describing a class as a service, without macros: which methods travel, in which order, under which names.
//
//   struct Cache {
//       int64_t put(std::string_view key, derecho::BytesView value);
//       std::optional<derecho::Bytes> get(std::string_view key) const;
//
//       static constexpr auto derecho_service = derecho::service("Cache",
//           derecho::ordered<&Cache::put>("put", "key", "value"),
//           derecho::query<&Cache::get>("get", "key"));
//   };
//
// The description gives the same schema, and the same hash, as the annotated Python class of these names and types.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "codec.hpp"
#include "sha256.hpp"

namespace derecho {

namespace detail {

/** What a pointer to a member function says of its function. */
template <class Pointer>
struct Signature;
template <class Class, class Returned, class... Parameters>
struct SignatureOf {
    using Owner = Class;
    using Result = Returned;
    using Arguments = Message<std::remove_cvref_t<Parameters>...>;
    using Tuple = std::tuple<std::remove_cvref_t<Parameters>...>;
    static constexpr size_t kCount = sizeof...(Parameters);

    static constexpr void describe_parameters(auto& text, const auto& names) {
        describe_fields<std::remove_cvref_t<Parameters>...>(text, names);
    }
    template <class... Given>
    static constexpr bool kTakes = [] {
        if constexpr (sizeof...(Given) != kCount) {
            return false;
        } else {
            return (std::convertible_to<Given, typename Wire<std::remove_cvref_t<Parameters>>::Input> && ...);
        }
    }();
};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...)> : SignatureOf<C, R, P...> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) const> : SignatureOf<C, R, P...> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) noexcept> : SignatureOf<C, R, P...> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) const noexcept> : SignatureOf<C, R, P...> {};

/** The result of a method as a message: one field, or none. */
template <class Result>
struct ResultMessage : Message<Result> {
    static_assert(Owning<Result>,
                  "a method returns values, not views, nor what has views in it: nothing would keep "
                  "their bytes alive");
};
template <>
struct ResultMessage<void> : Message<> {};

/** A value of a type, to pass one to a template. */
template <auto Value>
struct Constant {};

}  // namespace detail

/** One method of a service. `Ordered`: every member runs it; otherwise one does. */
template <auto Pointer, bool Ordered>
struct MethodOf {
    using Signature = detail::Signature<decltype(Pointer)>;
    static constexpr bool kOrdered = Ordered;

    std::string_view name;
    std::array<std::string_view, Signature::kCount> parameters;

    constexpr void describe(auto& text) const {
        text.put(kOrdered ? "ordered " : "query ");
        text.put(name);
        text.put("(");
        Signature::describe_parameters(text, parameters);
        text.put(")->");
        if constexpr (std::is_void_v<typename Signature::Result>) {
            text.put("void");
        } else {
            Wire<typename Signature::Result>::describe(text);
        }
        text.put("\n");
    }
};

/** The type of a service's state, when all languages understand it: what save_state() returns and load_state() takes.
 */
template <class T>
struct State {};
template <class T>
constexpr State<T> state() {
    return {};
}

/** A method that every member runs, in the same order; its name and its parameters' names, as in the schema. */
template <auto Pointer, std::convertible_to<std::string_view>... Names>
constexpr MethodOf<Pointer, true> ordered(std::string_view name, Names... parameters) {
    static_assert(sizeof...(Names) == detail::Signature<decltype(Pointer)>::kCount, "one name for each parameter");
    return {name, {std::string_view(parameters)...}};
}

/** A method that one member runs, out of order with ordered ones. */
template <auto Pointer, std::convertible_to<std::string_view>... Names>
constexpr MethodOf<Pointer, false> query(std::string_view name, Names... parameters) {
    static_assert(sizeof...(Names) == detail::Signature<decltype(Pointer)>::kCount, "one name for each parameter");
    return {name, {std::string_view(parameters)...}};
}

template <class StateType, class... Methods>
struct ServiceOf;

/** What a class says of itself as a service; `Pointers` are its methods, by number. */
template <class StateType, auto... Pointers, bool... Ordered>
struct ServiceOf<StateType, MethodOf<Pointers, Ordered>...> {
    using StateValue = StateType;  // void: bytes that only the service understands
    static constexpr size_t kCount = sizeof...(Pointers);

    std::string_view name;
    std::tuple<MethodOf<Pointers, Ordered>...> methods;

    /** The number of a method; kCount when it is not one of them. */
    template <auto Pointer>
    static constexpr size_t find() {
        size_t found = kCount;
        size_t i = 0;
        (((std::same_as<detail::Constant<Pointer>, detail::Constant<Pointers>> ? found = i : found), i++), ...);
        return found;
    }
    template <auto Pointer>
    static constexpr bool is_ordered() {
        return ((std::same_as<detail::Constant<Pointer>, detail::Constant<Pointers>> && Ordered) || ...);
    }

    /** Call `visit.operator()<Pointer>()` for each method, by number. */
    static constexpr void for_each(auto visit) { (visit.template operator()<Pointers>(), ...); }

    /** Put the canonical text (docs/layout.md). */
    constexpr void describe(auto& text) const {
        text.put("service ");
        text.put(name);
        text.put("\n");
        std::apply([&text](const auto&... each) { (each.describe(text), ...); }, methods);
        if constexpr (!std::is_void_v<StateType>) {
            text.put("state ");
            Wire<StateType>::describe(text);
            text.put("\n");
        }
    }
};

template <auto... Pointers, bool... Ordered>
constexpr ServiceOf<void, MethodOf<Pointers, Ordered>...> service(std::string_view name,
                                                                  MethodOf<Pointers, Ordered>... methods) {
    return {name, {methods...}};
}
template <class StateType, auto... Pointers, bool... Ordered>
constexpr ServiceOf<StateType, MethodOf<Pointers, Ordered>...> service(std::string_view name, State<StateType>,
                                                                       MethodOf<Pointers, Ordered>... methods) {
    return {name, {methods...}};
}

/** A class that describes itself with `derecho_service`, as the head of derecho/service.hpp shows. */
template <class T>
concept Service = requires {
    { T::derecho_service.name } -> std::convertible_to<std::string_view>;
};

/** The description's type. */
template <Service T>
using Description = std::remove_const_t<decltype(T::derecho_service)>;

/** `Pointer` is one of the methods that service T lists in `derecho_service`. */
template <class T, auto Pointer>
concept MethodOfService = Service<T> &&(Description<T>::template find<Pointer>() < Description<T>::kCount);

/** ... with derecho::ordered: calls of it go to every member. */
template <class T, auto Pointer>
concept OrderedMethod = MethodOfService<T, Pointer> && Description<T>::template is_ordered<Pointer>();

/** ... with derecho::query: calls of it go to one member. */
template <class T, auto Pointer>
concept QueryMethod = MethodOfService<T, Pointer> && !Description<T>::template is_ordered<Pointer>();

/** What is given fits the parameters of the method, in number and type. */
template <auto Pointer, class... Given>
concept ArgumentsOf = detail::Signature<decltype(Pointer)>::template kTakes<Given...>;

/** The canonical text of a service, which all languages hash. */
template <Service T>
std::string schema_text() {
    struct {
        std::string text;
        void put(std::string_view more) { text += more; }
        void put_number(size_t number) { text += std::to_string(number); }
    } built;
    T::derecho_service.describe(built);
    return built.text;
}

/** The hash that members compare before they let each other in. */
template <Service T>
constexpr uint64_t schema_hash() {
    detail::Sha256 hash;
    T::derecho_service.describe(hash);
    const uint64_t head = hash.head();
    return head != 0 ? head : 1;
}

}  // namespace derecho
