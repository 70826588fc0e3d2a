using System;
using System.Collections.Generic;
using System.Linq;

namespace Derecho
{
    /// <summary>One member of a view.</summary>
    public sealed class Member
    {
        internal Member(uint node, string address, bool hasState, bool votes)
        {
            Node = node;
            Address = address;
            HasState = hasState;
            Votes = votes;
        }

        /// <summary>Its id.</summary>
        public uint Node { get; }

        /// <summary>Where it listens: "host:port".</summary>
        public string Address { get; }

        /// <summary>False while the state is still being transferred to it.</summary>
        public bool HasState { get; }

        /// <summary>Whether it counts where more than half of the members are needed: since the first view that
        /// began after it held the state.</summary>
        public bool Votes { get; }

        /// <summary>As <c>1 at 127.0.0.1:7001</c>.</summary>
        public override string ToString() => $"{Node} at {Address}";
    }

    /// <summary>An agreed list of members.</summary>
    public sealed unsafe class View
    {
        internal View(Native.derecho_view* view)
        {
            Id = view->id;
            GroupId = Utf8.Text(view->group_id);
            SelfRank = view->self_rank == uint.MaxValue ? (int?)null : (int)view->self_rank;
            var members = new Member[view->member_count];
            var first = (Native.derecho_member*)view->members;
            for (int i = 0; i < members.Length; i++)
            {
                bool hasState = (first[i].flags & Native.DERECHO_MEMBER_HAS_STATE) != 0;
                bool votes = (first[i].flags & Native.DERECHO_MEMBER_VOTES) != 0;
                members[i] = new Member(first[i].node, Utf8.Text(first[i].address), hasState, votes);
            }
            Members = Array.AsReadOnly(members);
            Nodes = Array.AsReadOnly(Array.ConvertAll(members, m => m.Node));
            Voters = Array.AsReadOnly(members.Where(m => m.Votes).Select(m => m.Node).ToArray());
        }

        /// <summary>Grows with every view.</summary>
        public ulong Id { get; }

        /// <summary>The group's UUID, made when it was founded.</summary>
        public string GroupId { get; }

        /// <summary>By rank.</summary>
        public IReadOnlyList<Member> Members { get; }

        /// <summary>The members' ids, by rank.</summary>
        public IReadOnlyList<uint> Nodes { get; }

        /// <summary>The ids of those that vote, by rank.</summary>
        public IReadOnlyList<uint> Voters { get; }

        /// <summary>Of this node; null for a client.</summary>
        public int? SelfRank { get; }

        /// <summary>Whether a node is a member.</summary>
        public bool Contains(uint node) => Nodes.Contains(node);

        /// <summary>As <c>view 3: {1, 2}</c>.</summary>
        public override string ToString() =>
            $"view {Id}: {{{string.Join(", ", Members.Select(m => m.Votes ? $"{m.Node}" : $"{m.Node} joining"))}}}";
    }

    /// <summary>Why a member holds others up.</summary>
    public enum HoldupCause
    {
        /// <summary>It does not.</summary>
        None,

        /// <summary>Its application takes nothing.</summary>
        NotPolling,

        /// <summary>Its application keeps what it took, and with it room in a ring.</summary>
        NotReleasing,

        /// <summary>Its state has not arrived yet.</summary>
        NoState,

        /// <summary>Its library stands still.</summary>
        NotAcknowledging,
    }

    /// <summary>A member that holds others up.</summary>
    public sealed unsafe class Holdup
    {
        internal Holdup(Native.derecho_holdup* holdup)
        {
            Node = holdup->node;
            Cause = (HoldupCause)holdup->cause;
            Lasted = TimeSpan.FromMilliseconds(holdup->lasted_ms);
            Text = Utf8.Text(holdup->text);
        }

        /// <summary>Its id; it may be this node's own.</summary>
        public uint Node { get; }

        /// <summary>Why.</summary>
        public HoldupCause Cause { get; }

        /// <summary>For how long already.</summary>
        public TimeSpan Lasted { get; }

        /// <summary>All of it as a sentence.</summary>
        public string Text { get; }

        /// <summary>The sentence.</summary>
        public override string ToString() => Text;
    }

    /// <summary>A replica that differs from those of a majority, as option digest found.</summary>
    public sealed class Difference
    {
        internal Difference(string service, ulong version, uint? node, string text)
        {
            Service = service;
            Version = version;
            Node = node;
            Text = text;
        }

        /// <summary>The service's name.</summary>
        public string Service { get; }

        /// <summary>The last call that was looked at.</summary>
        public ulong Version { get; }

        /// <summary>Whose replica it is, perhaps this node's own; null: replicas differ, and none of them are a
        /// majority.</summary>
        public uint? Node { get; }

        /// <summary>All of it as a sentence, with the nodes on either side.</summary>
        public string Text { get; }

        /// <summary>The sentence.</summary>
        public override string ToString() => Text;
    }

    /// <summary>Running totals of a node since it joined.</summary>
    public sealed class Stats
    {
        internal Stats(Native.derecho_stats s)
        {
            Steps = s.steps;
            DeliveredMessages = s.delivered_messages;
            DeliveredBytes = s.delivered_bytes;
            SentMessages = s.sent_messages;
            NullMessages = s.null_messages;
            Views = s.views;
            Pushes = s.pushes;
            Wakes = s.wakes;
            Sleeps = s.sleeps;
            MemoryBytes = s.memory_bytes;
            Allocations = s.allocations;
            WorkRequests = s.work_requests;
            Doorbells = s.doorbells;
            Completions = s.completions;
            HoldupNode = s.holdup_node;
            Holdup = (HoldupCause)s.holdup;
            HoldupMs = s.holdup_ms;
            Digests = s.digests;
            Differences = s.differences;
        }

        /// <summary>Who holds others up the longest just now; 0 when <see cref="Holdup"/> is None.</summary>
        public uint HoldupNode { get; }

        /// <summary>Why.</summary>
        public HoldupCause Holdup { get; }

        /// <summary>For how long already.</summary>
        public ulong HoldupMs { get; }

        /// <summary>Compared with those of other members, by option digest.</summary>
        public ulong Digests { get; }

        /// <summary>Found by that.</summary>
        public ulong Differences { get; }

        /// <summary>Of the protocol.</summary>
        public ulong Steps { get; }

        /// <summary>Given to the application, nulls not counted.</summary>
        public ulong DeliveredMessages { get; }

        /// <summary>In them.</summary>
        public ulong DeliveredBytes { get; }

        /// <summary>By this node.</summary>
        public ulong SentMessages { get; }

        /// <summary>Rounds this node skipped as a sender.</summary>
        public ulong NullMessages { get; }

        /// <summary>Installed.</summary>
        public ulong Views { get; }

        /// <summary>Posted to the fabric.</summary>
        public ulong Pushes { get; }

        /// <summary>Of sleeping peers.</summary>
        public ulong Wakes { get; }

        /// <summary>Of this node's threads.</summary>
        public ulong Sleeps { get; }

        /// <summary>Rows, rings and mirrors mapped now.</summary>
        public ulong MemoryBytes { get; }

        /// <summary>By the core since the group was joined; constant in steady state.</summary>
        public ulong Allocations { get; }

        /// <summary>Posted to the RDMA device.</summary>
        public ulong WorkRequests { get; }

        /// <summary>That posted them, several at a time.</summary>
        public ulong Doorbells { get; }

        /// <summary>Polled from the device.</summary>
        public ulong Completions { get; }
    }
}
