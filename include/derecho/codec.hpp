// C++ types as they lie in a message: docs/layout.md. Wire<T> is the whole knowledge of one type.
//
//   bool, fixed-width integers, float, double        themselves
//   std::string, std::string_view                    str; the view is read in place
//   derecho::Bytes, derecho::BytesView               bytes; the view is read in place
//   std::vector<T>                                   list<T>
//   std::span<const T> of numbers                    list<T>, read in place
//   std::array<T, N>, std::optional<T>               array<T,N>, optional<T>
//   derecho::Map<K, V>                               map<K,V>, in the order of insertion
//   a struct that lists its fields (derecho::fields) Name{f:T,...}
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "error.hpp"
#include "map.hpp"

namespace derecho {

static_assert(std::endian::native == std::endian::little, "messages are read and written in place");

using Bytes = std::vector<std::byte>;
using BytesView = std::span<const std::byte>;

/**
 * How a type travels. Specialised below. `Input` is what an argument of it may be given as; `describe` puts its name,
 * as in a schema's text; `measure` takes the end of a message to where the value's parts would move it.
 */
template <class T>
struct Wire;

/** A type that can travel in a message: the head of derecho/codec.hpp lists them. */
template <class T>
concept Travels = requires {
    Wire<T>::kSize;
};

/** A type whose values, once read, do not point into the message. */
template <class T>
concept Owning = Travels<T> && Wire<T>::kOwning;

constexpr size_t align_up(size_t position, size_t alignment) { return (position + alignment - 1) & ~(alignment - 1); }

/** Puts a message into memory that is large enough: `Wire::measure` said how large. */
struct Writer {
    std::byte* base;
    size_t cursor;  // where the next part of the tail goes

    /** Make room in the tail, zero but for `raw` bytes, which the caller fills; store the reference to it. */
    std::byte* reference(std::byte* fixed, size_t count, size_t size, size_t alignment, bool raw) {
        const size_t offset = align_up(cursor, alignment);
        std::memset(base + cursor, 0, offset - cursor);
        const uint32_t words[2] = {static_cast<uint32_t>(offset), static_cast<uint32_t>(count)};
        std::memcpy(fixed, words, sizeof words);
        if (!raw) std::memset(base + offset, 0, count * size);
        cursor = offset + count * size;
        return base + offset;
    }
};

/** Takes a message of a peer apart, believing nothing. */
struct Reader {
    const std::byte* base;
    size_t size;
    size_t cursor;  // where the next part of the tail must be

    /** Follow the reference at `fixed`; its count goes to `count`. */
    const std::byte* reference(const std::byte* fixed, size_t element_size, size_t alignment, size_t& count) {
        uint32_t words[2];
        std::memcpy(words, fixed, sizeof words);
        cursor = align_up(cursor, alignment);
        if (words[0] != cursor) throw DecodeError("a reference does not point at its place");
        if (cursor > size || uint64_t{words[1]} * element_size > size - cursor) {
            throw DecodeError("a part passes the end of the message");
        }
        count = words[1];
        cursor += count * element_size;
        return base + words[0];
    }
};

/** Whether bytes are UTF-8 as the standard has it: shortest forms, no surrogates, at most U+10FFFF. */
inline bool is_utf8(std::string_view text) {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = at + text.size();
    while (at < end) {
        const unsigned lead = *at++;
        if (lead < 0x80) continue;
        const int more = lead >= 0xC2 && lead < 0xE0   ? 1
                         : lead >= 0xE0 && lead < 0xF0 ? 2
                         : lead >= 0xF0 && lead < 0xF5 ? 3
                                                       : 0;
        if (more == 0 || end - at < more) return false;
        const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high) return false;
        for (int i = 1; i < more; i++) {
            if ((at[i] & 0xC0) != 0x80) return false;
        }
        at += more;
    }
    return true;
}

template <class T>
concept Number = std::same_as<T, bool> || std::floating_point<T> ||(std::integral<T> && !std::same_as<T, char>);

