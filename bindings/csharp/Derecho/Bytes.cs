using System;
using System.Runtime.CompilerServices;

namespace Derecho
{
    /// <summary>
    /// Some bytes, wherever they lie: a <c>byte[]</c>, a part of a <see cref="Buffer"/>, a message in the ring. Never
    /// copied but by <see cref="ToArray"/> and <see cref="CopyTo(byte[], int)"/>.
    /// </summary>
    /// <remarks>
    /// A message of the ring is there until its batch is released, in a handler until the handler returns; reading it
    /// later throws <see cref="Closed"/>. So does reading a closed buffer.
    /// </remarks>
    public readonly unsafe partial struct Bytes
    {
        private readonly object _owner; // byte[], EventBatch or BufferMemory; null for none
        private readonly IntPtr _start; // an index into the array, or an address
        private readonly int _turn;     // of the batch, when it was taken

        /// <summary>How many.</summary>
        public readonly int Length;

        /// <summary>All of an array; null is empty.</summary>
        public Bytes(byte[] array) : this(array, IntPtr.Zero, array == null ? 0 : array.Length, 0) { }

        /// <summary>A part of an array.</summary>
        public Bytes(byte[] array, int offset, int count)
        {
            if (offset < 0 || count < 0 || count > (array == null ? 0 : array.Length) - offset)
                throw new ArgumentOutOfRangeException(nameof(count), "not within the array");
            _owner = array;
            _start = (IntPtr)offset;
            _turn = 0;
            Length = count;
        }

        /// <summary>Memory of the caller's, which must stay valid as long as this is used.</summary>
        public Bytes(IntPtr address, int count) : this(null, address, count, 0) { }

        internal Bytes(object owner, IntPtr address, int count, int turn)
        {
            _owner = owner;
            _start = address;
            _turn = turn;
            Length = count;
        }

        /// <summary>All of an array, without a copy.</summary>
        public static implicit operator Bytes(byte[] array) => new Bytes(array);

        /// <summary>A segment of an array, without a copy.</summary>
        public static implicit operator Bytes(ArraySegment<byte> part) =>
            new Bytes(part.Array, part.Offset, part.Count);

        /// <summary>One byte.</summary>
        public byte this[int index]
        {
            get
            {
                if ((uint)index >= (uint)Length) throw new IndexOutOfRangeException();
                fixed (byte* array = Array)
                {
                    byte value = Enter(array)[index];
                    Exit();
                    return value;
                }
            }
        }

        /// <summary>Where they lie, for native code; zero for an array, which a collector may move.</summary>
        /// <remarks>Valid as long as the bytes are: the ring's until their release, a buffer's until its
        /// close.</remarks>
        public IntPtr Address => Array != null ? IntPtr.Zero : _start;

        /// <summary>A part of it, in place.</summary>
        public Bytes Slice(int offset, int count)
        {
            if (offset < 0 || count < 0 || count > Length - offset)
                throw new ArgumentOutOfRangeException(nameof(count));
            return new Bytes(_owner, _start + offset, count, _turn);
        }

        /// <summary>A copy.</summary>
        public byte[] ToArray()
        {
            var copy = new byte[Length];
            CopyTo(copy, 0);
            return copy;
        }

        /// <summary>Copy all of it into an array.</summary>
        public void CopyTo(byte[] target, int offset)
        {
            if (offset < 0 || target.Length - offset < Length) throw new ArgumentOutOfRangeException(nameof(offset));
            if (Length == 0) return;
            fixed (byte* to = &target[offset]) CopyTo(to);
        }

        /// <summary>Let a decoder read an event's bytes, and give parts of them away in place.</summary>
        internal void Lend(Decoder decoder) => decoder.Reset(Enter(null), Length, _owner as EventBatch, _turn);

        /// <summary>Let a decoder read an event's bytes, and copy what it gives away: it outlives the event.</summary>
        internal void LendForGood(Decoder decoder) => decoder.Reset(Enter(null), Length, null, 0);

        internal void CopyTo(byte* to)
        {
            fixed (byte* array = Array)
            {
                System.Buffer.MemoryCopy(Enter(array), to, Length, Length);
                Exit();
            }
        }

        /// <summary>What to pin before <see cref="Enter"/>; null when no collector moves the bytes.</summary>
        internal byte[] Array => _owner as byte[];

        /// <summary>Whether they are there for a while only: a message of the ring.</summary>
        internal bool IsLent => _owner is EventBatch;

        /// <summary>The address, valid until <see cref="Exit"/>.</summary>
        /// <param name="array">The pinned <see cref="Array"/>.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal byte* Enter(byte* array)
        {
            if (array != null) return array + (int)_start;
            if (_owner != null) CheckOwner();
            return (byte*)_start;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void Exit()
        {
            if (_owner is BufferMemory memory) memory.DangerousRelease();
            else GC.KeepAlive(_owner);
        }

        private void CheckOwner()
        {
            if (_owner is EventBatch batch) batch.CheckTurn(_turn);
            else if (_owner is BufferMemory memory) memory.Retain();
        }
    }
}
