using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace Derecho
{
    /// <summary>
    /// Writes one message as docs/layout.md says. What generated code puts is walked twice: the first pass measures,
    /// the second writes into memory of exactly that size, such as a claim in the ring.
    /// </summary>
    /// <example><c>while (e.Pass()) { e.PutString(0, key); e.PutBytes(8, value); }</c></example>
    public abstract unsafe class Encoder
    {
        private enum Stage { Begun, Measuring, Writing, Over }

        private Stage _stage = Stage.Over;
        private string _what;
        private int _fixedBytes;
        private byte* _data; // null while measuring
        private long _cursor;

        /// <summary>Bytes of the message, once measured.</summary>
        internal int Size { get; private set; }

        /// <summary>Start a message.</summary>
        /// <param name="what">Such as "Cache.Put", for errors.</param>
        /// <param name="fixedBytes">Size of the fixed part.</param>
        public void Begin(string what, int fixedBytes)
        {
            _what = what;
            _fixedBytes = fixedBytes;
            _stage = Stage.Begun;
        }

        /// <summary>Whether everything is to be put (again).</summary>
        public bool Pass()
        {
            switch (_stage)
            {
                case Stage.Begun:
                    _data = null;
                    _stage = Stage.Measuring;
                    break;
                case Stage.Measuring:
                    Size = (int)_cursor;
                    _stage = Stage.Over;
                    if (!TryOpen(Size, out _data)) return false;
                    _stage = Stage.Writing;
                    Clear(0, _fixedBytes);
                    break;
                default:
                    if (_stage == Stage.Writing && _cursor != Size) throw Changed();
                    _stage = Stage.Over;
                    return false;
            }
            _cursor = _fixedBytes;
            return true;
        }

        /// <summary>Put a number or bool at a place of the fixed part, or of an element.</summary>
        public void PutBool(int at, bool value) { if (Writes(at, 1)) _data[at] = value ? (byte)1 : (byte)0; }

        /// <inheritdoc cref="PutBool"/>
        public void PutSByte(int at, sbyte value) { if (Writes(at, 1)) _data[at] = (byte)value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutByte(int at, byte value) { if (Writes(at, 1)) _data[at] = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutInt16(int at, short value) { if (Writes(at, 2)) *(short*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutUInt16(int at, ushort value) { if (Writes(at, 2)) *(ushort*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutInt32(int at, int value) { if (Writes(at, 4)) *(int*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutUInt32(int at, uint value) { if (Writes(at, 4)) *(uint*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutInt64(int at, long value) { if (Writes(at, 8)) *(long*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutUInt64(int at, ulong value) { if (Writes(at, 8)) *(ulong*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutSingle(int at, float value) { if (Writes(at, 4)) *(float*)(_data + at) = value; }

        /// <inheritdoc cref="PutBool"/>
        public void PutDouble(int at, double value) { if (Writes(at, 8)) *(double*)(_data + at) = value; }

        /// <summary>Put a text: its reference here, its UTF-8 in the tail.</summary>
        /// <exception cref="EncodeError">When it is null, or has half of a surrogate pair.</exception>
        public void PutString(int at, string value)
        {
            NotNull(value);
            try
            {
                if (_data == null)
                {
                    Take(Utf8.Strict.GetByteCount(value), 1);
                    return;
                }
                int count;
                fixed (char* text = value)
                    count = Utf8.Strict.GetBytes(text, value.Length, _data + _cursor, (int)(Size - _cursor));
                PutReference(at, Take(count, 1), count);
            }
            catch (EncoderFallbackException error)
            {
                throw new EncodeError($"{_what}: not valid Unicode text: {error.Message}");
            }
        }

        /// <summary>Put bytes: their reference here, themselves in the tail.</summary>
        /// <exception cref="EncodeError">When they are null.</exception>
        public void PutBytes(int at, byte[] value) => PutBytes(at, (Bytes)NotNull(value));

        /// <summary>Put bytes from wherever they lie.</summary>
        public void PutBytes(int at, Bytes value)
        {
            int place = Take(value.Length, 1);
            if (_data == null) return;
            value.CopyTo(_data + place);
            PutReference(at, place, value.Length);
        }

        /// <summary>Put the reference of a list or map; its elements follow.</summary>
        /// <returns>Where the first element lies.</returns>
        public int PutList(int at, int count, int elementBytes, int alignment)
        {
            int place = Take((long)count * elementBytes, alignment);
            if (_data == null) return place;
            Clear(place, count * elementBytes);
            PutReference(at, place, count);
            return place;
        }

        /// <summary>Put a list of numbers.</summary>
        public void PutNumbers<T>(int at, IReadOnlyList<T> values, int elementBytes) where T : struct
        {
            int count = Count(values);
            int place = Take((long)count * elementBytes, elementBytes);
            if (_data == null) return;
            PutReference(at, place, count);
            CopyNumbers(place, values, count * elementBytes);
        }

        /// <summary>Put an array of numbers in place.</summary>
        public void PutArray<T>(int at, T[] values, int count, int elementBytes) where T : struct
        {
            CheckLength(values, count);
            if (Writes(at, count * elementBytes)) CopyNumbers(at, values, count * elementBytes);
        }

        /// <summary>How many elements there are.</summary>
        /// <exception cref="EncodeError">When the collection is null.</exception>
        public int Count<T>(IReadOnlyCollection<T> values) => NotNull(values).Count;

        /// <summary>Refuse an array of another length.</summary>
        /// <exception cref="EncodeError">When it has not exactly so many elements, or is null.</exception>
        public void CheckLength<T>(T[] values, int count)
        {
            if (NotNull(values).Length != count)
                throw new EncodeError($"{_what}: expected {count} elements, got {values.Length}");
        }

        /// <summary>Refuse null.</summary>
        /// <exception cref="EncodeError">When it is null.</exception>
        public T NotNull<T>(T value) where T : class =>
            value ?? throw new EncodeError($"{_what}: a {typeof(T).Name} is null");

        /// <summary>Encode a message into an array of its own.</summary>
        public static byte[] ToArray(string what, int fixedBytes, Action<Encoder> put)
        {
            using (var scratch = new ScratchEncoder())
            {
                scratch.Begin(what, fixedBytes);
                while (scratch.Pass()) put(scratch);
                return scratch.Message.ToArray();
            }
        }

        /// <summary>Open memory of the measured size.</summary>
        /// <returns>False when the message is not to be written.</returns>
        internal abstract bool TryOpen(int size, out byte* data);

        private bool Writes(int at, int width)
        {
            if (_data == null) return false;
            if (at < 0 || at > Size - width) throw Changed();
            return true;
        }

        private int Take(long bytes, int alignment)
        {
            long place = (_cursor + alignment - 1) & -alignment, end = place + bytes;
            if (end > (_data == null ? int.MaxValue : Size))
                throw _data == null ? new EncodeError($"{_what}: the message is longer than 2 GB") : Changed();
            if (_data != null) Clear((int)_cursor, (int)(place - _cursor));
            _cursor = end;
            return (int)place;
        }

        private void PutReference(int at, int place, int length)
        {
            PutInt32(at, place);
            PutInt32(at + 4, length);
        }

        private void CopyNumbers<T>(int place, IReadOnlyList<T> values, int bytes) where T : struct
        {
            if (bytes == 0) return;
            if (typeof(T) == typeof(bool) || !(values is T[] array))
            {
                PutEach(place, values);
                return;
            }
            GCHandle pinned = GCHandle.Alloc(array, GCHandleType.Pinned);
            System.Buffer.MemoryCopy((void*)pinned.AddrOfPinnedObject(), _data + place, bytes, bytes);
            pinned.Free();
        }

        private void PutEach<T>(int place, IReadOnlyList<T> values) where T : struct
        {
            if (typeof(T) == typeof(bool))
            {
                var flags = (IReadOnlyList<bool>)values;
                for (int i = 0; i < flags.Count; i++) PutBool(place + i, flags[i]);
                return;
            }
            var copy = new T[values.Count];
            for (int i = 0; i < copy.Length; i++) copy[i] = values[i];
            CopyNumbers(place, copy, System.Buffer.ByteLength(copy));
        }

        private void Clear(int place, int bytes)
        {
            for (; bytes >= 8; place += 8, bytes -= 8) *(long*)(_data + place) = 0;
            for (; bytes > 0; place++, bytes--) _data[place] = 0;
        }

        private EncodeError Changed() => new EncodeError($"{_what}: a value changed while it was being encoded");
    }

    /// <summary>Writes into memory of its own, which it keeps for the next message.</summary>
    public unsafe class ScratchEncoder : Encoder, IDisposable
    {
        private byte* _memory;
        private int _capacity;

        internal ScratchEncoder() { }

        /// <summary>Whether the message is wanted; otherwise nothing is written.</summary>
        internal bool Wanted { get; set; } = true;

        /// <summary>Frees a forgotten one.</summary>
        ~ScratchEncoder() { Marshal.FreeHGlobal((IntPtr)_memory); }

        /// <summary>What was written; valid until the next message.</summary>
        internal Bytes Message => new Bytes((IntPtr)_memory, Size);

        /// <summary>Free the memory.</summary>
        public virtual void Dispose()
        {
            Marshal.FreeHGlobal((IntPtr)_memory);
            _memory = null;
            GC.SuppressFinalize(this);
        }

        internal override bool TryOpen(int size, out byte* data)
        {
            if (Wanted && (size > _capacity || _memory == null))
            {
                _capacity = Math.Max(size, 256);
                Marshal.FreeHGlobal((IntPtr)_memory);
                _memory = (byte*)Marshal.AllocHGlobal(_capacity);
            }
            data = _memory;
            return Wanted;
        }
    }
}