template <Number T>
requires(sizeof(T) <= 8) struct Wire<T> {
    using Input = T;
    static constexpr size_t kSize = sizeof(T);
    static constexpr size_t kAlign = sizeof(T);
    static constexpr bool kTail = false;
    static constexpr bool kOwning = true;

    static constexpr void describe(auto& text) {
        if (std::same_as<T, bool>) return text.put("bool");
        text.put(std::floating_point<T> ? "f" : std::is_signed_v<T> ? "i" : "u");
        text.put_number(sizeof(T) * 8);
    }
    static size_t measure(size_t cursor, T) { return cursor; }
    static void write(Writer&, std::byte* fixed, T value) { std::memcpy(fixed, &value, sizeof value); }
    static T read(Reader&, const std::byte* fixed) {
        if constexpr (std::same_as<T, bool>) {
            if (*fixed > std::byte{1}) throw DecodeError("a bool is neither 0 nor 1");
            return *fixed == std::byte{1};
        } else {
            T value;
            std::memcpy(&value, fixed, sizeof value);
            return value;
        }
    }
};

/** What all types have in common that are a reference to elements in the tail. */
struct WireReference {
    static constexpr size_t kSize = 8;
    static constexpr size_t kAlign = 4;
    static constexpr bool kTail = true;
};

/** str and bytes: `View` is how they are given and, unless `Owner` copies them, how they are read. */
template <class Owner, class View>
struct WireBlob : WireReference {
    using Input = View;
    static constexpr bool kOwning = !std::same_as<Owner, View>;
    static size_t measure(size_t cursor, View value) {
        if (value.size() > UINT32_MAX) throw EncodeError("more than 4 GB of bytes or text");
        return cursor + value.size();
    }
    static void write(Writer& writer, std::byte* fixed, View value) {
        std::byte* to = writer.reference(fixed, value.size(), 1, 1, true);
        if (!value.empty()) std::memcpy(to, value.data(), value.size());
    }
};

template <class Owner>
struct WireText : WireBlob<Owner, std::string_view> {
    static constexpr void describe(auto& text) { text.put("str"); }
    static size_t measure(size_t cursor, std::string_view value) {
        if (!is_utf8(value)) throw EncodeError("a text is not UTF-8; for other bytes use derecho::Bytes");
        return WireBlob<Owner, std::string_view>::measure(cursor, value);
    }
    static Owner read(Reader& reader, const std::byte* fixed) {
        size_t count;
        const std::byte* at = reader.reference(fixed, 1, 1, count);
        const std::string_view found(reinterpret_cast<const char*>(at), count);
        if (!is_utf8(found)) throw DecodeError("a text is not UTF-8");
        return Owner(found);
    }
};
template <>
struct Wire<std::string> : WireText<std::string> {};
template <>
struct Wire<std::string_view> : WireText<std::string_view> {};

template <class Owner>
struct WireBytes : WireBlob<Owner, BytesView> {
    static constexpr void describe(auto& text) { text.put("bytes"); }
    static Owner read(Reader& reader, const std::byte* fixed) {
        size_t count;
        const std::byte* at = reader.reference(fixed, 1, 1, count);
        return Owner(at, at + count);
    }
};
template <>
struct Wire<Bytes> : WireBytes<Bytes> {};
template <>
struct Wire<BytesView> : WireBytes<BytesView> {};

/** A list given as `Given`, whose elements are of type T. */
template <class T, class Given>
struct WireList : WireReference {
    using Input = Given;
    static constexpr bool kPlain = Number<T> && !std::same_as<T, bool>;  // elements are the bytes they are in memory

    static constexpr void describe(auto& text) {
        text.put("list<");
        Wire<T>::describe(text);
        text.put(">");
    }
    static size_t measure(size_t cursor, const Given& values) {
        if (values.size() > UINT32_MAX) throw EncodeError("more than 2^32 - 1 elements");
        cursor = align_up(cursor, Wire<T>::kAlign) + values.size() * Wire<T>::kSize;
        if constexpr (Wire<T>::kTail) {
            for (const T& value : values) cursor = Wire<T>::measure(cursor, value);
        }
        return cursor;
    }
    static void write(Writer& writer, std::byte* fixed, const Given& values) {
        std::byte* at = writer.reference(fixed, values.size(), Wire<T>::kSize, Wire<T>::kAlign, kPlain);
        if constexpr (kPlain) {
            if (!values.empty()) std::memcpy(at, values.data(), values.size() * sizeof(T));
        } else {
            for (const T& value : values) {
                Wire<T>::write(writer, at, value);
                at += Wire<T>::kSize;
            }
        }
    }
};

