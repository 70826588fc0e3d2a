using System;

namespace Derecho
{
    /// <summary>
    /// What a method of a service may ask about the call that it handles: <see cref="Current"/>. Of an ordered call all
    /// three are the same at every member.
    /// </summary>
    public readonly struct CallContext : IEquatable<CallContext>
    {
        [ThreadStatic] private static CallContext _running;
        [ThreadStatic] private static bool _runs;

        internal CallContext(uint caller, ulong version, ulong timeNs)
        {
            Caller = caller;
            Version = version;
            TimeNs = timeNs;
        }

        /// <summary>Of the call that the calling thread handles: for methods of services.</summary>
        /// <exception cref="InvalidOperationException">Outside of such a method, and on other threads than the one that
        /// runs it.</exception>
        public static CallContext Current => _runs
            ? _running
            : throw new InvalidOperationException(
                "CallContext.Current is for a method of a service while it handles a call, on the thread that runs it: " +
                "there is no call here");

        /// <summary>The node that made the call: a member, or for a query perhaps a client. No argument can forge
        /// it.</summary>
        public uint Caller { get; }

        /// <summary>Grows with every ordered call of the service. For a query: of the last ordered call that the state
        /// has.</summary>
        public ulong Version { get; }

        /// <summary>Nanoseconds since the Unix epoch, by the clock of the sender, on which all members agree; of an
        /// ordered call never less than that of a call before it. For a query: of the last ordered call that the state
        /// has, so it stands still while there are none; 0 where there was none yet.</summary>
        public ulong TimeNs { get; }

        /// <inheritdoc/>
        public bool Equals(CallContext other) =>
            Caller == other.Caller && Version == other.Version && TimeNs == other.TimeNs;

        /// <inheritdoc/>
        public override bool Equals(object other) => other is CallContext context && Equals(context);

        /// <inheritdoc/>
        public override int GetHashCode() => (Caller, Version, TimeNs).GetHashCode();

        /// <summary>Such as "call of node 1, version 1099511627776, at 1700000000000000000 ns".</summary>
        public override string ToString() => $"call of node {Caller}, version {Version}, at {TimeNs} ns";

        /// <summary>From here on the calling thread handles this one, until it is given back what it handled
        /// before: a method may wait for another group, whose methods run meanwhile.</summary>
        internal CallContext? Enter()
        {
            CallContext? outer = _runs ? _running : (CallContext?)null;
            _running = this;
            _runs = true;
            return outer;
        }

        internal static void Leave(CallContext? outer)
        {
            _running = outer.GetValueOrDefault();
            _runs = outer.HasValue;
        }

        /// <summary>The later of two that a query may see.</summary>
        internal CallContext NotBefore(CallContext moment) =>
            Version < moment.Version ? new CallContext(Caller, moment.Version, moment.TimeNs) : this;

        internal CallContext NotAfter(CallContext moment) =>
            Version > moment.Version ? new CallContext(Caller, moment.Version, moment.TimeNs) : this;
    }
}
