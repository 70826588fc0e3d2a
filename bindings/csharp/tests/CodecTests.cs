// Bytes as docs/layout.md has them, and everything that a reader must refuse.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Conformance;
using Derecho;
using static Tests.Helpers;

namespace Tests
{
    public static class CodecTests
    {
        private const string Put = "10000000 03000000 13000000 05000000 6b6579 76616c7565";

        private static readonly Everything.Shape Shape = new Everything.Shape(
            "ab", new[] { new Everything.Point(1, 2) }, null, new[] { 1, -1, 2, -2 });

        private static readonly string ShapeHex = string.Join("",
            "38000000 02000000",                   // name: after the fixed part
            "40000000 01000000",                   // points: aligned to 8
            "00 00000000000000",                   // no center
            "0000000000000000 0000000000000000",   // and its place
            "01000000 ffffffff 02000000 feffffff", // box
            "6162 000000000000",                   // "ab", padding
            "000000000000f03f 00000040 00000000"); // the point, with its own padding

        public static void The_example_of_the_specification_comes_out()
        {
            byte[] put = Encoder.ToArray("Cache.put", 16, e =>
            {
                e.PutString(0, "key");
                e.PutBytes(8, new byte[] { 0x76, 0x61, 0x6c, 0x75, 0x65 });
            });
            Check.Equal(Put.Replace(" ", ""), Hex(put));
            Check.Equal("key=value", ReadPut(Put));
        }

        public static void A_struct_has_the_layout_of_c()
        {
            for (int i = 0; i < 20; i++) // whatever was in the memory before
            {
                DirtyHeap();
                Check.Equal(ShapeHex.Replace(" ", ""), Hex(Shape.Encode()));
            }
            Check.That(Everything.Shape.Decode(FromHex(ShapeHex)).Equals(Shape), "it is read back");
        }

        public static void Empty_parts_have_the_place_of_the_cursor()
        {
            byte[] bytes = new Everything.Shape("", new Everything.Point[0], null, new int[4]).Encode();
            Check.Equal("3800000000000000" + "3800000000000000" + new string('0', 80), Hex(bytes));
        }

        public static void Padding_and_the_value_of_what_is_absent_are_ignored()
        {
            byte[] bytes = FromHex(ShapeHex);
            for (int i = 17; i < 40; i++) bytes[i] = 0xaa; // behind the presence byte
            bytes[60] = bytes[76] = 0xaa;
            Check.That(Everything.Shape.Decode(bytes).Equals(Shape), "it is the same");
        }

        public static void What_is_too_short_or_too_long_is_refused()
        {
            Refused("needs 16 bytes, has 15", Put.Replace(" ", "").Substring(0, 30));
            Refused("needs 16 bytes, has 0", "");
            Refused("has 1 bytes too many", Put + "00");
        }

        public static void A_reference_must_lie_at_the_cursor_and_within_the_message()
        {
            Refused("does not lie where it must", "11000000 03000000 14000000 05000000 00 6b6579 76616c7565");
            Refused("does not lie where it must", "10000000 03000000 10000000 03000000 6b6579"); // the same bytes twice
            Refused("does not lie where it must", "10000000 04000000 14000000 05000000 6b6579 76616c7565");
            Refused("does not lie where it must", "10000000 ffffffff 13000000 05000000 6b6579 76616c7565");
            Refused("does not lie where it must", "00000000 03000000 13000000 05000000 6b6579 76616c7565");
            byte[] huge = FromHex(ShapeHex);
            huge[15] = 0x10; // 2^28 points: 2^32 bytes, 0 in 32 bits
            huge[12] = 0;
            Check.Throws<DecodeError>(() => Everything.Shape.Decode(huge), "does not lie where it must");
        }

        public static void A_bool_is_0_or_1()
        {
            byte[] present = FromHex(ShapeHex);
            present[16] = 2;
            Check.Throws<DecodeError>(() => Everything.Shape.Decode(present), "byte 16 is a bool of 2");
            Check.Throws<DecodeError>(
                () => Decoder.Read(FromHex("08000000 02000000 01 03"), "flags", 8, d => d.GetNumbers<bool>(0, 1)),
                "byte 9 is a bool of 3");
        }

        public static void A_text_is_valid_utf8()
        {
            foreach (string text in new[] { "ff", "c3", "c080", "eda080", "f4908080", "e282" })
            {
                string size = (text.Length / 2).ToString("x2");
                Check.Throws<DecodeError>(() => ReadText($"08000000 {size}000000 {text}"), "not valid UTF-8");
            }
            Check.Equal("é☃😀", ReadText("08000000 09000000 c3a9 e29883 f09f9880"));
        }

