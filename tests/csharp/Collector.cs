// One member sends itself messages, filled and read in place, while the collector is made to run as often as it can.
// Each carries a checksum. Buffers, open claims and batches of events are dropped now and then, for the collector to
// clean up. Writes how many messages came, how often it ran, and by how many bytes the process grew after a tenth.
using System;
using System.IO;
using Derecho;

internal sealed unsafe class Collector
{
    private const int Burst = 100;
    private const long WaitNs = 1000000;
    private const int CollectEvery = 10000; // messages
    private const int DropBatchEvery = 20000;
    private const int DropEvery = 500; // a buffer, and an open claim
    private const int BufferBytes = 64 << 10; // never freed, they would be 128 MB in the end
    private const int PageBytes = 4096;

    private readonly RawGroup _group;
    private readonly Shard _shard;
    private readonly Claim _claim = new Claim();
    private EventBatch _batch = new EventBatch(256);
    private ulong _random = 7;
    private long _sent, _delivered;
    internal object Garbage;

    private Collector(RawGroup group)
    {
        _group = group;
        _shard = group.OpenShard("log");
    }

    private static void Main(string[] words)
    {
        long messages = long.Parse(words[1]);
        var config = new Config { ["node"] = "1", ["listen"] = words[0], ["initial_members"] = words[0] };
        config["ring_bytes"] = "65536"; // small: what is released too soon is overwritten
        config.AddService("log", 0);
        using (RawGroup group = RawGroup.Join(config))
        {
            var collector = new Collector(group);
            collector.Run(messages / 10);
            Collect();
            long before = ResidentBytes();
            collector.Run(messages);
            Collect();
            Console.WriteLine($"{collector._delivered} {GC.CollectionCount(0)} {ResidentBytes() - before}");
        }
    }

    private void Run(long messages)
    {
        while (_delivered < messages)
            if (!Turn(messages)) Collect(); // the ring is full of what was dropped
    }

    // A method of its own: what its locals refer to can be collected afterwards. False: nothing was done.
    private bool Turn(long messages)
    {
        _group.Poll(_batch, _sent == _delivered ? 0 : WaitNs);
        long before = _sent;
        for (int i = 0; i < Burst && _sent < messages && Send(); i++) Garbage = new byte[Random(2000)];
        bool done = _sent > before || _batch.Count > 0;
        foreach (Event e in _batch) Take(e);
        if (Random(DropBatchEvery / Burst) == 0) _batch = new EventBatch(256);
        return done;
    }

    // False: no room now.
    private bool Send()
    {
        int size = 16 + Random(385);
        if (Random(DropEvery) == 0) DropClaim(size);
        Status status = Random(DropEvery) == 0 ? SendFromBuffer(size) : SendInPlace(size);
        if (status == Status.Again) return false;
        if (status != Status.Ok) throw new InvalidOperationException(status.ToString());
        if (++_sent % CollectEvery == 0) GC.Collect();
        return true;
    }

    // One that nobody ends.
    private void DropClaim(int size)
    {
        var dropped = new Claim();
        if (_shard.TryClaim(dropped, size) == Status.Ok) Fill((byte*)dropped.Data, size);
        GC.KeepAlive(dropped); // an address alone holds nothing
    }

    private Status SendInPlace(int size)
    {
        Status status = _shard.TryClaim(_claim, size);
        if (status != Status.Ok) return status;
        Fill((byte*)_claim.Data, size);
        return _claim.TryCommit(size);
    }

    // From one that nobody closes.
    private Status SendFromBuffer(int size)
    {
        Bytes part = new Derecho.Buffer(BufferBytes).Slice(BufferBytes - size, size);
        for (int at = 0; at < BufferBytes; at += PageBytes) *(byte*)(part.Address + size - BufferBytes + at) = 1;
        Garbage = new byte[BufferBytes]; // the collector may run now: only the part is in use
        Fill((byte*)part.Address, size);
        return _shard.TrySend(part, out _);
    }

    private void Fill(byte* data, int size)
    {
        int at = 8;
        for (; at + 8 <= size; at += 8) *(ulong*)(data + at) = Next();
        for (; at < size; at++) data[at] = (byte)Next();
        *(ulong*)data = Hash(data, size);
    }

    private void Take(Event e)
    {
        if (e.Kind != EventKind.Message) return;
        var data = (byte*)e.Data.Address;
        if (*(ulong*)data != Hash(data, e.Data.Length))
            throw new InvalidDataException($"message {_delivered} of {e.Data.Length} bytes is corrupt");
        _delivered++;
    }

    // Of all behind the first eight bytes.
    private static ulong Hash(byte* data, int size)
    {
        ulong hash = (ulong)size;
        int at = 8;
        for (; at + 8 <= size; at += 8) hash = (hash ^ *(ulong*)(data + at)) * 0x9e3779b97f4a7c15;
        for (; at < size; at++) hash = (hash ^ data[at]) * 0x9e3779b97f4a7c15;
        return hash;
    }

    private int Random(int below) => (int)(Next() >> 33) % below;

    private ulong Next()
    {
        _random ^= _random << 13;
        _random ^= _random >> 7;
        return _random ^= _random << 17;
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private static long ResidentBytes() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * PageBytes;
}
