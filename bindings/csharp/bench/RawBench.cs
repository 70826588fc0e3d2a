// Costs of the raw ring in one process, a group of one: raw_bench.c does the same, to be compared.
//     python3 bindings/csharp/build.py --output DIR --program bench bindings/csharp/bench/RawBench.cs
//     DERECHO_LIBRARY=... DIR/bench-coreclr
using System;
using System.Diagnostics;
using Derecho;

internal static class RawBench
{
    private const int MessageBytes = 100;
    private const int Many = 64;

    private static readonly byte[] Payload = new byte[MessageBytes];
    private static RawGroup _group;
    private static Shard _shard;

    private static void Main()
    {
        using (var config = new Config { ["node"] = "1", ["listen"] = "127.0.0.1:0" })
        {
            config.AddService("bench", 0);
            _group = RawGroup.Join(config);
        }
        _shard = _group.OpenShard("bench");
        using (var batch = new EventBatch())
        {
            _group.Poll(batch, 100000000);
            for (int round = 0; round < 3; round++)
            {
                Report("one_at_a_time_send_poll", 500000, n => OneAtATime(batch, n));
                Report("bursts_send_poll", 4000000, n => Bursts(batch, n));
                Report("bursts_claim_commit_poll", 4000000, n => Claims(batch, n));
                Report("bursts_send_many_poll", 8000000, n => SendMany(batch, n));
            }
        }
        _group.Dispose();
    }

    private static void OneAtATime(EventBatch batch, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _shard.Send(Payload);
            Take(batch, 1);
        }
    }

    private static void Bursts(EventBatch batch, int count)
    {
        for (int i = 0; i < count; i += Many)
        {
            for (int k = 0; k < Many; k++) _shard.Send(Payload);
            Take(batch, Many);
        }
    }

    private static void Claims(EventBatch batch, int count)
    {
        using (var claim = new Claim())
        {
            for (int i = 0; i < count; i += Many)
            {
                for (int k = 0; k < Many; k++)
                {
                    if (_shard.TryClaim(claim, MessageBytes) != Status.Ok) throw new InvalidOperationException("claim");
                    claim.Write(0, Payload);
                    claim.Commit();
                }
                Take(batch, Many);
            }
        }
    }

    private static void SendMany(EventBatch batch, int count)
    {
        using (var messages = new MessageBatch())
        {
            for (int i = 0; i < count; i += Many)
            {
                for (int k = 0; k < Many; k++) messages.Add(Payload);
                messages.Remove(_shard.SendMany(messages));
                Take(batch, Many);
            }
        }
    }

    private static long _bytes;

    private static void Take(EventBatch batch, int count)
    {
        while (count > 0)
        {
            count -= _group.Poll(batch, 1000000000);
            foreach (Event e in batch) _bytes += e.Data.Length;
            batch.Release();
        }
    }

    private static void Report(string name, int count, Action<int> run)
    {
        run(count / 10);
        var watch = Stopwatch.StartNew();
        run(count);
        Console.WriteLine($"{name} {watch.Elapsed.TotalMilliseconds * 1e6 / count:f1} ns");
    }
}
