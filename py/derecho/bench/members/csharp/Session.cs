using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using Derecho;

/// <summary>
/// One member of a benchmark group: joins, answers state requests, follows views, and hands messages to whoever
/// measures. As bench/session.cpp. One thread.
/// </summary>
internal sealed class Session
{
    private const string Service = "bench";
    private const int BatchEvents = 512;
    private const long WaitNs = 20000000;
    private const int LeaveMs = 5000;

    private readonly long _deadlineNs;
    private readonly EventBatch _batch = new EventBatch(BatchEvents);
    private readonly Queue<KeyValuePair<uint, ulong>> _due = new Queue<KeyValuePair<uint, ulong>>(); // node, request
    private View _view;
    private bool _closed;

    internal Session(IReadOnlyDictionary<string, string> settings)
    {
        double timeout = double.Parse(settings["timeout"], CultureInfo.InvariantCulture);
        _deadlineNs = NowNs() + (long)(timeout * 1e9);
        var config = new Config
        {
            ["node"] = settings["node"],
            ["listen"] = settings["listen"],
            ["initial_members"] = settings["contact"],
            ["wire"] = settings["wire"],
        };
        foreach (KeyValuePair<string, string> setting in settings)
            if (setting.Key.StartsWith("opt.")) config[setting.Key.Substring("opt.".Length)] = setting.Value;
        config.AddService(Service, 0);
        Group = RawGroup.Join(config, (long)(timeout * 1000));
        Shard = Group.OpenShard(Service);
    }

    internal RawGroup Group { get; }

    internal Shard Shard { get; }

    internal int Rank => _view.SelfRank ?? throw new InvalidOperationException("this node is only a client");

    internal static long NowNs() => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    /// <summary>Take one batch of events, hand each message to <paramref name="take"/>, release them.</summary>
    /// <returns>How many events there were.</returns>
    internal int Poll(long timeoutNs, Action<Event> take)
    {
        int count = Group.Poll(_batch, timeoutNs);
        for (int i = 0; i < count; i++)
        {
            Event e = _batch[i];
            if (e.Kind == EventKind.Message) take(e);
            else Note(e);
        }
        _batch.Release();
        while (_due.Count > 0 && Answered(_due.Peek())) _due.Dequeue();
        return count;
    }

    internal void WaitForMembers(int count)
    {
        while (_view == null || _view.Voters.Count != count)
        {
            Poll(WaitNs, e => { });
            CheckDeadline("the members to join");
        }
    }

    internal void CheckDeadline(string waitingFor) => CheckDeadline(waitingFor, NowNs());

    internal void CheckDeadline(string waitingFor, long nowNs)
    {
        if (nowNs > _deadlineNs) throw new TimeoutException($"gave up waiting for {waitingFor}");
        if (_closed) throw new InvalidOperationException($"the group ended while waiting for {waitingFor}");
    }

    internal void Leave()
    {
        try
        {
            Group.Leave(LeaveMs);
        }
        catch (DerechoError error) when (error is NoMajority || error is Ejected)
        {
            // Whoever is last may find that the others are gone already.
        }
        Group.Dispose();
    }

    private void Note(Event e)
    {
        if (e.Kind == EventKind.View) _view = Group.GetView();
        if (e.Kind == EventKind.StateRequest) _due.Enqueue(new KeyValuePair<uint, ulong>(e.Node, e.Id));
        if (e.Kind == EventKind.Closed) _closed = true;
    }

    // There is no state: joiners are told so. False: no room now.
    private bool Answered(KeyValuePair<uint, ulong> due)
    {
        Status status = Group.TrySendState(due.Key, due.Value, default(Bytes), true);
        if (status == Status.Ok || status == Status.Again) return status == Status.Ok;
        throw new InvalidOperationException($"state: {status}");
    }
}