template <Travels T>
struct Wire<std::vector<T>> : WireList<T, std::vector<T>> {
    static constexpr bool kOwning = Wire<T>::kOwning;
    static std::vector<T> read(Reader& reader, const std::byte* fixed) {
        size_t count;
        const std::byte* at = reader.reference(fixed, Wire<T>::kSize, Wire<T>::kAlign, count);
        std::vector<T> values;
        if constexpr (WireList<T, std::vector<T>>::kPlain) {
            values.resize(count);
            if (count != 0) std::memcpy(values.data(), at, count * sizeof(T));
        } else {
            values.reserve(count);
            for (size_t i = 0; i < count; i++) values.push_back(Wire<T>::read(reader, at + i * Wire<T>::kSize));
        }
        return values;
    }
};

/** Numbers in place: the library gives every message at a multiple of 8, so they are aligned. */
template <class T>
requires(Number<T> && !std::same_as<T, bool>) struct Wire<std::span<const T>> : WireList<T, std::span<const T>> {
    static constexpr bool kOwning = false;
    static std::span<const T> read(Reader& reader, const std::byte* fixed) {
        size_t count;
        const std::byte* at = reader.reference(fixed, sizeof(T), sizeof(T), count);
        return {reinterpret_cast<const T*>(at), count};
    }
};

template <Travels T, size_t N>
requires(N >= 1 && N <= 1u << 20) struct Wire<std::array<T, N>> {
    using Input = std::array<T, N>;
    static constexpr size_t kSize = Wire<T>::kSize * N;
    static constexpr size_t kAlign = Wire<T>::kAlign;
    static constexpr bool kTail = Wire<T>::kTail;
    static constexpr bool kOwning = Wire<T>::kOwning;

    static constexpr void describe(auto& text) {
        text.put("array<");
        Wire<T>::describe(text);
        text.put(",");
        text.put_number(N);
        text.put(">");
    }
    static size_t measure(size_t cursor, const Input& values) {
        if constexpr (kTail) {
            for (const T& value : values) cursor = Wire<T>::measure(cursor, value);
        }
        return cursor;
    }
    static void write(Writer& writer, std::byte* fixed, const Input& values) {
        for (size_t i = 0; i < N; i++) Wire<T>::write(writer, fixed + i * Wire<T>::kSize, values[i]);
    }
    static Input read(Reader& reader, const std::byte* fixed) {
        Input values;
        for (size_t i = 0; i < N; i++) values[i] = Wire<T>::read(reader, fixed + i * Wire<T>::kSize);
        return values;
    }
};

template <Travels T>
struct Wire<std::optional<T>> {
    using Input = std::optional<T>;
    static constexpr size_t kAlign = Wire<T>::kAlign;
    static constexpr size_t kSize = align_up(kAlign + Wire<T>::kSize, kAlign);
    static constexpr bool kTail = Wire<T>::kTail;
    static constexpr bool kOwning = Wire<T>::kOwning;

    static constexpr void describe(auto& text) {
        text.put("optional<");
        Wire<T>::describe(text);
        text.put(">");
    }
    static size_t measure(size_t cursor, const Input& value) {
        return value ? Wire<T>::measure(cursor, *value) : cursor;
    }
    static void write(Writer& writer, std::byte* fixed, const Input& value) {
        if (!value) return;  // all zero already
        *fixed = std::byte{1};
        Wire<T>::write(writer, fixed + kAlign, *value);
    }
    static Input read(Reader& reader, const std::byte* fixed) {
        if (*fixed > std::byte{1}) throw DecodeError("a presence byte is neither 0 nor 1");
        if (*fixed == std::byte{0}) return std::nullopt;
        return Wire<T>::read(reader, fixed + kAlign);
    }
};

