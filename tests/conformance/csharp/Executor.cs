// The raw ring in one program: runs a conformance script, a line a step (tests/conformance/README.md). Judges nothing.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Derecho;
using Buffer = Derecho.Buffer;

namespace Conformance
{
    /// <summary>A step's inputs, and what it gives.</summary>
    internal sealed class Step
    {
        private readonly Dictionary<string, string> _inputs = new Dictionary<string, string>();
        private readonly StringBuilder _given = new StringBuilder("OK");

        internal Step(string line)
        {
            string[] fields = line.Split('\t');
            Function = fields[0];
            foreach (string field in fields.Skip(1))
            {
                int equals = field.IndexOf('=');
                _inputs.Add(field.Substring(0, equals), Uri.UnescapeDataString(field.Substring(equals + 1)));
            }
        }

        internal string Function { get; }

        internal string Line => _given.ToString();

        internal string this[string name] => _inputs[name];

        internal bool Has(string name) => _inputs.ContainsKey(name);

        internal string Or(string name, string otherwise) => Has(name) ? _inputs[name] : otherwise;

        internal void Give(string name, object value) => _given.Append($"\t{name}={Encoded(value.ToString())}");

        internal void GiveAlignment(IntPtr address, int multiple)
        {
            if ((long)address % multiple != 0) Give("aligned", "BAD");
        }

        internal static string Encoded(string text)
        {
            var encoded = new StringBuilder(text);
            foreach (char c in "%\t\n\r") encoded.Replace(c.ToString(), $"%{(int)c:X2}");
            return encoded.ToString();
        }

        internal static string Shown(byte[] bytes)
        {
            string hex = string.Concat(bytes.Take(32).Select(b => b.ToString("x2")));
            return $"{hex}+{bytes.Sum(b => (long)b) % 65521}";
        }
    }

    /// <summary>Does the steps of one script.</summary>
    internal sealed partial class Executor
    {
        private const int EventsMax = 256;
        private const int PageBytes = 4096;

        private readonly Dictionary<string, object> _table = new Dictionary<string, object>();
        private readonly Dictionary<string, ulong> _ids = new Dictionary<string, ulong>(); // of events, calls, tickets
        private readonly Dictionary<ulong, string> _names = new Dictionary<ulong, string>(); // of calls and tickets
        private readonly Dictionary<string, Action> _steps;
        private Step _step;

