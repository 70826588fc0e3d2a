using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading.Tasks;

namespace Derecho
{
    /// <summary>The answer of one member.</summary>
    public sealed class Reply<T> : Future<T>, IPending
    {
        private readonly Result<T> _result;

        internal Reply(Engine engine, Result<T> result, uint member) : base(engine, result.What)
        {
            _result = result;
            Member = member;
        }

        /// <summary>The node that answers.</summary>
        public uint Member { get; }

        /// <summary>Whether the member answered: it was not removed before.</summary>
        internal bool IsAnswer { get; private set; }

        /// <summary>Of the answer to an ordered call.</summary>
        internal ulong Digest { get; private set; }

        internal override string Late(TimeSpan timeout) =>
            $"{What}: member {Member} did not answer within {timeout.TotalSeconds:g} s{Engine.Because(Member)}";

        void IPending.Order(Event ordered) { }

        bool IPending.Take(Event reply, Decoder decoder)
        {
            Accept(reply, decoder);
            return true;
        }

        void IPending.Fail(DerechoError error) => Set(default(T), error);

        internal void Accept(Event reply, Decoder decoder)
        {
            T value = default(T);
            DerechoError error = null;
            Digest = reply.Version;
            IsAnswer = reply.Status != Status.Removed;
            try
            {
                if (reply.Status == Status.Ok)
                    value = decoder.Read(_result.What, _result.FixedBytes, _result.Read);
                else
                    error = Failures.OfReply(
                        reply.Status, Member, What, Encoding.UTF8.GetString(reply.Data.ToArray()));
            }
            catch (DecodeError malformed)
            {
                error = malformed;
            }
            Set(value, error);
        }
    }

    /// <summary>
    /// The answers of all members to an ordered call. As a future it is the first answer: members are replicas, so one
    /// tells what all will say.
    /// </summary>
    /// <example>
    /// <code>
    /// Replies&lt;long&gt; replies = cache.Put("k", value);
    /// replies.Result;            // the first answer, or: await replies
    /// replies.Members();         // who will answer: it is ordered now
    /// replies.All();             // by node, of everybody
    /// foreach (Reply&lt;long&gt; reply in replies.Arrivals()) ...
    /// </code>
    /// </example>
    public sealed class Replies<T> : Future<T>, IPending
    {
        private const int SaidLengthMax = 100;

        private readonly Result<T> _result;
        private volatile Reply<T>[] _replies; // by rank, once ordered
        private Reply<T>[] _arrived;
        private volatile int _arrivals;

        internal Replies(Engine engine, Result<T> result) : base(engine, result.What) { _result = result; }

        private bool IsOrdered => _replies != null || (IsDone && Error != null);

        private bool IsWhole => _replies != null ? _arrivals == _replies.Length : IsDone;

        /// <summary>Wait until the call is ordered: the nodes that apply and answer it, by rank.</summary>
        public IReadOnlyList<uint> Members() => Members(Engine.Timeout);

        /// <inheritdoc cref="Members()"/>
        public IReadOnlyList<uint> Members(TimeSpan timeout)
        {
            if (!Engine.Wait(() => IsOrdered, timeout, What)) throw new Timeout(NotOrdered(timeout));
            return Array.ConvertAll(Ordered(), r => r.Member);
        }

        /// <summary>As <see cref="Members()"/>, to be awaited.</summary>
        public Task<IReadOnlyList<uint>> MembersAsync() =>
            When<IReadOnlyList<uint>>(() => IsOrdered, () => Array.ConvertAll(Ordered(), r => r.Member), NotOrdered);

        /// <summary>Wait for every member that was in the view when the call was ordered.</summary>
        /// <returns>Node to value, by rank; without members that left before they answered.</returns>
        /// <exception cref="DerechoError">ReplicasDiffer: they did not all answer alike, in values, or in that some of
        /// them failed; RemoteError: all failed, the first by rank; MemberRemoved: all left; Timeout, naming who did not
        /// answer.</exception>
        public IReadOnlyDictionary<uint, T> All() => All(Engine.Timeout);

        /// <inheritdoc cref="All()"/>
        public IReadOnlyDictionary<uint, T> All(TimeSpan timeout)
        {
            if (!Engine.Wait(() => IsWhole, timeout, What)) throw new Timeout(NotWhole(timeout));
            return Whole();
        }

        /// <summary>As <see cref="All()"/>, to be awaited.</summary>
        public Task<IReadOnlyDictionary<uint, T>> AllAsync() => When(() => IsWhole, Whole, NotWhole);

