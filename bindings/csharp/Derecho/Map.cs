using System;
using System.Collections;
using System.Collections.Generic;

namespace Derecho
{
    /// <summary>
    /// A dictionary that keeps the order of insertion, also after removals, so that replicas enumerate it alike. Keys
    /// of bytes are equal by value.
    /// </summary>
    public sealed class Map<TKey, TValue> : IDictionary<TKey, TValue>, IReadOnlyDictionary<TKey, TValue>
    {
        private readonly Dictionary<TKey, LinkedListNode<KeyValuePair<TKey, TValue>>> _nodes;
        private readonly LinkedList<KeyValuePair<TKey, TValue>> _order = new LinkedList<KeyValuePair<TKey, TValue>>();

        /// <summary>An empty map.</summary>
        public Map()
        {
            var comparer = typeof(TKey) == typeof(byte[]) ? (IEqualityComparer<TKey>)(object)new ByteComparer() : null;
            _nodes = new Dictionary<TKey, LinkedListNode<KeyValuePair<TKey, TValue>>>(comparer);
        }

        /// <summary>A copy of other entries, in their order.</summary>
        public Map(IEnumerable<KeyValuePair<TKey, TValue>> entries) : this()
        {
            foreach (KeyValuePair<TKey, TValue> entry in entries) Add(entry);
        }

        /// <summary>The value of a key; a new key goes to the end, an old one stays at its place.</summary>
        public TValue this[TKey key]
        {
            get => _nodes[key].Value.Value;
            set
            {
                if (_nodes.TryGetValue(key, out var node)) node.Value = new KeyValuePair<TKey, TValue>(key, value);
                else Add(key, value);
            }
        }

        /// <summary>How many entries.</summary>
        public int Count => _nodes.Count;

        /// <summary>The keys, in order of insertion.</summary>
        public ICollection<TKey> Keys
        {
            get
            {
                var keys = new List<TKey>(Count);
                foreach (KeyValuePair<TKey, TValue> entry in _order) keys.Add(entry.Key);
                return keys;
            }
        }

        /// <summary>The values, in order of insertion.</summary>
        public ICollection<TValue> Values
        {
            get
            {
                var values = new List<TValue>(Count);
                foreach (KeyValuePair<TKey, TValue> entry in _order) values.Add(entry.Value);
                return values;
            }
        }

        /// <summary>Never.</summary>
        public bool IsReadOnly => false;

        IEnumerable<TKey> IReadOnlyDictionary<TKey, TValue>.Keys => Keys;

        IEnumerable<TValue> IReadOnlyDictionary<TKey, TValue>.Values => Values;

        /// <summary>Append an entry unless its key is there.</summary>
        /// <returns>Whether it was appended.</returns>
        public bool TryAdd(TKey key, TValue value)
        {
            if (_nodes.ContainsKey(key)) return false;
            _nodes.Add(key, _order.AddLast(new KeyValuePair<TKey, TValue>(key, value)));
            return true;
        }

        /// <summary>Append an entry.</summary>
        /// <exception cref="ArgumentException">When the key is there.</exception>
        public void Add(TKey key, TValue value)
        {
            if (!TryAdd(key, value)) throw new ArgumentException("the key is in the map already", nameof(key));
        }

        /// <summary>Append an entry.</summary>
        public void Add(KeyValuePair<TKey, TValue> entry) => Add(entry.Key, entry.Value);

        /// <summary>Take an entry out.</summary>
        /// <returns>Whether it was there.</returns>
        public bool Remove(TKey key)
        {
            if (!_nodes.TryGetValue(key, out var node)) return false;
            _order.Remove(node);
            return _nodes.Remove(key);
        }

        /// <summary>Take an entry out, if it has this value.</summary>
        public bool Remove(KeyValuePair<TKey, TValue> entry) => Contains(entry) && Remove(entry.Key);

        /// <summary>Whether a key is there.</summary>
        public bool ContainsKey(TKey key) => _nodes.ContainsKey(key);

        /// <summary>Whether a key is there, with this value.</summary>
        public bool Contains(KeyValuePair<TKey, TValue> entry) =>
            TryGetValue(entry.Key, out TValue value) && EqualityComparer<TValue>.Default.Equals(value, entry.Value);

        /// <summary>Look a key up.</summary>
        public bool TryGetValue(TKey key, out TValue value)
        {
            bool found = _nodes.TryGetValue(key, out var node);
            value = found ? node.Value.Value : default(TValue);
            return found;
        }

        /// <summary>Take all entries out.</summary>
        public void Clear()
        {
            _nodes.Clear();
            _order.Clear();
        }

        /// <summary>Copy the entries, in order.</summary>
        public void CopyTo(KeyValuePair<TKey, TValue>[] array, int index) => _order.CopyTo(array, index);

        /// <summary>The entries, in order of insertion.</summary>
        public IEnumerator<KeyValuePair<TKey, TValue>> GetEnumerator() => _order.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    internal sealed class ByteComparer : IEqualityComparer<byte[]>
    {
        public bool Equals(byte[] a, byte[] b) => Same(a, b);

        public int GetHashCode(byte[] bytes) => Hash(bytes);

        internal static bool Same(byte[] a, byte[] b)
        {
            if (a == null || b == null || a.Length != b.Length) return ReferenceEquals(a, b);
            for (int i = 0; i < a.Length; i++)
                if (a[i] != b[i]) return false;
            return true;
        }

        internal static int Hash(byte[] bytes)
        {
            uint hash = 2166136261;
            foreach (byte b in bytes) hash = (hash ^ b) * 16777619;
            return (int)hash;
        }
    }
}