/** Values laid out one behind the other, as C lays out a struct: the fixed part of a message, or a struct in it. */
template <Travels... Ts>
struct Layout {
    static constexpr size_t kCount = sizeof...(Ts);
    static constexpr size_t kAlign = std::max({size_t{1}, Wire<Ts>::kAlign...});
    static constexpr bool kTail = (Wire<Ts>::kTail || ...);
    static constexpr bool kOwning = (Wire<Ts>::kOwning && ...);
    static constexpr std::array<size_t, kCount + 1> kOffsets = [] {  // the last is the size
        constexpr std::array<size_t, kCount + 1> aligns{Wire<Ts>::kAlign..., kAlign};
        constexpr std::array<size_t, kCount + 1> sizes{Wire<Ts>::kSize..., 0};
        std::array<size_t, kCount + 1> offsets{};
        size_t position = 0;
        for (size_t i = 0; i <= kCount; i++) {
            offsets[i] = position = align_up(position, aligns[i]);
            position += sizes[i];
        }
        return offsets;
    }();
    static constexpr size_t kSize = kOffsets[kCount];

    static size_t measure(size_t cursor, const typename Wire<Ts>::Input&... values) {
        ((cursor = Wire<Ts>::measure(cursor, values)), ...);
        return cursor;
    }
    static void write([[maybe_unused]] Writer& writer, [[maybe_unused]] std::byte* fixed,
                      const typename Wire<Ts>::Input&... values) {
        [[maybe_unused]] size_t i = 0;
        (Wire<Ts>::write(writer, fixed + kOffsets[i++], values), ...);
    }
    static std::tuple<Ts...> read(Reader& reader, const std::byte* fixed) {
        return [&]<size_t... I>(std::index_sequence<I...>) {
            return std::tuple<Ts...>{Wire<Ts>::read(reader, fixed + kOffsets[I])...};  // braces: from left to right
        }
        (std::index_sequence_for<Ts...>{});
    }
};

/** A whole message of these values. */
template <Travels... Ts>
struct Message {
    using Fixed = Layout<Ts...>;

    /** @throws EncodeError */
    static size_t size(const typename Wire<Ts>::Input&... values) {
        const size_t found = Fixed::measure(Fixed::kSize, values...);
        if (found > UINT32_MAX) throw EncodeError("a message of more than 4 GB: references could not tell its places");
        return found;
    }

    /** Write the message to memory of size() bytes. */
    static void write(std::byte* to, const typename Wire<Ts>::Input&... values) {
        std::memset(to, 0, Fixed::kSize);
        Writer writer{to, Fixed::kSize};
        Fixed::write(writer, to, values...);
    }
    static Bytes encode(const typename Wire<Ts>::Input&... values) {
        Bytes message(size(values...));
        if (message.size() < Fixed::kSize) __builtin_unreachable();  // gcc cannot see it, and warns of the memset
        write(message.data(), values...);
        return message;
    }

    /** Read a message; views in what is returned point into it. @throws DecodeError */
    static std::tuple<Ts...> decode(BytesView message) {
        if (message.size() < Fixed::kSize) throw DecodeError("the message is shorter than its fixed part");
        Reader reader{message.data(), message.size(), Fixed::kSize};
        std::tuple<Ts...> values = Fixed::read(reader, message.data());
        if (reader.cursor != message.size()) throw DecodeError("the message is longer than its values");
        return values;
    }
};

template <class K>
concept Key = Number<K> || std::same_as<K, std::string> || std::same_as<K, Bytes>;

template <Key K, Travels V>
struct Wire<Map<K, V>> : WireReference {
    using Input = Map<K, V>;
    using Pair = Layout<K, V>;
    static constexpr bool kOwning = Pair::kOwning;

