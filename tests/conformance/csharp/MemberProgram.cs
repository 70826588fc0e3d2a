// The services ring in one program: joins a group and does what standard input says (tests/conformance/README.md).
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading;
using Derecho;

namespace Conformance
{
    /// <summary>The replica: gives back what it is given.</summary>
    internal sealed class Replica : Everything
    {
        private Totals _totals = new Totals(0, 0, new byte[0]);

        public override Values Echo(Values values) => values;

        public override Values EchoHere(Values values) => values;

        public override byte[] EchoBytes(byte[] value)
        {
            _totals = new Totals(_totals.Sum, _totals.Calls + 1, value);
            return value;
        }

        public override string Mix(sbyte a, string b, double c, bool d, IReadOnlyList<int> e)
        {
            string number = c.ToString("0.00", CultureInfo.InvariantCulture);
            return $"{a}|{b}|{number}|{(d ? "true" : "false")}|{e.Sum(i => (long)i)}";
        }

        public override long Add(long amount)
        {
            _totals = new Totals(_totals.Sum + amount, _totals.Calls + 1, _totals.Last);
            return _totals.Sum;
        }

        /// <summary>Become another than the other replicas.</summary>
        internal void Spoil() => _totals = new Totals(_totals.Sum + 1, _totals.Calls, _totals.Last);

        public override long Total() => _totals.Sum;

        public override void Fail(string kind, string text) => FailHere(kind, text);

        public override void FailHere(string kind, string text)
        {
            if (kind == "argument") throw new ArgumentException(text);
            if (kind == "state") throw new InvalidOperationException(text);
        }

        public override string Moment() => MomentHere();

        public override string MomentHere()
        {
            CallContext call = CallContext.Current;
            return $"{call.Caller}:{call.Version}:{call.TimeNs}";
        }

        protected override Totals SaveState() => _totals;

        protected override void LoadState(Totals state) => _totals = state;
    }

    /// <summary>Does the lines of standard input, one by one.</summary>
    internal sealed class MemberProgram
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

        private Group _group;
        private Everything.Caller _everything;

        private static void Main()
        {
            var program = new MemberProgram();
            string line;
            while ((line = Console.In.ReadLine()) != null)
            {
                Console.Out.Write(program.Answer(line) + "\n");
                Console.Out.Flush();
            }
        }

        private string Answer(string line)
        {
            string[] words = line.Split(' ');
            string[] arguments = words.Skip(1).Select(w => w == "-" ? "" : Uri.UnescapeDataString(w)).ToArray();
            try
            {
                IEnumerable<string> answers = Do(words[0], arguments);
                return answers == null ? "skip" : string.Join(" ", new[] { "ok" }.Concat(answers.Select(Encoded)));
            }
            catch (RemoteError error)
            {
                return $"error RemoteError {error.Member} {Encoded(error.TypeName)} {Encoded(error.Text)}";
            }
            catch (Exception error) when (error is DerechoError || error is InvalidOperationException)
            {
                return $"error {error.GetType().Name} {Encoded(error.Message)}";
            }
        }

        /// <summary>The words of the answer; null: there is no way to do that.</summary>
        private IEnumerable<string> Do(string command, string[] words)
        {
            switch (command)
            {
                case "join": return Join(words);
                case "wait": return One(Nodes(_group.WaitView(int.Parse(words[0]), Patience)));
                case "wait_exactly": return One(Nodes(_group.WaitViewExactly(int.Parse(words[0]), Patience)));
                case "echo": return Echo(words[0]);
                case "ask":
                    Everything.Values asked = Everything.Values.Decode(Bytes(words[1]));
                    return One(Hex(_everything.At(uint.Parse(words[0])).EchoHere(asked).Result.Encode()));
                case "bytes": return One(Hex(_everything.EchoBytes(Bytes(words[0])).Result));
                case "mixed": return Mixed(words);
                case "add": return One(_everything.Add(long.Parse(words[0])).Result);
                case "addall":
                    return One(string.Join(
                        ",",
                        _everything.Add(long.Parse(words[0])).All().OrderBy(e => e.Key)
                            .Select(e => $"{e.Key}={e.Value}")));
                case "spoil": return Done(_group.Local<Replica>().Spoil);
                case "send": return Done(() => _everything.SendAdd(long.Parse(words[0])));
                case "total": return One(_everything.Total().Result);
                case "fail": return Done(() => _everything.Fail(words[0], words[1]).All());
                case "failat":
                    return Done(() => Wait(_everything.At(uint.Parse(words[0])).FailHere(words[1], words[2])));
                case "moment":
                    return One(string.Join(
                        ",", _everything.Moment().All().OrderBy(e => e.Key).Select(e => $"{e.Key}={e.Value}")));
                case "moment_at": return One(_everything.At(uint.Parse(words[0])).MomentHere().Result);
                case "moment_of_none": return One(new Replica().Moment());
                case "troubles": return _group.GetTroubles();
                case "unknown": return null;
                case "flood": return Done(() => Flood(int.Parse(words[0]), int.Parse(words[1])));
                case "threads": return Done(() => AddOnThreads(int.Parse(words[0]), int.Parse(words[1])));
                case "pending": return CloseMeanwhile(int.Parse(words[0]));
                case "leave": return Done(_group.Leave);
                case "close": return Done(_group.Close);
                default: throw new ArgumentException($"no command {command}");
            }
        }

