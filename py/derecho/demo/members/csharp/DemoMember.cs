using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Derecho;
using file_store;

/// <summary>A member of the demo in C#: README.md in the folder above says what it reads and writes.</summary>
internal sealed class DemoMember
{
    private const int Window = 8; // calls under way
    private const int PieceBytes = 128 << 10;
    private const int ReportEveryMs = 20;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false);
    private static readonly TextWriter Out = new StreamWriter(Console.OpenStandardOutput(), Utf8) { AutoFlush = true };

    private readonly Replica _replica = new Replica();
    private readonly List<string> _paths = new List<string>();
    private readonly Queue<Replies<bool>> _underWay = new Queue<Replies<bool>>();
    private readonly Queue<long> _began = new Queue<long>(); // ticks, of each under way
    private readonly List<double> _latencies = new List<double>(); // seconds
    private string[] _task;
    private volatile Group _group;

    private static void Main()
    {
        var member = new DemoMember();
        var input = new StreamReader(Console.OpenStandardInput(), Utf8);
        for (string line = input.ReadLine(); line != null; line = input.ReadLine())
            member.Run(Array.ConvertAll(line.Split(' '), Uri.UnescapeDataString));
        Environment.Exit(1); // the supervisor is gone
    }

    private void Run(string[] words)
    {
        switch (words[0])
        {
            case "member": _task = words; break;
            case "path": _paths.Add(words[1]); break;
            case "go": new Thread(JoinAndSend).Start(); break;
            case "report": Report(); break;
            case "leave": Leave(); break;
            default: throw new ArgumentException(words[0]);
        }
    }

    private void JoinAndSend()
    {
        try
        {
            Join();
            Send();
        }
        catch (Exception error) when (error is DerechoError || error is IOException)
        {
            var text = new string(error.Message.Select(c => char.IsControl(c) ? ' ' : c).ToArray());
            Tell("failed", $"\"text\": \"{text.Replace("\\", "\\\\").Replace("\"", "\\\"")}\"");
            Environment.Exit(1);
        }
    }

    private void Join()
    {
        var config = new Config { ["node"] = _task[1], ["listen"] = _task[2], ["initial_members"] = _task[3] };
        config["group"] = _task[4];
        config["wire"] = _task[5];
        _group = Group.Join(config, new GroupOptions { Timeout = Deadline, OnView = TellView }, _replica);
        Tell("joined", $"\"files\": {_replica.Count}, \"bytes\": {_replica.StoredBytes}");
        new Thread(TellProgress).Start();
        _group.WaitView(int.Parse(_task[6]), Deadline);
    }

    private static void TellView(View view) =>
        Tell("view", $"\"id\": {view.Id}, \"nodes\": [{string.Join(", ", view.Nodes)}]");

    private void TellProgress()
    {
        for (long last = -1; ; Thread.Sleep(ReportEveryMs))
        {
            long now = _replica.StoredBytes;
            if (now != last) Tell("progress", $"\"stored_bytes\": {now}");
            last = now;
        }
    }

    // Send what the replica has not got; return when every member has all of it.
    private void Send()
    {
        var store = new FileStore.Caller(_group);
        var watch = Stopwatch.StartNew();
        int sentFiles = 0;
        long sentBytes = 0;
        foreach (string path in _paths.Where(path => !_replica.Has(path)))
        {
            byte[] content = File.ReadAllBytes(Path.Combine(_task[7], path));
            int count = Math.Max(1, (content.Length + PieceBytes - 1) / PieceBytes);
            for (int index = 0; index < count; index++)
            {
                if (_underWay.Count == Window) WaitForOldest();
                var piece = new byte[Math.Min(PieceBytes, content.Length - index * PieceBytes)];
                Array.Copy(content, index * PieceBytes, piece, 0, piece.Length);
                _began.Enqueue(Stopwatch.GetTimestamp());
                _underWay.Enqueue(store.Put(path, (uint)index, (uint)count, piece));
            }
            sentFiles++;
            sentBytes += content.Length;
        }
        while (_underWay.Count > 0) WaitForOldest();
        double seconds = watch.Elapsed.TotalSeconds;
        _latencies.Sort();
        Tell("sent", $"\"sent_files\": {sentFiles}, \"sent_bytes\": {sentBytes}, \"seconds\": {Number(seconds)}, " +
            $"\"calls\": {_latencies.Count}, \"p50_s\": {Quantile(0.5)}, \"p99_s\": {Quantile(0.99)}");
    }

    private void WaitForOldest()
    {
        _underWay.Dequeue().All(Deadline);
        _latencies.Add((Stopwatch.GetTimestamp() - _began.Dequeue()) / (double)Stopwatch.Frequency);
    }

    private string Quantile(double share)
    {
        if (_latencies.Count == 0) return "null";
        return Number(_latencies[Math.Min(_latencies.Count - 1, (int)(_latencies.Count * share))]);
    }

    private void Report() =>
        Tell("report", $"\"files\": {_replica.Count}, \"bytes\": {_replica.StoredBytes}, " +
            $"\"digest\": \"{_replica.Digest()}\"");

    private void Leave()
    {
        _group?.Leave();
        Environment.Exit(0);
    }

    private static string Number(double value) =>
        value.ToString("0.000000", CultureInfo.InvariantCulture);

    // Write an event: its name, and the rest of its fields as JSON.
    private static void Tell(string happened, string fields)
    {
        lock (Out) Out.WriteLine($"{{\"event\": \"{happened}\", {fields}}}");
    }
}