        private Executor()
        {
            _steps = new Dictionary<string, Action>
            {
                ["status_name"] = () => _step.Give("result", Library.NameOf(StatusInput())),
                ["last_error"] = () => _step.Give("result", Library.LastError),
                ["abi_version"] = () => _step.Give("result", Library.AbiVersion),
                ["abi_hash"] = () => _step.Give("result", Library.AbiHash),
                ["version"] = () => _step.Give("result", Library.Version),
                ["log_to"] = () => Library.LogTo((int)Number("fd"), (int)Number("level")),
                ["config_create"] = () => _table[_step["config_out"]] = new Config(),
                ["config_set"] = () => Named<Config>("config")[_step["key"]] = _step["value"],
                ["config_get"] = () => _step.Give("value", Named<Config>("config")[_step["key"]]),
                ["config_load"] = () => Named<Config>("config").Load(_step["path"]),
                ["config_add_service"] = () => Named<Config>("config").AddService(_step["name"], Number("schema_hash")),
                ["config_close"] = () => Named<Config>("config").Dispose(),
                ["group_join"] = () =>
                    _table[_step["group_out"]] = RawGroup.Join(Named<Config>("config"), (long)Number("timeout_ms")),
                ["group_leave"] = () => Named<RawGroup>("group").Leave((long)Number("timeout_ms")),
                ["group_close"] = () => Named<RawGroup>("group").Dispose(),
                ["group_fd"] = () => GC.KeepAlive(Named<RawGroup>("group").Descriptor),
                ["group_view"] = GroupView,
                ["group_stats"] = GroupStats,
                ["group_holdup"] = GroupHoldup,
                ["group_reply"] = () => Named<RawGroup>("group").Reply(
                    (uint)Number("node"), Number("call"), StatusInput(), Payload(_step["data"])),
                ["group_state"] = () => Named<RawGroup>("group").SendState(
                    (uint)Number("node"), Number("request"), Payload(_step["data"]), Number("last") != 0),
                ["group_state_size"] = () => Named<RawGroup>("group").SendStateSize(
                    (uint)Number("node"), Number("request"), (long)Number("total_bytes")),
                ["group_state_fail"] = () => Named<RawGroup>("group").FailState(
                    (uint)Number("node"), Number("request"), Payload(_step["text"])),
                ["wake"] = () => Named<RawGroup>("group").Wake(),
                ["poll"] = Poll,
                ["release"] = () => ((List<EventBatch>)_table[_step["lease"]]).ForEach(lease => lease.Release()),
                ["shard_open"] = () =>
                    _table[_step["shard_out"]] = Named<RawGroup>("group").OpenShard(_step["service"]),
                ["shard_send"] = () => KeepSent("ticket_out", Named<Shard>("shard").Send(Payload(_step["data"]))),
                ["shard_send_many"] = SendMany,
                ["shard_call"] = () => KeepSent("call_out", Named<Shard>("shard").Call(
                    (uint)Number("method"), Flags(), Payload(_step["args"]))),
                ["shard_query"] = () => KeepSent("call_out", Named<Shard>("shard").Query(
                    (uint)Number("node"), (uint)Number("method"), Payload(_step["args"]))),
                ["shard_claim"] = Claim,
                ["claim_fill"] = () => Named<Claim>("claim").Write(0, Payload(_step["data"])),
                ["claim_commit"] = Commit,
                ["claim_abort"] = () => Named<Claim>("claim").Abort(),
                ["buffer_create"] = () => _table[_step["buffer_out"]] = new Buffer((long)Number("size_bytes")),
                ["buffer_data"] = BufferData,
                ["buffer_fill"] = () => Named<Buffer>("buffer").Write((long)Number("offset"), Payload(_step["data"])),
                ["buffer_read"] = () => _step.Give("data", Step.Shown(
                    Named<Buffer>("buffer").Slice((long)Number("offset"), (int)Number("size_bytes")).ToArray())),
                ["buffer_release"] = () => Named<Buffer>("buffer").Dispose(),
                ["memory_register"] = MemoryRegister,
                ["memory_register_dmabuf"] = () =>
                    _table[_step["memory_out"]] = Named<RawGroup>("group").RegisterDmabuf(
                        (int)Number("fd"), (long)Number("offset"), (long)Number("size_bytes"), Access()),
                ["memory_key_for"] = () =>
                    _table[_step["key_out"]] = Named<RegisteredMemory>("memory").KeyFor((uint)Number("node")),
                ["memory_read"] = () => KeepSent("operation_out", Named<RawGroup>("group").Read(
                    (uint)Number("node"), Named<MemoryKey>("key"), (long)Number("offset"), Parts())),
                ["memory_write"] = () => KeepSent("operation_out", Named<RawGroup>("group").Write(
                    (uint)Number("node"), Named<MemoryKey>("key"), (long)Number("offset"), Parts())),
                ["memory_deregister"] = () =>
                    Named<RegisteredMemory>("memory").Deregister((long)Number("timeout_ms"))
            };
        }

        private static int Main(string[] arguments)
        {
            var executor = new Executor();
            try
            {
                foreach (string line in File.ReadLines(arguments[0]))
                {
                    Console.Out.Write(executor.Run(line) + "\n");
                    Console.Out.Flush();
                }
                return 0;
            }
            catch (KeyNotFoundException)
            {
                Console.Error.WriteLine($"executor: unknown function, or a name not set: {executor._step.Function}");
                return 2;
            }
        }

        private string Run(string line)
        {
            _step = new Step(line);
            Action step = _steps[_step.Function];
            try
            {
                step();
                return _step.Line;
            }
            catch (DerechoError error)
            {
                return $"{ShortName(error.Status)}\terror={Step.Encoded(error.Message)}";
            }
        }

        // ------------------------------------------------------------------------------------------ inputs

        private T Named<T>(string name) => (T)_table[_step[name]];

        private ulong Number(string name)
        {
            string value = _step[name];
            if (value.StartsWith("$")) return _ids[value.Substring(1)];
            return value.StartsWith("-") ? (ulong)long.Parse(value) : ulong.Parse(value);
        }