        /// <summary>Each member's own answer, done, as they come; the time-out is for each.</summary>
        public IEnumerable<Reply<T>> Arrivals()
        {
            int count = Members().Count;
            for (int i = 0; i < count; i++)
            {
                int wanted = i;
                if (!Engine.Wait(() => _arrivals > wanted, Engine.Timeout, What))
                    throw new Timeout(NotWhole(Engine.Timeout));
                yield return _arrived[i];
            }
        }

        void IPending.Order(Event ordered)
        {
            byte[] nodes = ordered.Data.ToArray();
            var replies = new Reply<T>[nodes.Length / 4];
            for (int i = 0; i < replies.Length; i++)
                replies[i] = new Reply<T>(Engine, _result, BitConverter.ToUInt32(nodes, i * 4));
            _arrived = new Reply<T>[replies.Length];
            _replies = replies;
            Progress();
        }

        bool IPending.Take(Event answer, Decoder decoder)
        {
            uint member = answer.Node;
            Reply<T> reply = _replies?.FirstOrDefault(r => r.Member == member && !r.IsDone);
            if (reply == null) return false;
            reply.Accept(answer, decoder);
            Arrive(reply);
            bool last = _arrivals == _replies.Length;
            if (!(reply.Error is MemberRemoved)) Set(reply.Error == null ? reply.Result : default(T), reply.Error);
            else if (last) Set(default(T), new MemberRemoved($"{What}: every member left before it answered", 0));
            Progress();
            return last;
        }

        void IPending.Fail(DerechoError error)
        {
            foreach (Reply<T> reply in (_replies ?? new Reply<T>[0]).Where(r => !r.IsDone))
            {
                reply.Set(default(T), error);
                Arrive(reply);
            }
            Set(default(T), error);
            Progress();
        }

        private void Arrive(Reply<T> reply)
        {
            _arrived[_arrivals] = reply;
            _arrivals++; // one thread at a time writes it; whoever sees the new number sees the entry
        }

        private Reply<T>[] Ordered() => _replies ?? throw Error;

        private IReadOnlyDictionary<uint, T> Whole()
        {
            Reply<T>[] replies = Ordered();
            ReplicasDiffer differ = Difference(replies);
            if (differ != null) throw differ;
            DerechoError failure = replies.Select(r => r.Error).FirstOrDefault(e => e != null && !(e is MemberRemoved));
            if (failure != null) throw failure;
            var values = new Map<uint, T>();
            foreach (Reply<T> reply in replies.Where(r => r.Error == null)) values.Add(reply.Member, reply.Result);
            return values.Count != 0 ? values : throw Error;
        }

        /// <summary>By the digests of their answers, which are the same in every language; null if they are
        /// alike.</summary>
        private ReplicasDiffer Difference(Reply<T>[] replies)
        {
            Reply<T>[] answers = replies.Where(r => r.IsAnswer).ToArray();
            List<Reply<T>[]> groups = answers.GroupBy(r => r.Digest).Select(g => g.ToArray()).ToList();
            if (groups.Count < 2) return null;
            var said = new Map<uint, object>();
            foreach (Reply<T> reply in answers)
                said.Add(reply.Member, reply.Error == null ? (object)reply.Result : reply.Error);
            IEnumerable<string> texts = groups.OrderBy(g => g.Length) // those in the minority first
                .Select(g => (g.Length == 1 ? "node " : "nodes ") + string.Join(", ", g.Select(r => r.Member)) + " " +
                             Said(g[0]));
            return new ReplicasDiffer($"{What}: replicas differ: {string.Join(", ", texts)}", said);
        }

        private static string Said(Reply<T> reply)
        {
            string text = reply.Error is RemoteError failed ? $"failed with {failed.TypeName}: {failed.Text}"
                : reply.Error != null ? "failed: " + reply.Error.Message
                : "answered " + Shown(reply.Result);
            return text.Length <= SaidLengthMax ? text : text.Substring(0, SaidLengthMax) + "...";
        }

        private static string Shown(object value) =>
            value is Nothing ? "nothing" : value is byte[] bytes ? $"{bytes.Length} bytes" : value?.ToString() ?? "null";

        private string NotOrdered(TimeSpan timeout) =>
            $"{What}: it was not ordered within {timeout.TotalSeconds:g} s{Engine.Because()}";

        private string NotWhole(TimeSpan timeout)
        {
            if (_replies == null) return NotOrdered(timeout);
            uint[] missing = _replies.Where(r => !r.IsDone).Select(r => r.Member).ToArray();
            string because = missing.Length == 0 ? "" : Engine.Because(missing[0]);
            return $"{What}: members {string.Join(", ", missing)} did not answer within {timeout.TotalSeconds:g} s" +
                   because;
        }
    }
}
