using System;
using System.Collections.Generic;
using System.Globalization;
using System.Runtime.InteropServices;
using Derecho;

/// <summary>What a message costs a C# program alone: as bench/ffi.cpp, with the same settings and figures.</summary>
internal sealed unsafe class Ffi
{
    private const int Batch = 64; // messages between two polls
    private const int Messages = Batch * 200; // of one trial
    private const int Calls = 200000; // of one trial of the bare call
    private const int Trials = 15;
    private const int WarmTrials = 40; // until the program is as fast as it gets
    private const int PayloadBytes = 100;

    private readonly Session _session;
    private readonly byte[] _payload = new byte[PayloadBytes];
    private readonly Claim _claim = new Claim();
    private readonly MessageBatch _batch = new MessageBatch(Batch, Batch * 104);
    private readonly Action<Event> _take;
    private long _sum;
    private int _taken;

    internal static string Run(Dictionary<string, string> settings)
    {
        foreach (var given in new[] { ("wire", "auto"), ("timeout", "60"), ("contact", settings["listen"]) })
            if (!settings.ContainsKey(given.Item1)) settings[given.Item1] = given.Item2;
        return new Ffi(settings).Run();
    }

    private Ffi(Dictionary<string, string> settings)
    {
        _session = new Session(settings);
        _session.WaitForMembers(1);
        for (int i = 0; i < PayloadBytes; i++) _payload[i] = 0x5a;
        _take = e =>
        {
            _sum += *(byte*)e.Data.Address;
            _taken++;
        };
    }

    private string Run()
    {
        double bare = Measure(Calls, () =>
        {
            for (int i = 0; i < Calls; i++) _sum += derecho_abi_version();
        });
        return string.Format(
            CultureInfo.InvariantCulture,
            "{{\"bare_ns\": {0:F3}, \"send_ns\": {1:F3}, \"claim_ns\": {2:F3}, \"many_ns\": {3:F3}, \"sum\": {4}}}",
            bare,
            PerMessage(SendCopied),
            PerMessage(SendClaimed),
            PerMessage(SendMany),
            _sum);
    }

    private static double Measure(int count, Action trial)
    {
        var found = new double[Trials];
        for (int i = 0; i < WarmTrials; i++) trial();
        for (int i = 0; i < Trials; i++)
        {
            long begin = Session.NowNs();
            trial();
            found[i] = (double)(Session.NowNs() - begin) / count;
        }
        Array.Sort(found);
        return found[Trials / 2];
    }

    /// <summary>Send in batches, each by one run of <paramref name="send"/>, and take them, read in place.</summary>
    private double PerMessage(Action send) => Measure(Messages, () =>
    {
        for (int sent = 0; sent < Messages; sent += Batch)
        {
            send();
            for (_taken = 0; _taken < Batch;) _session.Poll(0, _take);
        }
    });

    private void SendCopied()
    {
        for (int i = 0; i < Batch; i++) Require(_session.Shard.TrySend(_payload, out _));
    }

    private void SendClaimed()
    {
        for (int i = 0; i < Batch; i++)
        {
            Require(_session.Shard.TryClaim(_claim, PayloadBytes));
            Marshal.Copy(_payload, 0, _claim.Data, PayloadBytes);
            Require(_claim.TryCommit(PayloadBytes));
        }
    }

    private void SendMany()
    {
        for (int i = 0; i < Batch; i++) _batch.Add(_payload);
        Require(_session.Shard.TrySendMany(_batch, out _, out _));
        _batch.Clear();
    }

    private static void Require(Status status)
    {
        if (status != Status.Ok) throw new InvalidOperationException(status.ToString());
    }

    [DllImport("libderecho.so.1")]
    private static extern uint derecho_abi_version();
}
