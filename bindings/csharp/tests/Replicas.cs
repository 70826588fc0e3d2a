// The replicas that tests of the services ring use.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Conformance;
using Derecho;
using static Tests.Helpers;

namespace Tests
{
    /// <summary>Everything, with a hook that runs in the handler of <c>fail_here</c> and <c>fail</c>.</summary>
    internal sealed class Replica : Everything
    {
        private Totals _totals = new Totals(0, 0, new byte[0]);

        /// <summary>Given kind and text.</summary>
        internal Action<string, string> OnFail { get; set; } = (kind, text) => { };

        /// <summary>Runs before the state is saved.</summary>
        internal Action OnSave { get; set; } = () => { };

        internal long Sum => Volatile.Read(ref _totals).Sum;

        internal byte[] Last => Volatile.Read(ref _totals).Last;

        /// <summary>Threads that ran a handler.</summary>
        internal List<int> Threads { get; } = new List<int>();

        internal bool CannotSave { get; set; }

        internal bool CannotLoad { get; set; }

        public override Values Echo(Values values) => values;

        public override Values EchoHere(Values values) => values;

        public override byte[] EchoBytes(byte[] value)
        {
            _totals = new Totals(_totals.Sum, _totals.Calls + 1, value);
            return value;
        }

        public override string Mix(sbyte a, string b, double c, bool d, IReadOnlyList<int> e) =>
            new string('x', e.Sum());

        public override long Add(long amount)
        {
            lock (Threads) Threads.Add(Thread.CurrentThread.ManagedThreadId);
            _totals = new Totals(_totals.Sum + amount, _totals.Calls + 1, _totals.Last);
            return _totals.Sum;
        }

        /// <summary>Become another than the other replicas.</summary>
        internal void Spoil() => _totals = new Totals(_totals.Sum + 1, _totals.Calls, _totals.Last);

        public override long Total() => _totals.Sum;

        public override void Fail(string kind, string text) => OnFail(kind, text);

        public override void FailHere(string kind, string text) => OnFail(kind, text);

        public override string Moment() => CallContext.Current.ToString();

        public override string MomentHere() => CallContext.Current.ToString();

        protected override Totals SaveState()
        {
            OnSave();
            return CannotSave ? null : _totals;
        }

        protected override void LoadState(Totals state)
        {
            if (CannotLoad) throw new FormatException("no good");
            _totals = state;
        }
    }

    /// <summary>Odd, which keeps what it was given in place.</summary>
    internal sealed class OddReplica : Odd
    {
        private byte[] _state = new byte[0];

        internal Bytes Kept { get; private set; }

        internal byte[] State => _state;

        public override long Odd_(long @class, string @lock) => @class;

        public override long Measure(Bytes part, Bytes? other)
        {
            Kept = part;
            _state = part.ToArray();
            return part.Length + (other?.Length ?? 0);
        }

        public override Deep Send(Deep decoder, Encoder_ arguments) => decoder;

        public override Bytes Equals_(bool result) => new[] { result ? (byte)1 : (byte)0 };

        public override void GetType_() { }

        public override long? Maybe(long? answer, string place) => place == null ? null : answer;

        internal IEnumerable<byte[]> Pieces { get; set; }

        protected override IEnumerable<byte[]> SavePieces() => Pieces;

        protected override byte[] SaveState() => _state;

        protected override void LoadState(byte[] state) => _state = state;
    }

    /// <summary>Calls that no generated caller makes.</summary>
    internal sealed class Rude : ServiceCaller
    {
        private static readonly Result<long> Long = new Result<long>("Rude.call", 8, d => d.GetInt64(0));

        internal Rude(Group group) : base(group, Everything.Name) { }

        /// <summary>Call a method with arguments of any layout.</summary>
        internal Replies<long> Any(uint method, byte[] arguments)
        {
            using (OutgoingCall call = Call(method, "Rude.call", arguments.Length))
            {
                while (call.Pass())
                    for (int i = 0; i < arguments.Length; i++) call.PutByte(i, arguments[i]);
                return call.Replies(Long);
            }
        }
    }

    /// <summary>Members of one group, all in this process; closed at the end.</summary>
    internal sealed class Members : IDisposable
    {
        private readonly List<Group> _groups = new List<Group>();

        internal Group this[int index] => _groups[index];

        public void Dispose()
        {
            foreach (Group group in _groups) group.Close();
        }

        /// <summary>Join one more.</summary>
        internal Action<Progress> OnProgress { get; set; }

        internal Group Join(
            Service service, TimeSpan? timeout = null, Action<View> onView = null, params string[] options)
        {
            string contacts = _groups.Count == 0 ? "" : _groups[0].View.Members[0].Address;
            Config config = NodeConfig((uint)_groups.Count + 1, contacts);
            foreach (string option in options) config[option.Split('=')[0]] = option.Split('=')[1];
            var wait = new GroupOptions { Timeout = timeout ?? Patience, OnView = onView, OnProgress = OnProgress };
            Group group = Group.Join(config, wait, service);
            _groups.Add(group);
            return group;
        }
    }
}
