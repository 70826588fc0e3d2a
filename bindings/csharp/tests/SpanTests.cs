// Spans and memories over the ring and over buffers.
using System;
using System.Buffers;
using System.Linq;
using Derecho;
using static Tests.Helpers;
using Buffer = Derecho.Buffer;

namespace Tests
{
    public static class SpanTests
    {
        public static void Spans_are_sent_and_messages_are_spans()
        {
            using (RawGroup group = Alone(out Shard shard))
            using (Claim claim = shard.Claim(4))
            using (var batch = new MessageBatch())
            {
                new Span<byte>(new byte[] { 1, 2, 3, 4 }).CopyTo(claim.Span);
                claim.Commit();
                shard.SendSpan(new ReadOnlySpan<byte>(new byte[] { 9, 5, 6, 9 }, 1, 2));
                shard.SendSpan(ReadOnlySpan<byte>.Empty);
                batch.AddSpan(new ReadOnlySpan<byte>(new byte[] { 7 }));
                shard.SendMany(batch);
                string seen = "";
                Take(group, 4, e => seen += Hex(e.Data.Span.ToArray()) + ";");
                Check.Equal("01020304;0506;;07;", seen);
            }
        }

        public static void The_span_of_an_array_or_a_buffer_is_its_part()
        {
            Check.Equal("0203", Hex(new Bytes(new byte[] { 1, 2, 3 }, 1, 2).Span.ToArray()));
            Check.Equal(0, default(Bytes).Span.Length);
            using (var buffer = new Buffer(100))
            {
                Memory<byte> memory = buffer.Memory(90);
                Check.Equal(10, memory.Length);
                memory.Span.Fill(3);
                Check.Equal("00030303", Hex(buffer.Slice(89, 4).Span.ToArray()));
                Check.Throws<ArgumentOutOfRangeException>(() => buffer.Memory(101));
            }
        }

        public static void A_memory_cannot_be_used_after_the_close_unless_it_is_pinned()
        {
            var buffer = new Buffer(4096);
            Memory<byte> memory = buffer.Memory();
            MemoryHandle pinned = memory.Pin();
            buffer.Dispose();
            Check.Throws<Closed>(() => memory.Span.Clear(), "closed");
            Check.Throws<Closed>(() => buffer.Memory().Pin(), "closed");
            pinned.Dispose();
        }
    }
}
