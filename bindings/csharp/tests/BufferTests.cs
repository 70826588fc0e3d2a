// Registered memory: in place, counted, and safe after its close.
using System;
using System.IO;
using System.Linq;
using System.Threading;
using Derecho;
using static Tests.Helpers;
using Buffer = Derecho.Buffer;

namespace Tests
{
    public static class BufferTests
    {
        public static void A_buffer_is_zeroed_and_written_in_place()
        {
            using (var buffer = new Buffer(10000))
            using (BufferPin pin = buffer.Pin())
            {
                Check.Equal(10000L, buffer.Size);
                Check.Equal(0L, (long)pin.Address % 4096);
                Check.That(buffer.Slice(0, 10000).ToArray().All(b => b == 0), "it is zeroed");
                buffer.Write(9998, new byte[] { 1, 2 });
                Check.Equal((byte)2, buffer.Slice(9999, 1)[0]);
                Check.Throws<ArgumentOutOfRangeException>(() => buffer.Write(9999, new byte[2]));
                Check.Throws<ArgumentOutOfRangeException>(() => buffer.Slice(-1, 1));
                Check.Throws<ArgumentOutOfRangeException>(() => buffer.Slice(0, 10001));
            }
            Check.Throws<InvalidArgument>(() => new Buffer(0), "size_bytes is 0");
            Check.Throws<NoMemory>(() => new Buffer(1L << 60));
        }

        public static void A_closed_buffer_is_an_error_not_a_crash()
        {
            var buffer = new Buffer(100);
            Bytes part = buffer.Slice(0, 10);
            UnmanagedMemoryStream stream = buffer.OpenStream();
            buffer.Dispose();
            buffer.Dispose();
            Check.Throws<Closed>(() => buffer.Slice(0, 1), "closed");
            Check.Throws<Closed>(() => buffer.Write(0, new byte[1]), "closed");
            Check.Throws<Closed>(() => buffer.Pin(), "closed");
            Check.Throws<Closed>(() => buffer.OpenStream(), "closed");
            Check.Throws<Closed>(() => part.ToArray(), "closed");
            Check.Throws<Closed>(() => GC.KeepAlive(part[0]), "closed");
            Check.Throws<ObjectDisposedException>(() => stream.ReadByte());
            using (RawGroup group = Alone(out Shard shard)) Check.Throws<Closed>(() => shard.Send(part), "closed");
        }

        public static void A_pin_holds_the_memory_across_the_close()
        {
            var buffer = new Buffer(4096);
            BufferPin pin = buffer.Pin();
            buffer.Write(0, new byte[] { 7 });
            buffer.Dispose();
            Check.Throws<Closed>(() => buffer.Slice(0, 1), "closed");
            Check.Equal((byte)7, System.Runtime.InteropServices.Marshal.ReadByte(pin.Address));
            pin.Dispose();
            pin.Dispose();
        }

        public static void A_stream_reads_and_writes_the_memory()
        {
            using (var buffer = new Buffer(100))
            using (UnmanagedMemoryStream stream = buffer.OpenStream())
            {
                stream.Write(new byte[] { 1, 2, 3 }, 0, 3);
                Check.Equal("010203", Hex(buffer.Slice(0, 3).ToArray()));
                buffer.Write(3, new byte[] { 4 });
                Check.Equal(4, stream.ReadByte());
            }
        }

        public static void Forgotten_buffers_and_pins_are_freed_by_the_collector()
        {
            // The core has room for 32,768 at a time.
            for (int i = 0; i < 10; i++)
            {
                OnThreads(1, _ =>
                {
                    for (int k = 0; k < 4000; k++) new Buffer(1).Pin();
                })();
                Collect();
            }
        }

        public static void Closing_while_another_thread_uses_it_does_no_harm()
        {
            for (int i = 0; i < 300; i++)
            {
                var buffer = new Buffer(1 << 16);
                Action join = OnThreads(2, _ =>
                {
                    try
                    {
                        while (true) buffer.Slice(0, 1 << 16).ToArray();
                    }
                    catch (Closed)
                    {
                    }
                });
                Thread.Sleep(1);
                buffer.Dispose();
                join();
            }
        }
    }
}