    static constexpr void describe(auto& text) {
        text.put("map<");
        Wire<K>::describe(text);
        text.put(",");
        Wire<V>::describe(text);
        text.put(">");
    }
    static size_t measure(size_t cursor, const Input& values) {
        cursor = align_up(cursor, Pair::kAlign) + values.size() * Pair::kSize;
        for (const auto& [key, value] : values) cursor = Pair::measure(cursor, key, value);
        return cursor;
    }
    static void write(Writer& writer, std::byte* fixed, const Input& values) {
        std::byte* at = writer.reference(fixed, values.size(), Pair::kSize, Pair::kAlign, false);
        for (const auto& [key, value] : values) {
            Pair::write(writer, at, key, value);
            at += Pair::kSize;
        }
    }
    static Input read(Reader& reader, const std::byte* fixed) {
        size_t count;
        const std::byte* at = reader.reference(fixed, Pair::kSize, Pair::kAlign, count);
        Input values;
        for (size_t i = 0; i < count; i++) {
            auto [key, value] = Pair::read(reader, at + i * Pair::kSize);
            if (!values.emplace(std::move(key), std::move(value)).second) throw DecodeError("a map has a key twice");
        }
        return values;
    }
};

/** "name:type,..." of fields or parameters. */
template <class... Ts>
constexpr void describe_fields(auto& text, const auto& names) {
    size_t i = 0;
    ((text.put(i == 0 ? "" : ","), text.put(names[i++]), text.put(":"), Wire<Ts>::describe(text)), ...);
}

/** One field of a struct, and its name in the schema. */
template <auto Pointer>
struct FieldOf {
    std::string_view name;
};
template <auto Pointer>
constexpr FieldOf<Pointer> field(std::string_view name) {
    return {name};
}

/** What a struct says of itself: `static constexpr auto derecho_fields = derecho::fields("Point", ...)`. */
template <auto... Pointers>
struct Fields {
    std::string_view name;
    std::array<std::string_view, sizeof...(Pointers)> names;
};
template <auto... Pointers>
constexpr Fields<Pointers...> fields(std::string_view name, FieldOf<Pointers>... list) {
    static_assert(sizeof...(Pointers) > 0, "a struct that travels has at least one field");
    return {name, {list.name...}};
}

template <class T, class Value>
Value pointed_to(Value T::*);  // only named in decltype

/** The fields of struct T as a type: what Wire needs of them. */
template <class T, class List>
struct WireStruct;
template <class T, auto... Pointers>
struct WireStruct<T, Fields<Pointers...>> {
    using Input = T;
    using Fixed = Layout<decltype(pointed_to(Pointers))...>;
    static constexpr size_t kSize = Fixed::kSize;
    static constexpr size_t kAlign = Fixed::kAlign;
    static constexpr bool kTail = Fixed::kTail;
    static constexpr bool kOwning = Fixed::kOwning;

    static constexpr void describe(auto& text) {
        text.put(T::derecho_fields.name);
        text.put("{");
        describe_fields<decltype(pointed_to(Pointers))...>(text, T::derecho_fields.names);
        text.put("}");
    }
    static size_t measure(size_t cursor, const T& value) { return Fixed::measure(cursor, (value.*Pointers)...); }
    static void write(Writer& writer, std::byte* fixed, const T& value) {
        Fixed::write(writer, fixed, (value.*Pointers)...);
    }
    static T read(Reader& reader, const std::byte* fixed) {
        T value{};
        size_t i = 0;
        ((value.*Pointers = Wire<decltype(pointed_to(Pointers))>::read(reader, fixed + Fixed::kOffsets[i++])), ...);
        return value;
    }
    static Bytes encode(const T& value) {
        return Message<decltype(pointed_to(Pointers))...>::encode((value.*Pointers)...);
    }
    static T decode(BytesView message) {
        if (message.size() < kSize) throw DecodeError("the message is shorter than its fixed part");
        Reader reader{message.data(), message.size(), kSize};
        T value = read(reader, message.data());
        if (reader.cursor != message.size()) throw DecodeError("the message is longer than its values");
        return value;
    }
};

template <class T>
requires requires { T::derecho_fields; }
struct Wire<T> : WireStruct<T, std::remove_const_t<decltype(T::derecho_fields)>> {};

/** A struct by itself, as the message whose fields are the struct's. */
template <class T>
requires requires { T::derecho_fields; }
Bytes encode(const T& value) { return Wire<T>::encode(value); }
template <class T>
requires requires { T::derecho_fields; }
T decode(BytesView message) { return Wire<T>::decode(message); }

}  // namespace derecho
