using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Derecho
{
    /// <summary>
    /// Page-aligned memory that no collector moves, registered with the group's wires. Threads: any.
    /// </summary>
    /// <remarks>
    /// It is freed when it was closed and no pin, stream or call uses it. Using it after the close throws
    /// <see cref="Closed"/>; a stream over it then throws <c>ObjectDisposedException</c>.
    /// </remarks>
    public sealed unsafe partial class Buffer : IDisposable
    {
        private readonly BufferMemory _memory;

        /// <summary>Zeroed memory.</summary>
        /// <exception cref="DerechoError">InvalidArgument: no size; NoMemory.</exception>
        public Buffer(long size)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            Library.Load();
            _memory = new BufferMemory(size);
            Size = size;
        }

        /// <summary>Bytes.</summary>
        public long Size { get; }

        /// <summary>A part of it, in place: to be sent, or read.</summary>
        public Bytes Slice(long offset, int count)
        {
            CheckRange(offset, count);
            using (BufferPin pin = Pin()) return new Bytes(_memory, (IntPtr)((byte*)pin.Address + offset), count, 0);
        }

        /// <summary>Copy bytes into it.</summary>
        public void Write(long offset, Bytes data)
        {
            CheckRange(offset, data.Length);
            using (BufferPin pin = Pin()) data.CopyTo((byte*)pin.Address + offset);
        }

        /// <summary>A stream over all of it, for reading and writing.</summary>
        public UnmanagedMemoryStream OpenStream()
        {
            using (Pin()) return new UnmanagedMemoryStream(_memory, 0, Size, FileAccess.ReadWrite);
        }

        /// <summary>Hold the memory, also across a close of the buffer, until the pin is disposed.</summary>
        public BufferPin Pin() => new BufferPin(_memory);

        /// <summary>Close it; a second time does nothing.</summary>
        public void Dispose() => _memory.Dispose();

        private void CheckRange(long offset, long count)
        {
            if (offset < 0 || count < 0 || count > Size - offset) throw new ArgumentOutOfRangeException(nameof(offset));
        }
    }

    /// <summary>Holds a buffer's memory. A forgotten one lets go when it is collected.</summary>
    public sealed class BufferPin : IDisposable
    {
        private BufferMemory _memory;

        internal BufferPin(BufferMemory memory)
        {
            memory.Retain();
            _memory = memory;
            Address = memory.DangerousGetHandle();
        }

        /// <summary>Lets go.</summary>
        ~BufferPin() { Dispose(); }

        /// <summary>The first byte.</summary>
        public IntPtr Address { get; }

        /// <summary>Let go; a second time does nothing.</summary>
        public void Dispose()
        {
            BufferMemory memory = System.Threading.Interlocked.Exchange(ref _memory, null);
            if (memory != null) memory.DangerousRelease();
            GC.SuppressFinalize(this);
        }
    }

    /// <summary>One reference to a buffer of the core's, counted by the runtime; the handle is its address.</summary>
    internal sealed unsafe class BufferMemory : SafeBuffer
    {
        private readonly IntPtr _buffer;
        private volatile bool _closed; // for users: the memory itself lives until nobody holds it

        [MethodImpl(MethodImplOptions.NoInlining)] // see Library.Entries
        internal BufferMemory(long size) : base(true)
        {
            IntPtr buffer;
            Failures.Check(Native.derecho_buffer_create((ulong)size, &buffer));
            _buffer = buffer;
            void* data;
            ulong bytes;
            Failures.Check(Native.derecho_buffer_data(buffer, &data, &bytes));
            SetHandle((IntPtr)data);
            Initialize(bytes);
        }

        internal void Retain()
        {
            bool held = false;
            try
            {
                if (_closed) throw new ObjectDisposedException(nameof(Buffer));
                DangerousAddRef(ref held);
            }
            catch (ObjectDisposedException)
            {
                throw new Closed("the buffer is closed");
            }
        }

        protected override void Dispose(bool disposing)
        {
            _closed = true;
            base.Dispose(disposing);
        }

        protected override bool ReleaseHandle() => Native.derecho_buffer_release(_buffer) == Native.DERECHO_OK;
    }
}
