using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Derecho
{
    /// <summary>
    /// Reads one message as docs/layout.md says. It comes from a peer and is untrusted: every message has exactly one
    /// encoding, so a cursor is followed through the tail and compared. Nothing but <see cref="DecodeError"/> comes of
    /// it.
    /// </summary>
    public sealed unsafe class Decoder
    {
        private string _what;
        private byte* _data;
        private int _length;
        private long _cursor;
        private EventBatch _batch; // what the bytes belong to; null when they are nobody's
        private int _turn;

        /// <summary>Start a message.</summary>
        /// <param name="what">Such as "Cache.Put", for errors.</param>
        /// <param name="fixedBytes">Size of the fixed part.</param>
        public void Begin(string what, int fixedBytes)
        {
            _what = what;
            _cursor = fixedBytes;
            if (_length < fixedBytes) throw Bad($"needs {fixedBytes} bytes, has {_length}");
        }

        /// <summary>Nothing may be left.</summary>
        public void End()
        {
            if (_cursor != _length) throw Bad($"has {_length - _cursor} bytes too many");
        }

        /// <summary>Get a number at a place of the fixed part, or of an element.</summary>
        public sbyte GetSByte(int at) => (sbyte)*Place(at, 1);

        /// <inheritdoc cref="GetSByte"/>
        public byte GetByte(int at) => *Place(at, 1);

        /// <inheritdoc cref="GetSByte"/>
        public short GetInt16(int at) => *(short*)Place(at, 2);

        /// <inheritdoc cref="GetSByte"/>
        public ushort GetUInt16(int at) => *(ushort*)Place(at, 2);

        /// <inheritdoc cref="GetSByte"/>
        public int GetInt32(int at) => *(int*)Place(at, 4);

        /// <inheritdoc cref="GetSByte"/>
        public uint GetUInt32(int at) => *(uint*)Place(at, 4);

        /// <inheritdoc cref="GetSByte"/>
        public long GetInt64(int at) => *(long*)Place(at, 8);

        /// <inheritdoc cref="GetSByte"/>
        public ulong GetUInt64(int at) => *(ulong*)Place(at, 8);

        /// <inheritdoc cref="GetSByte"/>
        public float GetSingle(int at) => *(float*)Place(at, 4);

        /// <inheritdoc cref="GetSByte"/>
        public double GetDouble(int at) => *(double*)Place(at, 8);

        /// <summary>Get a bool, or whether an optional value is present.</summary>
        public bool GetBool(int at)
        {
            byte value = *Place(at, 1);
            if (value > 1) throw Bad($"byte {at} is a bool of {value}");
            return value == 1;
        }

        /// <summary>Get a text.</summary>
        public string GetString(int at)
        {
            int place = GetList(at, 1, 1, out int count);
            try
            {
                return count == 0 ? "" : Utf8.Strict.GetString(_data + place, count);
            }
            catch (DecoderFallbackException)
            {
                throw Bad($"the text at byte {at} is not valid UTF-8");
            }
        }

        /// <summary>Get a copy of bytes.</summary>
        public byte[] GetBytes(int at)
        {
            int place = GetList(at, 1, 1, out int count);
            var copy = new byte[count];
            Marshal.Copy((IntPtr)(_data + place), copy, 0, count);
            return copy;
        }

        /// <summary>Get bytes in place: there until the handler that they are given to returns. A copy where the
        /// message is no event of a batch, which could tell that it is over.</summary>
        public Bytes GetInPlace(int at)
        {
            if (_batch == null) return GetBytes(at);
            int place = GetList(at, 1, 1, out int count);
            return new Bytes(_batch, (IntPtr)(_data + place), count, _turn);
        }

        /// <summary>Follow the reference of a list or map.</summary>
        /// <param name="at">Where the reference lies.</param>
        /// <param name="elementBytes">Size of an element.</param>
        /// <param name="alignment">Of an element.</param>
        /// <param name="count">How many there are.</param>
        /// <returns>Where the first element lies.</returns>
        public int GetList(int at, int elementBytes, int alignment, out int count)
        {
            long place = (_cursor + alignment - 1) & -alignment;
            uint length = GetUInt32(at + 4);
            long end = place + (long)length * elementBytes;
            if (GetUInt32(at) != place || end > _length)
                throw Bad($"what byte {at} refers to does not lie where it must");
            _cursor = end;
            count = (int)length;
            return (int)place;
        }

        /// <summary>Get a list of numbers.</summary>
        public T[] GetNumbers<T>(int at, int elementBytes) where T : struct
        {
            int place = GetList(at, elementBytes, elementBytes, out int count);
            return GetArray<T>(place, count, elementBytes);
        }

        /// <summary>Get an array of numbers, or bools, that lies in place.</summary>
        public T[] GetArray<T>(int at, int count, int elementBytes) where T : struct
        {
            var values = new T[count];
            if (count == 0) return values;
            int bytes = checked(count * elementBytes);
            byte* place = Place(at, bytes);
            if ((object)values is bool[] flags)
            {
                for (int i = 0; i < count; i++) flags[i] = GetBool(at + i);
                return values;
            }
            GCHandle pinned = GCHandle.Alloc(values, GCHandleType.Pinned);
            System.Buffer.MemoryCopy(place, (void*)pinned.AddrOfPinnedObject(), bytes, bytes);
            pinned.Free();
            return values;
        }

        /// <summary>Add an entry to a map.</summary>
        /// <exception cref="DecodeError">When the key is there already.</exception>
        public void Add<TKey, TValue>(Map<TKey, TValue> map, TKey key, TValue value)
        {
            if (!map.TryAdd(key, value)) throw Bad("a map has a key twice");
        }

        /// <summary>Decode a message that is in an array.</summary>
        /// <exception cref="DecodeError">With the reason.</exception>
        public static T Read<T>(byte[] data, string what, int fixedBytes, Func<Decoder, T> read)
        {
            IntPtr memory = Marshal.AllocHGlobal(data.Length + 1);
            try
            {
                Marshal.Copy(data, 0, memory, data.Length);
                var decoder = new Decoder();
                decoder.Reset((byte*)memory, data.Length, null, 0);
                return decoder.Read(what, fixedBytes, read);
            }
            finally
            {
                Marshal.FreeHGlobal(memory);
            }
        }

        /// <summary>Decode the whole message.</summary>
        internal T Read<T>(string what, int fixedBytes, Func<Decoder, T> read)
        {
            Begin(what, fixedBytes);
            T value = read(this);
            End();
            return value;
        }

        internal void Reset(byte* data, int length, EventBatch batch, int turn)
        {
            _data = data;
            _length = length;
            _batch = batch;
            _turn = turn;
        }

        private byte* Place(int at, int width)
        {
            if (at < 0 || at > _length - width) throw Bad($"has no {width} bytes at {at}");
            return _data + at;
        }

        private DecodeError Bad(string reason) => new DecodeError($"{_what}: malformed message: {reason}");
    }
}