        public static void A_map_has_each_key_once_and_keeps_its_order()
        {
            var map = new Map<ushort, byte[]> { { 5, new byte[] { 1 } }, { 3, new byte[0] } };
            Check.Sequence(new[] { 5, 3 }, map.Keys.Select(k => (int)k));
            map.Remove(5);
            map[9] = null;
            map[3] = null;
            map[5] = null;
            Check.Sequence(new[] { 3, 9, 5 }, map.Select(e => (int)e.Key));
            Check.Throws<ArgumentException>(() => map.Add(9, null));
            var bytes = new Map<byte[], int> { { new byte[] { 1 }, 1 } };
            Check.That(bytes.ContainsKey(new byte[] { 1 }) && !bytes.ContainsKey(new byte[] { 2 }), "keys are values");
            Check.Throws<DecodeError>(() => Decoder.Read(
                FromHex("08000000 02000000 0100 0200 0100 0300"), "map", 8, ReadMap), "a key twice");
            Check.Equal(2, Decoder.Read(FromHex("08000000 02000000 0100 0200 0200 0300"), "map", 8, ReadMap).Count);
        }

        public static void What_does_not_fit_is_an_encode_error()
        {
            var points = new Everything.Point[0];
            Check.Throws<EncodeError>(() => new Everything.Shape(null, points, null, new int[4]).Encode(), "null");
            Check.Throws<EncodeError>(() => new Everything.Shape("", null, null, new int[4]).Encode(), "null");
            Check.Throws<EncodeError>(() => new Everything.Shape("", points, null, null).Encode(), "null");
            Check.Throws<EncodeError>(
                () => new Everything.Shape("", points, null, new int[3]).Encode(), "4 elements, got 3");
            Check.Throws<EncodeError>(
                () => new Everything.Shape("", new Everything.Point[] { null }, null, new int[4]).Encode(), "null");
            Check.Throws<EncodeError>(
                () => new Everything.Shape("\ud800", points, null, new int[4]).Encode(), "not valid Unicode");
            Check.Throws<EncodeError>(() => new Everything.Totals(0, 0, null).Encode(), "null");
        }

        public static void What_changes_while_it_is_encoded_is_an_encode_error()
        {
            var growing = new Changing(1);
            Check.Throws<EncodeError>(() => new Everything.Shape("", growing, null, new int[4]).Encode(), "changed");
            var shrinking = new Changing(-1);
            Check.Throws<EncodeError>(() => new Everything.Shape("", shrinking, null, new int[4]).Encode(), "changed");
        }

        public static void Structs_are_equal_by_value()
        {
            var other = Everything.Shape.Decode(Shape.Encode());
            Check.That(Shape.Equals(other) && Shape.GetHashCode() == other.GetHashCode(), "copies are equal");
            Check.That(!Shape.Equals(new Everything.Shape("x", other.Points, null, other.Box)), "others are not");
            Check.That(!Shape.Equals(null) && !Shape.Equals("Shape"), "other types are not");
        }

        public static void A_decoder_never_reads_beyond_the_message()
        {
            Check.Throws<DecodeError>(() => Decoder.Read(new byte[8], "x", 8, d => d.GetInt64(1)), "no 8 bytes at 1");
            Check.Throws<DecodeError>(() => Decoder.Read(new byte[8], "x", 8, d => d.GetByte(-1)), "has no 1 bytes");
            Check.Throws<DecodeError>(() => Decoder.Read(new byte[0], "x", 0, d => d.GetInt64(0)), "no 8 bytes at 0");
        }

        public static void Random_messages_are_read_or_refused()
        {
            var random = new Random(1);
            byte[] good = FromHex(ShapeHex);
            for (int i = 0; i < 20000; i++)
            {
                byte[] bytes = good.Take(random.Next(good.Length + 1)).ToArray();
                for (int k = random.Next(4); k > 0 && bytes.Length > 0; k--)
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                try
                {
                    Everything.Shape.Decode(bytes).Encode();
                }
                catch (DecodeError)
                {
                }
            }
        }

        private static string ReadPut(string hex) => Decoder.Read(FromHex(hex), "Cache.put", 16, d =>
        {
            string key = d.GetString(0);
            return key + "=" + System.Text.Encoding.ASCII.GetString(d.GetBytes(8));
        });

        private static string ReadText(string hex) => Decoder.Read(FromHex(hex), "text", 8, d => d.GetString(0));

        private static Map<ushort, ushort> ReadMap(Decoder d)
        {
            int place = d.GetList(0, 4, 2, out int count);
            var map = new Map<ushort, ushort>();
            for (int i = 0; i < count; i++) d.Add(map, d.GetUInt16(place + 4 * i), d.GetUInt16(place + 4 * i + 2));
            return map;
        }

        private static void Refused(string why, string hex) => Check.Throws<DecodeError>(() => ReadPut(hex), why);

        /// <summary>Leave memory of the size that an encoder begins with, full of ones.</summary>
        private static void DirtyHeap()
        {
            IntPtr memory = Marshal.AllocHGlobal(256);
            for (int i = 0; i < 256; i++) Marshal.WriteByte(memory, i, 0xff);
            Marshal.FreeHGlobal(memory);
        }

        /// <summary>A list that has one element more, or less, each time it is asked.</summary>
        private sealed class Changing : IReadOnlyList<Everything.Point>
        {
            private readonly int _step;
            private int _count = 10;

            internal Changing(int step) { _step = step; }

            public int Count => _count += _step;

            public Everything.Point this[int index] => new Everything.Point(index, 0);

            public IEnumerator<Everything.Point> GetEnumerator() =>
                Enumerable.Range(0, _count).Select(i => this[i]).GetEnumerator();

            IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
        }
    }
}
