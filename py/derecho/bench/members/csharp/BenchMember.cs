using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Derecho;

/// <summary>
/// One member of a measured group in C#: does what bench/member.cpp does, with the same settings (key=value) and the
/// same figures, over the forms that make no objects. The first byte of a message says what it is.
/// </summary>
internal sealed unsafe class BenchMember
{
    private const byte Ready = 1, Data = 2, Stop = 3, Done = 4;
    private const long WaitNs = 10000000;
    private const long SoonNs = 100000;
    private const int ClaimFrom = 4096; // bytes
    private const int Many = 64; // messages handed over by one call
    private const long SlackNs = 100000000; // after the window, for members whose own began later
    private const int DeathSignal = 1; // PR_SET_PDEATHSIG
    private const ulong SigKill = 9;

    private readonly Session _session;
    private readonly int _members, _senders, _bytes, _burst;
    private readonly bool _oneAtATime, _read;
    private readonly double _warm, _seconds;
    private readonly Derecho.Buffer _memory;
    private readonly byte* _source; // of a message
    private readonly Claim _claim = new Claim();
    private readonly MessageBatch _batch;
    private readonly Action<Event> _take;
    private readonly List<long> _latencies = new List<long>(1 << 20);

    private bool _sender, _full, _stopSeen, _stopSent, _doneSent;
    private int _ready, _done;
    private long _sent, _delivered, _ownDelivered, _polls, _sum;
    private long _warmUntilNs, _windowUntilNs;
    private Reading _begin, _end;
    private string _memoryUsed;

    private static void Main(string[] words)
    {
        prctl(DeathSignal, SigKill);
        bool ffi = words[0] == "ffi"; // what a message costs a program alone
        Dictionary<string, string> settings =
            words.Skip(ffi ? 1 : 0).Select(w => w.Split(new[] { '=' }, 2)).ToDictionary(parts => parts[0], parts => parts[1]);
        Console.WriteLine(ffi ? Ffi.Run(settings) : new BenchMember(settings).Run());
    }

    private BenchMember(Dictionary<string, string> settings)
    {
        _members = int.Parse(settings["members"]);
        _senders = int.Parse(settings["senders"]);
        _bytes = int.Parse(settings["bytes"]);
        _oneAtATime = settings["mode"] == "latency";
        _read = settings["read"] == "1";
        _warm = double.Parse(settings["warm"], CultureInfo.InvariantCulture);
        _seconds = double.Parse(settings["seconds"], CultureInfo.InvariantCulture);
        _burst = Math.Max(1, Math.Min(256, (256 << 10) / (_bytes + 16)));
        _take = Take;
        _memory = new Derecho.Buffer(_bytes);
        _source = (byte*)_memory.Pin().Address; // pinned as long as the process lives
        for (int i = 1; i < _bytes; i++) _source[i] = 0x5a;
        _source[0] = Data;
        _batch = new MessageBatch(Many, Many * ((_bytes + 7) & ~7));
        // What is written now stays: for each message only its number is written again.
        for (int i = 0; i < Many; i++) _batch.Add(new Bytes((IntPtr)_source, _bytes));
        _batch.Clear();
        _session = new Session(settings);
    }

    private string Run()
    {
        StartTogether();
        while (_done < _members) Pump();
        string sender = _sender ? "true" : "false";
        string result = $"{{\"rank\": {_session.Rank}, \"sender\": {sender}, {Figures.Window(_begin, _end, _bytes)}, " +
            $"{_memoryUsed}{Figures.Latencies(_latencies)}, \"sum\": {_sum}}}";
        _session.Leave();
        return result;
    }

    // ---------------------------------------------------------------------------------------------- taking

    private int Poll(long timeoutNs)
    {
        _polls++;
        return _session.Poll(timeoutNs, _take);
    }

    private void Take(Event e)
    {
        Bytes payload = e.Data;
        var data = (byte*)payload.Address;
        if (data[0] == Data)
        {
            _delivered++;
            if ((e.Flags & EventFlags.Own) != 0) _ownDelivered++;
            _sum += _read ? SumOf(data, payload.Length) : payload.Length;
            return;
        }
        if (data[0] == Ready) _ready++;
        if (data[0] == Stop) _stopSeen = true;
        if (data[0] == Done) _done++;
    }

    private static long SumOf(byte* data, int size)
    {
        long sum = 0;
        int at = 0;
        for (; at + 8 <= size; at += 8) sum += *(long*)(data + at);
        for (; at < size; at++) sum += data[at];
        return sum;
    }

