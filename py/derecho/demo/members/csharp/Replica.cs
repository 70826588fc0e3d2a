using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using Derecho;
using file_store;

/// <summary>The files, in memory. Handlers run on one thread, reports on another: hence the locks.</summary>
internal sealed class Replica : FileStore
{
    private readonly object _lock = new object();
    private Map<string, byte[]> _files = new Map<string, byte[]>();
    private Map<string, List<byte[]>> _partial = new Map<string, List<byte[]>>();
    private long _storedBytes;

    internal long StoredBytes { get { lock (_lock) return _storedBytes; } }

    internal int Count { get { lock (_lock) return _files.Count; } }

    public override bool Put(string path, uint index, uint count, byte[] piece)
    {
        lock (_lock)
        {
            if (index == 0) _partial[path] = new List<byte[]>();
            if (!_partial.TryGetValue(path, out List<byte[]> pieces) || pieces.Count != index)
                throw new InvalidOperationException($"{path}: a piece is missing");
            pieces.Add(piece);
            if (pieces.Count < count) return false;
            _partial.Remove(path);
            if (_files.TryGetValue(path, out byte[] before)) _storedBytes -= before.Length;
            _files[path] = Joined(pieces);
            _storedBytes += _files[path].Length;
            return true;
        }
    }

    public override byte[] Get(string path)
    {
        lock (_lock) return _files.TryGetValue(path, out byte[] content) ? content : null;
    }

    protected override Stored SaveState()
    {
        lock (_lock)
        {
            var partial = new Map<string, IReadOnlyList<byte[]>>();
            foreach (KeyValuePair<string, List<byte[]>> file in _partial) partial.Add(file.Key, file.Value);
            return new Stored(_files, partial);
        }
    }

    protected override void LoadState(Stored state)
    {
        lock (_lock)
        {
            _files = new Map<string, byte[]>(state.Files);
            _partial = new Map<string, List<byte[]>>();
            foreach (KeyValuePair<string, IReadOnlyList<byte[]>> file in state.Partial)
                _partial.Add(file.Key, file.Value.ToList());
            _storedBytes = _files.Values.Sum(content => (long)content.Length);
        }
    }

    internal bool Has(string path)
    {
        lock (_lock) return _files.ContainsKey(path);
    }

    /// <summary>SHA-256 over the files by path, each part preceded by its length.</summary>
    internal string Digest()
    {
        lock (_lock)
        {
            using (var hash = SHA256.Create())
            {
                var whole = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write);
                var names = _files.Keys.Select(path => Encoding.UTF8.GetBytes(path)).ToArray();
                Array.Sort(names, ByteOrder);
                foreach (byte[] name in names)
                {
                    Write(whole, name);
                    Write(whole, _files[Encoding.UTF8.GetString(name)]);
                }
                whole.FlushFinalBlock();
                return string.Concat(hash.Hash.Select(b => b.ToString("x2")));
            }
        }
    }

    private static byte[] Joined(List<byte[]> pieces)
    {
        var whole = new byte[pieces.Sum(piece => piece.Length)];
        int place = 0;
        foreach (byte[] piece in pieces)
        {
            piece.CopyTo(whole, place);
            place += piece.Length;
        }
        return whole;
    }

    // In UTF-8 the order of bytes is that of code points; that of .NET's strings is not.
    private static int ByteOrder(byte[] a, byte[] b)
    {
        int common = Math.Min(a.Length, b.Length);
        for (int i = 0; i < common; i++)
            if (a[i] != b[i]) return a[i] - b[i];
        return a.Length - b.Length;
    }

    private static void Write(Stream to, byte[] part)
    {
        to.Write(BitConverter.GetBytes((long)part.Length), 0, sizeof(long));
        to.Write(part, 0, part.Length);
    }
}
