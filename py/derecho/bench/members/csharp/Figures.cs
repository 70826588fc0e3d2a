using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Derecho;

/// <summary>What grows while the group runs, at one instant.</summary>
internal sealed class Reading
{
    internal readonly long AtNs = Session.NowNs();
    internal readonly double CpuSeconds;
    internal readonly long Delivered, Polls;
    internal readonly Stats Stats;

    internal Reading(long delivered, long polls, Stats stats)
    {
        using (Process self = Process.GetCurrentProcess()) CpuSeconds = self.TotalProcessorTime.TotalSeconds;
        Delivered = delivered;
        Polls = polls;
        Stats = stats;
    }
}

/// <summary>What was measured, as the JSON that bench/member.cpp prints.</summary>
internal static class Figures
{
    internal static string Window(Reading begin, Reading end, int bytes)
    {
        double seconds = (end.AtNs - begin.AtNs) / 1e9;
        long delivered = end.Delivered - begin.Delivered;
        double cpu = end.CpuSeconds - begin.CpuSeconds;
        return string.Join(", ",
            Field("window_s", seconds), Field("delivered", delivered), Field("delivered_per_s", delivered / seconds),
            Field("bytes_per_s", delivered / seconds * bytes),
            Field("events_per_poll", delivered / (double)Math.Max(end.Polls - begin.Polls, 1)),
            Field("cpu_s", cpu), Field("cpu_share", cpu / seconds),
            "\"stats\": {" + OfStats(begin.Stats, end.Stats) + "}");
    }

    /// <summary>Quantiles of times in nanoseconds, which it sorts; empty without any.</summary>
    internal static string Latencies(List<long> times)
    {
        if (times.Count == 0) return "";
        times.Sort();
        Func<string, double, string> at = (name, share) =>
            Field(name, times[Math.Min((int)(share * times.Count), times.Count - 1)]);
        string[] fields =
        {
            Field("count", times.Count), Field("mean", times.Average()), at("p50", 0.5), at("p90", 0.9),
            at("p99", 0.99), at("p999", 0.999), Field("max", times[times.Count - 1]),
        };
        return $", \"latency_ns\": {{{string.Join(", ", fields)}}}";
    }

    /// <summary>Resident and proportional set size.</summary>
    internal static string Memory()
    {
        string[] lines = File.ReadAllLines("/proc/self/smaps_rollup");
        Func<string, long> bytes = name =>
            1024 * long.Parse(lines.First(l => l.StartsWith(name)).Substring(name.Length).Replace("kB", "").Trim());
        return $"{Field("rss_bytes", bytes("Rss:"))}, {Field("pss_bytes", bytes("Pss:"))}";
    }

    internal static string Field(string name, double value) =>
        $"\"{name}\": {value.ToString("R", CultureInfo.InvariantCulture)}";

    private static string OfStats(Stats a, Stats b) =>
        string.Join(", ",
            Field("steps", b.Steps - a.Steps), Field("pushes", b.Pushes - a.Pushes), Field("wakes", b.Wakes - a.Wakes),
            Field("sleeps", b.Sleeps - a.Sleeps), Field("null_messages", b.NullMessages - a.NullMessages),
            Field("allocations", b.Allocations - a.Allocations), Field("mapped_bytes", b.MemoryBytes));
}