        private IEnumerable<string> Join(string[] words)
        {
            var config = new Config
            {
                ["node"] = words[0],
                ["listen"] = words[1],
                ["initial_members"] = words[2],
                ["wire"] = words[3],
                ["group"] = words[4]
            };
            _group = Group.Join(config, new GroupOptions { Timeout = Patience }, new Replica());
            _everything = new Everything.Caller(_group);
            return One(Nodes(_group.View));
        }

        private IEnumerable<string> Echo(string hex)
        {
            Everything.Values values = Everything.Values.Decode(Bytes(hex));
            IReadOnlyDictionary<uint, Everything.Values> all = _everything.Echo(values).All();
            return One(string.Join(",", all.OrderBy(e => e.Key).Select(e => $"{e.Key}={Hex(e.Value.Encode())}")));
        }

        private IEnumerable<string> Mixed(string[] words)
        {
            int[] numbers = words[4] == "" ? new int[0] : words[4].Split(',').Select(int.Parse).ToArray();
            double number = double.Parse(words[2], CultureInfo.InvariantCulture);
            return One(_everything.Mix(sbyte.Parse(words[0]), words[1], number, words[3] == "true", numbers).Result);
        }

        private void Flood(int count, int size)
        {
            var payload = new byte[size];
            for (int i = 0; i < count; i++) _everything.SendEchoBytes(payload);
            _everything.Add(0).All();
        }

        private void AddOnThreads(int threads, int count) => OnThreads(threads, () =>
        {
            for (int i = 0; i < count; i++) Wait(_everything.Add(1));
        })();

        private IEnumerable<string> CloseMeanwhile(int count)
        {
            int done = 0, closed = 0;
            Action join = OnThreads(count, () =>
            {
                try
                {
                    Wait(_everything.Add(0));
                    Interlocked.Increment(ref done);
                }
                catch (Closed)
                {
                    Interlocked.Increment(ref closed);
                }
            });
            _group.Close();
            join();
            return new[] { done.ToString(), closed.ToString() };
        }

        /// <summary>Start threads; what is returned waits for them, and throws what one of them threw.</summary>
        private static Action OnThreads(int count, Action body)
        {
            Exception failure = null;
            Thread[] threads = Enumerable.Range(0, count).Select(_ => new Thread(() =>
            {
                try
                {
                    body();
                }
                catch (Exception error)
                {
                    failure = error;
                }
            })).ToArray();
            foreach (Thread thread in threads) thread.Start();
            return () =>
            {
                foreach (Thread thread in threads) thread.Join();
                if (failure != null) throw failure;
            };
        }

        private static T Wait<T>(Future<T> future) => future.Result;

        private static IEnumerable<string> Done(Action action)
        {
            action();
            return new string[0];
        }

        private static IEnumerable<string> One(object word) =>
            new[] { Convert.ToString(word, CultureInfo.InvariantCulture) };

        private static string Nodes(View view) => string.Join(",", view.Nodes);

        private static string Hex(byte[] bytes) => string.Concat(bytes.Select(b => b.ToString("x2")));

        private static byte[] Bytes(string hex) =>
            Enumerable.Range(0, hex.Length / 2).Select(i => Convert.ToByte(hex.Substring(2 * i, 2), 16)).ToArray();

        /// <summary>A word of an answer: blanks, tabs, newlines and % are encoded; an empty one is "-", and "-" is
        /// "%2D".</summary>
        private static string Encoded(string text)
        {
            if (text == "") return "-";
            if (text == "-") return "%2D";
            var encoded = new StringBuilder(text);
            foreach (char c in "% \t\n\r") encoded.Replace(c.ToString(), $"%{(int)c:X2}");
            return encoded.ToString();
        }
    }
}