    // ---------------------------------------------------------------------------------------------- sending

    private void StartTogether()
    {
        _session.WaitForMembers(_members);
        _sender = _session.Rank < _senders;
        Tell(Ready);
        while (_ready < _members)
        {
            Poll(WaitNs);
            _session.CheckDeadline("all members to be ready");
        }
        _warmUntilNs = Session.NowNs() + (long)(_warm * 1e9);
        _windowUntilNs = _warmUntilNs + (long)(_seconds * 1e9);
    }

    // A full ring has room again only when this member, too, takes what is delivered.
    private void Tell(byte tag)
    {
        Status status;
        while ((status = _session.Shard.TrySend(new[] { tag }, out _)) == Status.Again || status == Status.Wedged)
        {
            Poll(SoonNs);
            _session.CheckDeadline("room to send in");
        }
        Require(status);
    }

    // One turn: send what is to be sent, take what is delivered.
    private void Pump()
    {
        if (!_sender || _stopSeen) Poll(WaitNs);
        else if (_oneAtATime) SendOneAndWait();
        else
        {
            SendBurst();
            // A full ring has room again when the others released something, which is no event: look again soon.
            if (Poll(0) == 0 && _full) Thread.Yield();
        }
        WatchClock();
    }

    private void SendBurst()
    {
        _full = false;
        if (_bytes >= ClaimFrom) for (int i = 0; i < _burst && !_full; i++) _full = !SendClaimed();
        else for (int left = _burst; left > 0 && !_full; left -= Many) _full = !SendMany();
    }

    private void SendOneAndWait()
    {
        long began = Session.NowNs();
        if (!(_bytes >= ClaimFrom ? SendClaimed() : SendCopied()))
        {
            Poll(0);
            return;
        }
        while (_ownDelivered < _sent && !_stopSeen) Poll(WaitNs);
        long now = Session.NowNs();
        if (_ownDelivered == _sent && began >= _warmUntilNs && now <= _windowUntilNs) _latencies.Add(now - began);
    }

    // False: no room now.
    private bool SendClaimed()
    {
        Status status = _session.Shard.TryClaim(_claim, _bytes);
        if (status == Status.Again) return false;
        Require(status);
        var data = (byte*)_claim.Data;
        System.Buffer.MemoryCopy(_source, data, _bytes, _bytes);
        *(long*)(data + 8) = _sent;
        while ((status = _claim.TryCommit(_bytes)) == Status.Again) Poll(SoonNs);
        Require(status);
        _sent++;
        return true;
    }

    private bool SendCopied()
    {
        if (_bytes >= 16) *(long*)(_source + 8) = _sent;
        Status status = _session.Shard.TrySend(new Bytes((IntPtr)_source, _bytes), out _);
        if (status == Status.Again) return false;
        Require(status);
        _sent++;
        return true;
    }

    // False: there was no room for all; the rest goes the next time.
    private bool SendMany()
    {
        if (_batch.Count == 0) FillBatch();
        Status status = _session.Shard.TrySendMany(_batch, out int sent, out _);
        if (status != Status.Again) Require(status);
        _batch.Remove(sent);
        _sent += sent;
        return _batch.Count == 0;
    }

    private void FillBatch()
    {
        for (int i = 0; i < Many; i++)
        {
            var place = (byte*)_batch.Reserve(_bytes);
            if (_bytes >= 16) *(long*)(place + 8) = _sent + i;
        }
    }

    private static void Require(Status status)
    {
        if (status != Status.Ok) throw new InvalidOperationException(status.ToString());
    }

    // ---------------------------------------------------------------------------------------------- the window

    // Notes where the window begins and ends, and says when it is over.
    private void WatchClock()
    {
        long now = Session.NowNs();
        if (_begin == null && now >= _warmUntilNs) _begin = NewReading();
        if (_end == null && _begin != null && now >= _windowUntilNs)
        {
            _end = NewReading();
            _memoryUsed = Figures.Memory();
        }
        if (_session.Rank == 0 && !_stopSent && now >= _windowUntilNs + SlackNs)
        {
            _stopSent = true;
            Tell(Stop);
        }
        if (_stopSeen && !_doneSent)
        {
            _doneSent = true;
            Tell(Done);
        }
        _session.CheckDeadline("the group to finish", now);
    }

    private Reading NewReading() => new Reading(_delivered, _polls, _session.Group.GetStats());

    [DllImport("libc")]
    private static extern int prctl(int option, ulong value);
}
