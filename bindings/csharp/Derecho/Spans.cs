// Spans and memories, where the platform has them. Everything here is a view of what the other files have.
#if NET5_0_OR_GREATER || NETSTANDARD2_1_OR_GREATER || DERECHO_SPAN
using System;
using System.Buffers;
using System.Runtime.InteropServices;

namespace Derecho
{
    public readonly unsafe partial struct Bytes
    {
        /// <summary>The bytes as a span: good as long as they are, which a span cannot check.</summary>
        public ReadOnlySpan<byte> Span
        {
            get
            {
                if (Array != null) return new ReadOnlySpan<byte>(Array, (int)_start, Length);
                byte* place = Enter(null);
                Exit();
                return new ReadOnlySpan<byte>(place, Length);
            }
        }
    }

    public sealed unsafe partial class Claim
    {
        /// <summary>The claimed bytes, to be filled before the commit.</summary>
        public Span<byte> Span => new Span<byte>((void*)Data, Size);
    }

    public sealed unsafe partial class Shard
    {
        /// <summary>As <see cref="Send"/>; an array could be meant as either, were they named alike.</summary>
        public ulong SendSpan(ReadOnlySpan<byte> data)
        {
            fixed (byte* place = &MemoryMarshal.GetReference(data)) return Send(new Bytes((IntPtr)place, data.Length));
        }
    }

    public sealed unsafe partial class RawGroup
    {
        /// <summary>As <see cref="Register"/>; the memory is pinned.</summary>
        public RegisteredMemory RegisterMemory(Memory<byte> memory, MemoryAccess access)
        {
            MemoryHandle pin = memory.Pin();
            return Held(new RegisteredMemory(this, memory.Length, access, pin.Dispose, (IntPtr)pin.Pointer));
        }
    }

    public sealed partial class Group
    {
        /// <summary>As <see cref="Register"/>; the memory is pinned until it is deregistered, or the group was
        /// closed.</summary>
        public RegisteredMemory RegisterMemory(Memory<byte> memory, MemoryAccess access) =>
            Engine.Raw.RegisterMemory(memory, access);
    }

    public sealed unsafe partial class MessageBatch
    {
        /// <summary>As <see cref="Add(Bytes)"/>.</summary>
        public void AddSpan(ReadOnlySpan<byte> data) =>
            data.CopyTo(new Span<byte>((void*)Reserve(data.Length), data.Length));
    }

    public sealed partial class Buffer
    {
        /// <summary>All of it, in pieces of at most 2 GB from a place; each pin of it holds the memory.</summary>
        public Memory<byte> Memory(long offset = 0)
        {
            CheckRange(offset, 0);
            return new BufferPart(_memory, offset, (int)Math.Min(Size - offset, int.MaxValue)).Memory;
        }
    }

    /// <summary>Gives a buffer's memory out as <c>Memory&lt;byte&gt;</c>.</summary>
    internal sealed unsafe class BufferPart : MemoryManager<byte>
    {
        private readonly BufferMemory _memory;
        private readonly long _offset;
        private readonly int _length;

        internal BufferPart(BufferMemory memory, long offset, int length)
        {
            _memory = memory;
            _offset = offset;
            _length = length;
        }

        public override Span<byte> GetSpan()
        {
            using (new BufferPin(_memory)) return new Span<byte>(Place, _length);
        }

        public override MemoryHandle Pin(int elementIndex = 0)
        {
            _memory.Retain();
            return new MemoryHandle(Place + elementIndex, default(GCHandle), this);
        }

        public override void Unpin() => _memory.DangerousRelease();

        protected override void Dispose(bool disposing) { }

        private byte* Place => (byte*)_memory.DangerousGetHandle() + _offset;
    }
}
#endif
