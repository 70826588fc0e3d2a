using System;
using System.Runtime.InteropServices;

namespace Derecho
{
    /// <summary>
    /// Messages for <see cref="Shard.SendMany"/>, gathered in memory that no collector moves. Made once and used again
    /// without allocation. One thread at a time may use it.
    /// </summary>
    public sealed unsafe partial class MessageBatch : IDisposable
    {
        private byte* _memory;
        private int _memoryBytes, _usedBytes;
        private Native.derecho_bytes* _messages;
        private int _capacity, _first, _end;

        /// <summary>An empty batch, which grows as needed.</summary>
        /// <param name="messages">Room for so many to begin with.</param>
        /// <param name="bytes">Room for so many bytes of all of them together to begin with.</param>
        public MessageBatch(int messages = 256, int bytes = 64 << 10)
        {
            if (messages <= 0 || bytes <= 0) throw new ArgumentOutOfRangeException(nameof(messages));
            _capacity = messages;
            _messages = (Native.derecho_bytes*)Marshal.AllocHGlobal(messages * sizeof(Native.derecho_bytes));
            _memoryBytes = bytes;
            _memory = (byte*)Marshal.AllocHGlobal(bytes);
        }

        /// <summary>Frees a forgotten one.</summary>
        ~MessageBatch() { Free(); }

        /// <summary>Messages still to be sent.</summary>
        public int Count => _end - _first;

        internal Native.derecho_bytes* First
        {
            get
            {
                CheckOpen();
                return _messages + _first;
            }
        }

        /// <summary>Append a copy of a message.</summary>
        public void Add(Bytes data) => data.CopyTo((byte*)Reserve(data.Length));

        /// <inheritdoc cref="Add(Bytes)"/>
        public void Add(byte[] data)
        {
            int size = data.Length; // twice as fast as by way of Bytes
            var place = (byte*)Reserve(size);
            fixed (byte* from = data) System.Buffer.MemoryCopy(from, place, size, size);
        }

        /// <summary>Append a message to be filled in by the caller.</summary>
        /// <returns>Where it lies, 8-byte aligned; good until the next message is added.</returns>
        public IntPtr Reserve(int size)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            CheckOpen();
            int rounded = checked((size + 7) & ~7);
            if (rounded > _memoryBytes - _usedBytes) GrowMemory(rounded);
            if (_end == _capacity) GrowMessages();
            byte* place = _memory + _usedBytes;
            _usedBytes += rounded;
            Native.derecho_bytes* message = _messages + _end++;
            message->data = place;
            message->size_bytes = (ulong)size;
            return (IntPtr)place;
        }

        /// <summary>Take the first messages off, as many as were sent; an empty batch uses its memory again.</summary>
        public void Remove(int sent)
        {
            if (sent < 0 || sent > Count) throw new ArgumentOutOfRangeException(nameof(sent));
            _first += sent;
            if (_first == _end) _first = _end = _usedBytes = 0;
        }

        /// <summary>Take all messages off.</summary>
        public void Clear() => Remove(Count);

        /// <summary>Free the memory; using the batch afterwards throws <see cref="Closed"/>.</summary>
        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        private void GrowMemory(int needed)
        {
            _memoryBytes = checked(Math.Max(_memoryBytes * 2, _usedBytes + needed));
            var grown = (byte*)Marshal.ReAllocHGlobal((IntPtr)_memory, (IntPtr)_memoryBytes);
            for (int i = _first; i < _end; i++) _messages[i].data = grown + ((byte*)_messages[i].data - _memory);
            _memory = grown;
        }

        private void GrowMessages()
        {
            _capacity = checked(_capacity * 2);
            _messages = (Native.derecho_bytes*)Marshal.ReAllocHGlobal(
                (IntPtr)_messages, (IntPtr)(_capacity * sizeof(Native.derecho_bytes)));
        }

        private void CheckOpen()
        {
            if (_memory == null) throw new Closed("the batch is closed");
        }

        private void Free()
        {
            Marshal.FreeHGlobal((IntPtr)_memory);
            Marshal.FreeHGlobal((IntPtr)_messages);
            _memory = null;
            _messages = null;
            _first = _end = 0;
        }
    }
}
