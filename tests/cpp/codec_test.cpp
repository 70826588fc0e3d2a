// The bytes of docs/layout.md, from C++ types and back, and what is refused. Golden bytes are those of tests/python.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include <derecho.hpp>

namespace derecho {
namespace {

struct Point {
    double x;
    float y;
    bool operator==(const Point&) const = default;

    static constexpr auto derecho_fields = fields("Point", field<&Point::x>("x"), field<&Point::y>("y"));
};

struct Named {
    std::string_view name;
    static constexpr auto derecho_fields = fields("Named", field<&Named::name>("name"));
};

Bytes bytes(std::initializer_list<int> values) {
    Bytes made;
    for (const int value : values) made.push_back(static_cast<std::byte>(value));
    return made;
}

std::string hex(BytesView data) {
    std::string text;
    for (const std::byte each : data) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        text += kDigits[static_cast<size_t>(each) / 16];
        text += kDigits[static_cast<size_t>(each) % 16];
    }
    return text;
}

TEST(CppCodec, the_example_of_the_layout_page) {
    const Bytes value = bytes({'v', 'a', 'l', 'u', 'e'});
    EXPECT_EQ(hex(Message<std::string_view, BytesView>::encode("key", value)),
              "1000000003000000"
              "1300000005000000"
              "6b6579"
              "76616c7565");
}

TEST(CppCodec, fields_lie_as_in_a_c_struct_and_padding_is_zero) {
    using Mixed = Message<uint8_t, uint32_t, bool, double>;
    EXPECT_EQ(hex(Mixed::encode(1, 2, true, 1.0)),
              "01000000"
              "02000000"
              "0100000000000000"
              "000000000000f03f");
    EXPECT_EQ(Message<>::encode().size(), 0u);
}

TEST(CppCodec, an_optional_is_a_byte_then_the_value_at_its_alignment) {
    using Maybe = Message<std::optional<uint16_t>, std::optional<std::string>>;
    EXPECT_EQ(hex(Maybe::encode(std::nullopt, std::nullopt)),
              "00000000"
              "000000000000000000000000");
    EXPECT_EQ(hex(Maybe::encode(7, "ab")),
              "01000700"
              "01000000"
              "1000000002000000"
              "6162");
}

TEST(CppCodec, the_tail_has_the_elements_of_a_list_then_what_they_refer_to) {
    EXPECT_EQ(hex(Message<std::vector<std::string>>::encode({"a", "bc"})),
              "0800000002000000"
              "1800000001000000"
              "1900000002000000"
              "616263");
    EXPECT_EQ(hex(Message<std::string, std::vector<uint64_t>>::encode("x", {5})),
              "1000000001000000"
              "1800000001000000"
              "7800000000000000"
              "0500000000000000");
}

template <class... Ts>
void expect_round_trip(const Ts&... values) {
    using Whole = Message<Ts...>;
    const Bytes once = Whole::encode(values...);
    const std::tuple<Ts...> read = Whole::decode(once);
    EXPECT_EQ(read, std::tuple<Ts...>(values...));
    EXPECT_EQ(std::apply([](const auto&... each) { return Whole::encode(each...); }, read), once);
}

TEST(CppCodec, values_come_back_as_they_went) {
    expect_round_trip<int8_t, int16_t, int32_t, int64_t>(-128, -32768, INT32_MIN, INT64_MIN);
    expect_round_trip<uint8_t, uint16_t, uint32_t, uint64_t>(255, 65535, UINT32_MAX, UINT64_MAX);
    expect_round_trip<float, double>(-0.0f, std::numeric_limits<double>::infinity());
    expect_round_trip<std::string, Bytes>("", {});
    expect_round_trip<std::string>("ζωή 生 🌍");
    expect_round_trip<std::vector<bool>>({true, false, true});
    expect_round_trip<std::vector<std::vector<int64_t>>>({{}, {1}, {2, 3}});
    expect_round_trip<std::vector<std::optional<int16_t>>>({1, std::nullopt, -3});
    expect_round_trip<Map<std::string, Bytes>>({{"", {}}, {"k", bytes({1, 2})}});
    expect_round_trip<Map<uint16_t, std::vector<std::string>>>({{9, {"a", ""}}, {10, {}}});
    expect_round_trip<std::array<std::string, 3>>({"a", "", "c"});
    expect_round_trip<std::optional<Point>, std::vector<Point>>(Point{1, 2}, {{3, 4}, {5, 6}});
    EXPECT_TRUE(std::isnan(std::get<0>(Message<double>::decode(Message<double>::encode(std::nan(""))))));
}

TEST(CppCodec, a_view_is_read_in_place) {
    const Bytes message =
        Message<std::string_view, std::span<const uint32_t>>::encode("text", std::array<uint32_t, 2>{1, 2});
    const auto [text, numbers] = Message<std::string_view, std::span<const uint32_t>>::decode(message);
    EXPECT_EQ(static_cast<const void*>(text.data()), message.data() + 16);
    EXPECT_EQ(static_cast<const void*>(numbers.data()), message.data() + 20);
    EXPECT_EQ(numbers[1], 2u);
}

TEST(CppCodec, a_struct_is_a_message_of_its_fields) {
    EXPECT_EQ(hex(encode(Point{1.0, 0.0f})),
              "000000000000f03f"
              "0000000000000000");
    EXPECT_EQ(decode<Point>(encode(Point{1.5, -2.0f})), (Point{1.5, -2.0f}));
    EXPECT_THROW(decode<Point>(bytes({1, 2, 3})), DecodeError);
}

// Each is a message that the reader must refuse, and why.
TEST(CppCodec, what_a_peer_may_not_send) {
    using Text = Message<std::string>;
    EXPECT_THROW(Text::decode(bytes({8, 0, 0, 0})), DecodeError) << "shorter than the fixed part";
    EXPECT_THROW(Text::decode(bytes({9, 0, 0, 0, 0, 0, 0, 0, 'a'})), DecodeError) << "the offset is not the cursor";
    EXPECT_THROW(Text::decode(bytes({8, 0, 0, 0, 2, 0, 0, 0, 'a'})), DecodeError) << "passes the end";
    EXPECT_THROW(Text::decode(bytes({8, 0, 0, 0, 1, 0, 0, 0, 'a', 'b'})), DecodeError) << "longer than its values";
    EXPECT_THROW(Text::decode(bytes({8, 0, 0, 0, 2, 0, 0, 0, 0xC0, 0x80})), DecodeError) << "not the shortest UTF-8";
    EXPECT_THROW(Text::decode(bytes({8, 0, 0, 0, 3, 0, 0, 0, 0xED, 0xA0, 0x80})), DecodeError) << "a surrogate";
    EXPECT_THROW(Message<bool>::decode(bytes({2})), DecodeError);
    EXPECT_THROW(Message<std::optional<bool>>::decode(bytes({2, 0})), DecodeError);
    using Huge = Message<std::vector<uint64_t>>;
    EXPECT_THROW(Huge::decode(bytes({8, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})), DecodeError) << "computed in 64 bits";
    using Counts = Message<Map<uint8_t, uint8_t>>;
    EXPECT_NO_THROW(Counts::decode(bytes({8, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0})));
    EXPECT_THROW(Counts::decode(bytes({8, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0})), DecodeError) << "a key twice";
}

TEST(CppCodec, a_message_of_more_than_4_gb_is_refused) {
    const BytesView huge(static_cast<const std::byte*>(nullptr), size_t{3} << 30);  // never read: measured only
    EXPECT_THROW((Message<BytesView, BytesView>::size(huge, huge)), EncodeError);
}

TEST(CppCodec, types_tell_whether_they_point_into_the_message) {
    static_assert(Owning<std::vector<std::string>> && Owning<Map<std::string, Bytes>> && Owning<Point>);
    static_assert(!Owning<BytesView> && !Owning<std::span<const int32_t>>);
    static_assert(!Owning<std::vector<std::string_view>> && !Owning<std::optional<BytesView>>);
    static_assert(!Owning<Map<std::string, std::array<std::string_view, 2>>> && !Owning<Named>);
}

TEST(CppCodec, text_that_is_not_utf8_is_not_sent) {
    EXPECT_THROW(Message<std::string>::encode(std::string_view("\xff")), EncodeError);
    EXPECT_TRUE(is_utf8("\xf4\x8f\xbf\xbf"));
    EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));
    EXPECT_FALSE(is_utf8("\xe0\x9f\xbf"));
    EXPECT_FALSE(is_utf8("\xe2\x82"));
}

}  // namespace
}  // namespace derecho
