// Registered memory: members read and write each other's arrays and buffers.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Derecho;
using static Tests.Helpers;
using Buffer = Derecho.Buffer;
using Timeout = Derecho.Timeout;

namespace Tests
{
    public static class MemoryTests
    {
        private const int Large = 32 << 20;
        private const MemoryAccess Both = MemoryAccess.Read | MemoryAccess.Write;

        private static void WithTwo(Action<Group, Group> run)
        {
            using (var members = new Members())
            {
                members.Join(new Replica());
                members.Join(new Replica());
                members[0].WaitView(2);
                run(members[0], members[1]);
            }
        }

        public static void An_array_is_read_and_written() => WithTwo((a, b) =>
        {
            byte[] there = Enumerable.Repeat((byte)7, Large).ToArray();
            var here = new byte[Large];
            RegisteredMemory memory = b.Register(there, Both);
            RegisteredMemory mine = a.Register(here, MemoryAccess.None);
            var key = new MemoryKey(memory.KeyFor(1).ToArray());
            Check.Equal((long)Large, a.Read(2, key, 0, mine.Part()).Result);
            Check.That(here.SequenceEqual(there), "it was read");
            here[10] = here[11] = here[12] = 9;
            Check.Equal(4L, a.Write(2, key, 100, mine.Part(10, 2), mine.Part(0, 0), mine.Part(12, 2)).Result);
            Check.Sequence(new byte[] { 7, 9, 9, 9, 7 }, there.Skip(99).Take(5));
            mine.Dispose();
            mine.Dispose();
        });

        public static void A_part_of_an_array_and_a_buffer_will_do() => WithTwo((a, b) =>
        {
            using (var buffer = new Buffer(100))
            {
                buffer.Write(20, new byte[] { 1, 2, 3 });
                var here = new byte[10];
                MemoryKey key = b.Register(buffer.Slice(20, 10), Both).KeyFor(1);
                RegisteredMemory mine = a.Register(new ArraySegment<byte>(here, 5, 3), MemoryAccess.None);
                Check.Equal(3L, a.Read(2, key, 0, mine.Part()).Result);
                Check.Sequence(new byte[] { 0, 0, 0, 0, 0, 1, 2, 3, 0, 0 }, here);
                GC.Collect(); // nothing that is registered moves
                Check.Equal(3L, a.Write(2, key, 4, mine.Part()).Result);
                Check.Equal("01020300010203", Hex(buffer.Slice(20, 7).ToArray()));
            }
        });

        public static void A_memory_is_registered_too() => WithTwo((a, b) =>
        {
            var there = new byte[] { 0, 1, 2, 3 };
            MemoryKey key = b.RegisterMemory(new Memory<byte>(there, 1, 3), Both).KeyFor(1);
            RegisteredMemory mine = a.RegisterMemory(new Memory<byte>(new byte[] { 8, 9 }), MemoryAccess.None);
            a.Write(2, key, 1, mine.Part()).Wait(TimeSpan.FromSeconds(10));
            Check.Sequence(new byte[] { 0, 1, 8, 9 }, there);
        });

        public static void Many_transfers_are_awaited_at_once() => WithTwo((a, b) =>
        {
            byte[] here = Enumerable.Range(0, 2000).Select(i => (byte)i).ToArray();
            var there = new byte[2000];
            MemoryKey key = b.Register(there, MemoryAccess.Write).KeyFor(1);
            RegisteredMemory mine = a.Register(here, MemoryAccess.None);
            Task<long[]> all = Task.WhenAll(
                Enumerable.Range(0, 2000).Select(i => a.Write(2, key, i, mine.Part(i, 1)).AsTask()));
            Check.Equal(2000L, all.Result.Sum());
            Check.Sequence(here, there);
        });

        public static void What_is_wrong_is_said() => WithTwo((a, b) =>
        {
            RegisteredMemory memory = b.Register(new byte[100], MemoryAccess.Read);
            RegisteredMemory mine = a.Register(new byte[100], MemoryAccess.None);
            MemoryKey key = memory.KeyFor(1);
            Check.Throws<InvalidArgument>(() => a.Register(new byte[0], Both), "size_bytes is 0");
            Check.Throws<InvalidArgument>(() => GC.KeepAlive(new MemoryKey(new byte[3])), "32 bytes, not 3");
            Check.Throws<InvalidArgument>(() => mine.KeyFor(2), "no peer's access");
            Check.Throws<NotMember>(() => memory.KeyFor(9), "node 9");
            Check.Throws<NotMember>(() => a.Read(9, key, 0), "node 9");
            Check.Throws<InvalidArgument>(() => a.Read(2, key, 0, mine.Part(), mine.Part(99, 2)), "piece 1 reaches");
            Check.Throws<InvalidArgument>(() => GC.KeepAlive(a.Read(2, key, 1, mine.Part()).Result), "reaches beyond");
            Check.Throws<InvalidArgument>(
                () => GC.KeepAlive(a.Write(2, key, 0, mine.Part()).Result), "not registered for that");
            Check.Throws<InvalidArgument>(
                () => GC.KeepAlive(a.Read(2, memory.KeyFor(2), 0, mine.Part()).Result), "opens nothing");
            memory.Deregister(0);
            Check.Throws<InvalidArgument>(() => GC.KeepAlive(a.Read(2, key, 0, mine.Part()).Result), "opens nothing");
            Check.Throws<Closed>(() => memory.Deregister(0), "");
        });

        public static void Deregistering_waits_for_what_is_pending_or_says_what_is() => WithTwo((a, b) =>
        {
            MemoryKey key = b.Register(new byte[Large], MemoryAccess.Write).KeyFor(1);
            RegisteredMemory mine = a.Register(new byte[Large], MemoryAccess.None);
            Transfer last = null;
            for (int i = 0; i < 30; i++) last = a.Write(2, key, 0, mine.Part());
            Check.Throws<Timeout>(() => mine.Deregister(0), "with node 2");
            mine.Deregister();
            Check.Equal((long)Large, last.Result);
        });

        public static void A_group_that_is_closed_lets_its_memory_go() => WithTwo((a, b) =>
        {
            var array = new byte[Large];
            RegisteredMemory mine = a.Register(array, Both);
            MemoryKey key = b.Register(new byte[Large], MemoryAccess.Write).KeyFor(1);
            Transfer last = null;
            for (int i = 0; i < 30; i++) last = a.Write(2, key, 0, mine.Part());
            a.Close();
            Check.Throws<Closed>(() => GC.KeepAlive(last.Result), "");
            mine.Dispose();
        });
    }
}