        private Bytes Payload(string text)
        {
            string[] parts = text.Split(new[] { ':' }, 2);
            string[] words = parts[1].Split(':');
            switch (parts[0])
            {
                case "text": return Encoding.UTF8.GetBytes(parts[1]);
                case "hex":
                    return Enumerable.Range(0, parts[1].Length / 2)
                        .Select(i => Convert.ToByte(parts[1].Substring(2 * i, 2), 16)).ToArray();
                case "repeat": return Enumerable.Repeat(byte.Parse(words[0]), int.Parse(words[1])).ToArray();
                default: return ((Buffer)_table[words[0]]).Slice(0, int.Parse(words[1]));
            }
        }

        private CallFlags Flags()
        {
            string names = _step["flags"].Replace('|', ',');
            return names == "" ? CallFlags.None : (CallFlags)Enum.Parse(typeof(CallFlags), names, true);
        }

        private Status StatusInput()
        {
            string name = _step["status"];
            foreach (Status status in Enum.GetValues(typeof(Status)))
                if (ShortName(status) == name) return status;
            return (Status)int.Parse(name);
        }

        private static string ShortName(Status status) => Library.NameOf(status).Substring("DERECHO_".Length);

        private void KeepSent(string output, ulong id)
        {
            if (!_step.Has(output)) return;
            _ids[_step[output]] = id;
            _names[id] = _step[output];
        }

        // ------------------------------------------------------------------------------------------ group

        private void GroupView()
        {
            View view = Named<RawGroup>("group").GetView();
            _step.Give("id", view.Id);
            _step.Give("self_rank", view.SelfRank is int rank ? (uint)rank : uint.MaxValue);
            IEnumerable<string> members = view.Members.Select(
                m => $"{m.Node}:{(m.Votes ? "VOTES" : m.HasState ? "HAS_STATE" : "")}");
            _step.Give("members", string.Join(",", members));
        }

        private void GroupStats()
        {
            Stats stats = Named<RawGroup>("group").GetStats();
            _step.Give("delivered_messages", stats.DeliveredMessages);
            _step.Give("delivered_bytes", stats.DeliveredBytes);
            _step.Give("sent_messages", stats.SentMessages);
            _step.Give("views", stats.Views);
        }

        private void GroupHoldup()
        {
            Holdup holdup = Named<RawGroup>("group").GetHoldup((uint)Number("node"));
            string[] causes = { "NONE", "NOT_POLLING", "NOT_RELEASING", "NO_STATE", "NOT_ACKNOWLEDGING" };
            _step.Give("cause", causes[(int)(holdup?.Cause ?? HoldupCause.None)]);
            if (holdup != null) _step.Give("node", holdup.Node);
        }

        // ---------------------------------------------------------------------------------------- shard, claim, buffer

        private void SendMany()
        {
            using (var batch = new MessageBatch())
            {
                foreach (string message in _step["messages"].Split(',').Where(m => m != ""))
                    batch.Add(Payload(message));
                Status status = Named<Shard>("shard").TrySendMany(batch, out int sent, out ulong ticket);
                if (status != Status.Ok) throw new DerechoError(status, Library.LastError);
                _step.Give("sent", sent);
                KeepSent("ticket_out", ticket);
            }
        }

        private void Claim()
        {
            int size = checked((int)Number("size_bytes"));
            Claim claim = Named<Shard>("shard").Claim(size, (uint)Number("method"), Flags());
            _table[_step["claim_out"]] = claim;
            _step.Give("size_bytes", claim.Size);
            _step.GiveAlignment(claim.Data, 8);
        }

        private void Commit()
        {
            var claim = Named<Claim>("claim");
            claim.Commit((int)Number("used_bytes"));
            KeepSent("claim", claim.Id);
        }

        private void MemoryRegister()
        {
            var buffer = Named<Buffer>("buffer");
            _table[_step["memory_out"]] = Named<RawGroup>("group").Register(buffer.Slice(0, (int)buffer.Size), Access());
        }

        private MemoryAccess Access()
        {
            string names = _step["access"].Replace('|', ',');
            return names == "" ? MemoryAccess.None : (MemoryAccess)Enum.Parse(typeof(MemoryAccess), names, true);
        }

        private MemoryPart[] Parts() => _step["pieces"].Split(',').Where(p => p != "").Select(p =>
        {
            string[] words = p.Split(':');
            return ((RegisteredMemory)_table[words[0]]).Part(long.Parse(words[1]), long.Parse(words[2]));
        }).ToArray();

        private void BufferData()
        {
            var buffer = Named<Buffer>("buffer");
            using (BufferPin pin = buffer.Pin())
            {
                _step.Give("size_bytes", buffer.Size);
                _step.GiveAlignment(pin.Address, PageBytes);
            }
        }
    }

