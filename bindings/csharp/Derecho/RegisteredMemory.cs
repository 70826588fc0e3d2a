using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace Derecho
{
    /// <summary>
    /// Memory of the application's own that members who were given a key may read and write one-sidedly. Made by
    /// <see cref="Group.Register"/> and <see cref="RawGroup.Register"/>. Threads: any.
    /// </summary>
    /// <remarks>
    /// It stays pinned until it is deregistered or the group was closed, even if this object is forgotten. What peers
    /// write shows in it at any time.
    /// </remarks>
    public sealed unsafe class RegisteredMemory : IDisposable
    {
        private readonly RawGroup _group;
        private readonly IntPtr _handle;
        private Action _unpin;

        // `unpin` is called once, when nobody uses the memory any more.
        internal RegisteredMemory(RawGroup group, int size, MemoryAccess access, Action unpin, IntPtr address)
        {
            _group = group;
            _unpin = unpin;
            Size = size;
            IntPtr memory;
            int status = Native.derecho_memory_register(
                group.Handle, (void*)address, (ulong)size, (uint)access, &memory);
            if (status != Native.DERECHO_OK)
            {
                DerechoError error = Failures.OfLastCall((Status)status);
                Unpin();
                throw error;
            }
            _handle = memory;
            GC.KeepAlive(group);
        }

        // A device's.
        internal RegisteredMemory(RawGroup group, int fd, long offset, long size, MemoryAccess access)
        {
            _group = group;
            Size = size;
            IntPtr memory;
            Failures.Check(Native.derecho_memory_register_dmabuf(
                group.Handle, fd, (ulong)offset, (ulong)size, (uint)access, &memory));
            _handle = memory;
            GC.KeepAlive(group);
        }

        /// <summary>Bytes.</summary>
        public long Size { get; }

        /// <summary>The key that opens it to one member; the same when asked for again.</summary>
        /// <exception cref="DerechoError">NotMember; InvalidArgument: it was registered for no peer's access;
        /// Closed.</exception>
        public MemoryKey KeyFor(uint node)
        {
            Native.derecho_memory_key key;
            Failures.Check(Native.derecho_memory_key_for(_handle, node, &key));
            return new MemoryKey((byte*)&key);
        }

        /// <summary>All of it.</summary>
        public MemoryPart Part() => Part(0, Size);

        /// <summary>Some of it.</summary>
        public MemoryPart Part(long offset, long size) => new MemoryPart(_handle, offset, size);

        /// <summary>Take it back: waits for this node's own reads and writes that use it. Afterwards nothing lands in
        /// it any more.</summary>
        /// <exception cref="DerechoError">Timeout, naming how many are pending, and with whom: it is still registered.
        /// Closed: it was deregistered before, or its group was closed.</exception>
        public void Deregister(long timeoutMs = 10000)
        {
            int status = Native.derecho_memory_deregister(_handle, timeoutMs);
            if (status == Native.DERECHO_OK || status == Native.DERECHO_CLOSED)
            {
                DerechoError error = status == Native.DERECHO_OK ? null : Failures.OfLastCall((Status)status);
                _group.Forget(this);
                Unpin();
                if (error != null) throw error;
                return;
            }
            Failures.Check(status);
        }

        /// <summary>As <see cref="Deregister"/>; a second time does nothing.</summary>
        public void Dispose()
        {
            try
            {
                Deregister();
            }
            catch (Closed)
            {
                // it ended with its group
            }
        }

        /// <summary>Let the memory go: it is not registered any more.</summary>
        internal void Unpin() => Interlocked.Exchange(ref _unpin, null)?.Invoke();

        internal static Action Pin(Bytes bytes, out IntPtr address)
        {
            if (bytes.IsLent) throw new InvalidArgument("the bytes are a message's, whose memory is used again");
            if (bytes.Array == null)
            {
                address = (IntPtr)bytes.Enter(null); // a buffer is held from here
                return bytes.Exit;
            }
            GCHandle pin = GCHandle.Alloc(bytes.Array, GCHandleType.Pinned);
            address = (IntPtr)bytes.Enter((byte*)pin.AddrOfPinnedObject());
            return pin.Free;
        }
    }

    /// <summary>A part of registered memory, for reads and writes.</summary>
    public readonly struct MemoryPart
    {
        internal MemoryPart(IntPtr memory, long offset, long size)
        {
            Memory = memory;
            Offset = offset;
            Size = size;
        }

        internal readonly IntPtr Memory;
        internal readonly long Offset;

        /// <summary>Bytes.</summary>
        public readonly long Size;
    }

    /// <summary>
    /// What opens one node's registered memory to one member: 32 bytes, to be sent to it in any way. It is of no use to
    /// any other node, nor to that member after it left the view.
    /// </summary>
    public sealed unsafe class MemoryKey
    {
        private readonly byte[] _bytes = new byte[sizeof(Native.derecho_memory_key)];

        /// <summary>From the bytes that <see cref="ToArray"/> gave.</summary>
        /// <exception cref="InvalidArgument">They are not as many.</exception>
        public MemoryKey(Bytes bytes)
        {
            if (bytes.Length != _bytes.Length)
                throw new InvalidArgument($"a key has {_bytes.Length} bytes, not {bytes.Length}");
            bytes.CopyTo(_bytes, 0);
        }

        internal MemoryKey(byte* key) { Marshal.Copy((IntPtr)key, _bytes, 0, _bytes.Length); }

        /// <summary>A copy of its bytes.</summary>
        public byte[] ToArray() => (byte[])_bytes.Clone();

        internal byte[] Raw => _bytes;
    }

    public sealed unsafe partial class RawGroup
    {
        /// <summary>Register memory, so that members who are given a key may read or write it, one-sidedly.</summary>
        /// <param name="bytes">An array, or a part of one, or of a <see cref="Buffer"/>: pinned.</param>
        /// <param name="access">What peers may do.</param>
        /// <exception cref="DerechoError">InvalidArgument: it is empty; Closed.</exception>
        public RegisteredMemory Register(Bytes bytes, MemoryAccess access) =>
            Held(new RegisteredMemory(
                this, bytes.Length, access, RegisteredMemory.Pin(bytes, out IntPtr address), address));

        /// <summary>Register memory of another device, a GPU's above all, by its dma-buf.</summary>
        /// <param name="fd">Of the dma-buf; duplicated: it may be closed afterwards.</param>
        /// <param name="offset">Of the part of it that is registered; its first byte is the memory's.</param>
        /// <param name="size">Bytes.</param>
        /// <param name="access">What peers may do.</param>
        /// <exception cref="DerechoError">InvalidArgument: it is not a dma-buf, or shorter than that; Closed.</exception>
        public RegisteredMemory RegisterDmabuf(int fd, long offset, long size, MemoryAccess access) =>
            Held(new RegisteredMemory(this, fd, offset, size, access));

        internal RegisteredMemory Held(RegisteredMemory memory)
        {
            _owner.Hold(memory);
            return memory;
        }

        internal void Forget(RegisteredMemory memory) => _owner.LetGo(memory);

        /// <summary>Begin to copy a run of a member's memory into parts of this node's, one after the other; ends in one
        /// Memory event.</summary>
        /// <param name="node">Whose memory it is.</param>
        /// <param name="key">Made by that node for this one.</param>
        /// <param name="offset">Of the run's first byte in that memory.</param>
        /// <param name="into">As long as the run together.</param>
        /// <returns>The operation, which its event names.</returns>
        /// <exception cref="DerechoError">RingFull: too many operations have not ended, or their events were not taken;
        /// InvalidArgument, NotMember, Closed.</exception>
        public ulong Read(uint node, MemoryKey key, long offset, params MemoryPart[] into)
        {
            Failures.Check((int)TryTransfer(false, node, key, offset, into, out ulong operation));
            return operation;
        }

        /// <summary>Begin to copy parts of this node's memory to a run of a member's. As <see cref="Read"/>.</summary>
        public ulong Write(uint node, MemoryKey key, long offset, params MemoryPart[] from)
        {
            Failures.Check((int)TryTransfer(true, node, key, offset, from, out ulong operation));
            return operation;
        }

        internal Status TryTransfer(
            bool write, uint node, MemoryKey key, long offset, MemoryPart[] parts, out ulong operation)
        {
            var pieces = new Native.derecho_piece[Math.Max(parts.Length, 1)];
            for (int i = 0; i < parts.Length; i++)
            {
                pieces[i].memory = parts[i].Memory;
                pieces[i].offset = (ulong)parts[i].Offset;
                pieces[i].size_bytes = (ulong)parts[i].Size;
            }
            ulong id = 0;
            fixed (byte* raw = key.Raw)
            fixed (Native.derecho_piece* first = pieces)
            {
                var place = (Native.derecho_memory_key*)raw;
                var count = (ulong)parts.Length;
                int status = write
                    ? Native.derecho_memory_write(Handle, node, place, (ulong)offset, first, count, &id)
                    : Native.derecho_memory_read(Handle, node, place, (ulong)offset, first, count, &id);
                GC.KeepAlive(this);
                operation = id;
                return (Status)status;
            }
        }
    }
}
