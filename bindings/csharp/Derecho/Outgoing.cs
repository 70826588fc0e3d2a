using System;
using System.Threading;

namespace Derecho
{
    /// <summary>What a generated caller derives from: how the calls of one service go out. Threads: any.</summary>
    public abstract class ServiceCaller
    {
        private readonly Engine _engine;
        private readonly Shard _shard;
        private readonly uint? _node;

        /// <summary>Of a group's service.</summary>
        /// <exception cref="InvalidArgument">The group has no such service; the text lists those there are.</exception>
        protected ServiceCaller(Group group, string service)
        {
            _engine = group.Engine;
            _shard = group.Shard(service);
        }

        /// <summary>The same, with queries to one member.</summary>
        protected ServiceCaller(ServiceCaller other, uint node)
        {
            _engine = other._engine;
            _shard = other._shard;
            _node = node;
        }

        /// <summary>Begin an ordered call whose answers are wanted; waits for room.</summary>
        protected OutgoingCall Call(uint method, string what, int fixedBytes) =>
            OutgoingCall.Begin(_engine, _shard, method, CallFlags.Reply, true, what, fixedBytes);

        /// <summary>Begin an ordered call without answers; waits for room.</summary>
        protected OutgoingCall Send(uint method, string what, int fixedBytes) =>
            OutgoingCall.Begin(_engine, _shard, method, CallFlags.None, true, what, fixedBytes);

        /// <summary>Begin an ordered call without answers that never waits.</summary>
        protected OutgoingCall TrySend(uint method, string what, int fixedBytes) =>
            OutgoingCall.Begin(_engine, _shard, method, CallFlags.None, false, what, fixedBytes);

        /// <summary>Begin a query: to the member chosen by <c>At</c>, else to this node, else to the first
        /// member.</summary>
        protected OutgoingQuery Query(uint method, string what, int fixedBytes) =>
            OutgoingQuery.Begin(_engine, _shard, _node, method, what, fixedBytes);
    }

    /// <summary>An ordered call that is written straight into a claim of the ring. Reused by its thread.</summary>
    public sealed class OutgoingCall : Encoder, IDisposable
    {
        [ThreadStatic] private static OutgoingCall _spare;

        private readonly Claim _claim = new Claim();
        private readonly Func<Status> _commit;
        private readonly Func<ulong> _id;
        private Engine _engine;
        private Shard _shard;
        private string _what;
        private uint _method;
        private CallFlags _flags;
        private bool _waits;
        private Status _status;

        private OutgoingCall()
        {
            _commit = () => _claim.TryCommit(Size);
            _id = () => _claim.Id;
        }

        internal static OutgoingCall Begin(
            Engine engine, Shard shard, uint method, CallFlags flags, bool waits, string what, int fixedBytes)
        {
            OutgoingCall call = _spare ?? new OutgoingCall();
            _spare = null;
            call._engine = engine;
            call._shard = shard;
            call._method = method;
            call._flags = flags;
            call._waits = waits;
            call._what = what;
            call._status = Status.Ok;
            call.Begin(what, fixedBytes);
            return call;
        }

        /// <summary>Send it.</summary>
        /// <returns>Its answers.</returns>
        public Replies<T> Replies<T>(Result<T> result)
        {
            var replies = new Replies<T>(_engine, result);
            Status status = _engine.Track(_commit, _id, replies);
            if (status != Status.Ok) _engine.Retry(status, () => _engine.Track(_commit, _id, replies), _what);
            return replies;
        }

        /// <summary>Send it, without answers.</summary>
        /// <returns>Ok; else, for one that never waits, why it did not go: Again or Wedged.</returns>
        public Status Send()
        {
            if (_status == Status.Ok) _status = _commit();
            if (_status == Status.Ok || (!_waits && IsTransient(_status))) return _status;
            _engine.Retry(_status, _commit, _what);
            return Status.Ok;
        }

        /// <summary>Give the claim back if it was not sent.</summary>
        public void Dispose()
        {
            _claim.Abort();
            _spare = this;
        }

        internal override unsafe bool TryOpen(int size, out byte* data)
        {
            _engine.CheckRunning();
            _status = _shard.TryClaim(_claim, size, _method, _flags);
            if (_status != Status.Ok && (_waits || !IsTransient(_status))) WaitForRoom(size);
            bool open = _status == Status.Ok;
            data = open ? (byte*)_claim.Data : null;
            return open;
        }

        private void WaitForRoom(int size)
        {
            _engine.Retry(_status, () => _shard.TryClaim(_claim, size, _method, _flags), _what);
            _status = Status.Ok;
        }

        private static bool IsTransient(Status status) => status == Status.Again || status == Status.Wedged;
    }

    /// <summary>A query under construction. Reused by its thread.</summary>
    public sealed class OutgoingQuery : ScratchEncoder
    {
        [ThreadStatic] private static OutgoingQuery _spare;

        private Engine _engine;
        private Shard _shard;
        private string _what;
        private uint _node, _method;

        private OutgoingQuery() { }

        internal static OutgoingQuery Begin(
            Engine engine, Shard shard, uint? node, uint method, string what, int fixedBytes)
        {
            OutgoingQuery query = _spare ?? new OutgoingQuery();
            _spare = null;
            query._engine = engine;
            query._shard = shard;
            query._node = node ?? Nearest(engine);
            query._method = method;
            query._what = what;
            query.Begin(what, fixedBytes);
            return query;
        }

        /// <summary>Send it.</summary>
        /// <returns>Its answer.</returns>
        public Reply<T> Reply<T>(Result<T> result)
        {
            var reply = new Reply<T>(_engine, result, _node);
            ulong id = 0;
            Func<Status> attempt = () => _engine.Track(
                () => _shard.TryQuery(_node, _method, Message, out id), () => id, reply);
            _engine.Retry(attempt(), attempt, _what);
            return reply;
        }

        /// <summary>Keep it for the next query.</summary>
        public override void Dispose() => _spare = this;

        private static uint Nearest(Engine engine)
        {
            View view = engine.View;
            if (view.Members.Count == 0) throw new Closed("there is no member to send a query to");
            return view.Members[view.SelfRank ?? 0].Node;
        }
    }
}