    /// <summary>Polling, and what events look like.</summary>
    internal sealed partial class Executor
    {
        private readonly Dictionary<string, ulong> _versions = new Dictionary<string, ulong>(); // last of a shard

        private void Poll()
        {
            var group = Named<RawGroup>("group");
            long timeoutNs = long.Parse(_step.Or("timeout_ms", "0")) * 1000000;
            if (_step.Has("wake_after_ms")) PollWoken(group, timeoutNs);
            else PollUntil(group, timeoutNs, int.Parse(_step.Or("until", "1")));
        }

        private void PollUntil(RawGroup group, long timeoutNs, int wanted)
        {
            string[] skipped = _step.Or("skip", "").Split('|');
            string[] ids = _step.Or("ids", "").Split(',').Where(n => n != "").ToArray();
            var watch = Stopwatch.StartNew();
            int counted = 0;
            long left = timeoutNs;
            do
            {
                EventBatch batch = PollOnce(group, left, Math.Min(EventsMax, wanted - counted));
                foreach (Event e in batch)
                {
                    if (skipped.Contains(KindOf(e))) continue;
                    if (counted < ids.Length) _ids[ids[counted]] = e.Id;
                    _step.Give($"e{counted++}", Shown(e));
                }
                KeepOrRelease(batch);
                left = timeoutNs - (long)(watch.Elapsed.TotalMilliseconds * 1e6);
            }
            while (counted < wanted && left > 0);
        }

        private void PollWoken(RawGroup group, long timeoutNs)
        {
            int afterMs = (int)Number("wake_after_ms");
            var waker = new Thread(() =>
            {
                Thread.Sleep(afterMs);
                group.Wake();
            });
            waker.Start();
            var watch = Stopwatch.StartNew();
            EventBatch batch = PollOnce(group, timeoutNs, 1);
            bool early = batch.Count == 0 && watch.Elapsed.TotalMilliseconds * 1e6 < timeoutNs;
            KeepOrRelease(batch);
            _step.Give("woken", early ? "yes" : "no");
            waker.Join();
        }

        private static EventBatch PollOnce(RawGroup group, long timeoutNs, int capacity)
        {
            var batch = new EventBatch(capacity);
            group.Poll(batch, timeoutNs);
            return batch;
        }

        private void KeepOrRelease(EventBatch batch)
        {
            if (!_step.Has("lease_out"))
            {
                batch.Dispose();
                return;
            }
            if (!_table.ContainsKey(_step["lease_out"])) _table[_step["lease_out"]] = new List<EventBatch>();
            ((List<EventBatch>)_table[_step["lease_out"]]).Add(batch);
        }

        private string Shown(Event e)
        {
            string kind = KindOf(e);
            string flags = e.Flags == EventFlags.None ? "" : e.Flags.ToString().ToUpperInvariant().Replace(", ", "|");
            var text = new StringBuilder($"{kind};node={e.Node};method={e.Method};shard={e.Shard}");
            text.Append($";status={ShortName(e.Status)};flags={flags}");
            text.Append($";size={e.Data.Length};data={Step.Shown(e.Data.ToArray())}");
            bool own = (e.Flags & EventFlags.Own) != 0;
            bool call = e.Kind >= EventKind.Call && e.Kind <= EventKind.Reply;
            if (e.Kind == EventKind.Message ? own : call || e.Kind == EventKind.Memory)
                text.Append($";id={(_names.TryGetValue(e.Id, out string name) ? name : "?")}");
            if (!VersionGrows(e)) text.Append(";version=BAD");
            if (!IsAligned(e)) text.Append(";aligned=BAD");
            return text.ToString();
        }

        private bool VersionGrows(Event e)
        {
            if (e.Kind != EventKind.Message && e.Kind != EventKind.Call) return true;
            string shard = $"{_step["group"]}.{e.Shard}";
            _versions.TryGetValue(shard, out ulong last);
            _versions[shard] = e.Version;
            return e.Version > last;
        }

        private static bool IsAligned(Event e) =>
            e.Data.Length == 0 || (long)e.Data.Address % (e.Kind == EventKind.Ordered ? 4 : 8) == 0;

        private static string KindOf(Event e) =>
            e.Kind == EventKind.StateRequest ? "STATE_REQUEST" : e.Kind.ToString().ToUpperInvariant();
    }
}
