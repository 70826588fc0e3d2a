using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Derecho
{
    /// <summary>
    /// One node's part in a group, as derecho.h has it: no thread, no queue, no dispatch. Threads: any.
    /// </summary>
    public sealed unsafe partial class RawGroup : IDisposable
    {
        private readonly GroupHandle _owner;

        private RawGroup(GroupHandle owner) { _owner = owner; }

        internal IntPtr Handle => _owner.DangerousGetHandle();

        /// <summary>Join a group, or found it; returns once a view that holds this node is installed.</summary>
        /// <param name="config">Copied.</param>
        /// <param name="timeoutMs">For the whole of it; negative: no deadline.</param>
        /// <exception cref="DerechoError">InvalidArgument, Timeout, Unreachable, Incompatible, DuplicateNode,
        /// AddressInUse, NoMemory, Closed.</exception>
        public static RawGroup Join(Config config, long timeoutMs = 10000)
        {
            IntPtr group;
            Failures.Check(Native.derecho_group_join(config.Handle, timeoutMs, &group));
            GC.KeepAlive(config);
            return new RawGroup(new GroupHandle(group));
        }

        /// <summary>Leave in good order; <see cref="Poll"/> goes on giving what was delivered, then the end.</summary>
        /// <exception cref="DerechoError">Timeout, Ejected, NoMajority, Closed.</exception>
        public void Leave(long timeoutMs = 10000)
        {
            Failures.Check(Native.derecho_group_leave(Handle, timeoutMs));
            GC.KeepAlive(this);
        }

        /// <summary>Leave if that can be done in time.</summary>
        internal void TryLeave(long timeoutMs) => Native.derecho_group_leave(Handle, timeoutMs);

        /// <summary>Stop at once, as a crash would; a second time does nothing.</summary>
        public void Dispose() => _owner.Dispose();

        /// <summary>A descriptor that becomes readable when there are events; never read or close it.</summary>
        public int Descriptor
        {
            get
            {
                int fd;
                Failures.Check(Native.derecho_group_fd(Handle, &fd));
                GC.KeepAlive(this);
                return fd;
            }
        }

        /// <summary>The view whose events are being given now.</summary>
        public View GetView()
        {
            var view = new Native.derecho_view { struct_bytes = (uint)sizeof(Native.derecho_view) };
            Failures.Check(Native.derecho_group_view(Handle, &view));
            GC.KeepAlive(this);
            return new View(&view);
        }

        /// <summary>Whether a member holds others up, by default any: the one that does so the longest; null if
        /// not.</summary>
        public Holdup GetHoldup(uint node = Native.DERECHO_ANY_NODE)
        {
            var found = new Native.derecho_holdup { struct_bytes = (uint)sizeof(Native.derecho_holdup) };
            Failures.Check(Native.derecho_group_holdup(Handle, node, &found));
            GC.KeepAlive(this);
            return found.cause == Native.DERECHO_HOLDUP_NONE ? null : new Holdup(&found);
        }

        /// <summary>What this node found out that no call can report, a sentence each.</summary>
        public IReadOnlyList<string> GetTroubles()
        {
            var found = new List<string>();
            while (true)
            {
                var trouble = new Native.derecho_trouble { struct_bytes = (uint)sizeof(Native.derecho_trouble) };
                Failures.Check(Native.derecho_group_trouble(Handle, (uint)found.Count, &trouble));
                GC.KeepAlive(this);
                if (found.Count >= trouble.count) return found;
                found.Add(Utf8.Text(trouble.text));
            }
        }

        /// <summary>Running totals since this node joined.</summary>
        public Stats GetStats()
        {
            var stats = new Native.derecho_stats { struct_bytes = (uint)sizeof(Native.derecho_stats) };
            Failures.Check(Native.derecho_group_stats(Handle, &stats));
            GC.KeepAlive(this);
            return new Stats(stats);
        }

        /// <summary>The shard of a service; it needs no close.</summary>
        /// <exception cref="InvalidArgument">No such service; the text lists them.</exception>
        public Shard OpenShard(string service)
        {
            IntPtr shard;
            fixed (byte* name = Utf8.Terminated(service))
                Failures.Check(Native.derecho_shard_open(Handle, name, &shard));
            GC.KeepAlive(this);
            return new Shard(this, shard, service);
        }

        /// <summary>Take completions into a batch, which is released first; whoever waits drives the
        /// protocol.</summary>
        /// <param name="batch">Filled.</param>
        /// <param name="timeoutNs">For the first event; 0 drives one step, negative: no deadline.</param>
        /// <returns>How many; 0 when the time passed.</returns>
        /// <exception cref="DerechoError">RingFull: too many leases are held; Closed.</exception>
        public int Poll(EventBatch batch, long timeoutNs)
        {
            Failures.Check((int)batch.Poll(this, timeoutNs));
            return batch.Count;
        }

        /// <summary>As <see cref="Poll"/>, with a status instead of an exception.</summary>
        public Status TryPoll(EventBatch batch, long timeoutNs) => batch.Poll(this, timeoutNs);

        /// <summary>Make a poll that waits on another thread return now.</summary>
        public void Wake() => Failures.Check((int)TryWake());

        /// <summary>As <see cref="Wake"/>, with a status instead of an exception.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)] // see Library.Entries
        public Status TryWake()
        {
            int status = Native.derecho_wake(Handle);
            GC.KeepAlive(this);
            return (Status)status;
        }

        /// <summary>Answer a call or query: exactly once each.</summary>
        /// <param name="node">Of the event.</param>
        /// <param name="call">Id of the event.</param>
        /// <param name="status">Ok with the result, RemoteError with "Type: text", or UnknownMethod.</param>
        /// <param name="data">Copied.</param>
        /// <exception cref="DerechoError">RingFull: too many answers await a slow caller; TooLarge, InvalidArgument,
        /// Closed.</exception>
        public void Reply(uint node, ulong call, Status status, Bytes data) =>
            Failures.Check((int)TryReply(node, call, status, data));

        /// <summary>As <see cref="Reply"/>, with a status instead of an exception.</summary>
        public Status TryReply(uint node, ulong call, Status status, Bytes data)
        {
            fixed (byte* array = data.Array)
            {
                int result = Native.derecho_group_reply(
                    Handle, node, call, (int)status, data.Enter(array), (ulong)data.Length);
                data.Exit();
                GC.KeepAlive(this);
                return (Status)result;
            }
        }

        /// <summary>Send a joiner a piece of the state, as of the event that asked for it.</summary>
        /// <param name="node">Of the event.</param>
        /// <param name="request">Id of the event.</param>
        /// <param name="data">Copied; at most mail_bytes / 4 - 16 bytes.</param>
        /// <param name="last">With the last piece, which may be empty.</param>
        /// <exception cref="DerechoError">RingFull: poll, then retry this piece; TooLarge, InvalidArgument,
        /// Closed.</exception>
        public void SendState(uint node, ulong request, Bytes data, bool last) =>
            Failures.Check((int)TrySendState(node, request, data, last));

        /// <summary>Tell a joiner how long its state will be, before its first piece.</summary>
        public void SendStateSize(uint node, ulong request, long totalBytes)
        {
            Failures.Check(Native.derecho_group_state_size(Handle, node, request, (ulong)totalBytes));
            GC.KeepAlive(this);
        }

        /// <summary>Tell a joiner why there will be no state.</summary>
        /// <exception cref="DerechoError">RingFull: poll, retry.</exception>
        public void FailState(uint node, ulong request, Bytes text) =>
            Failures.Check((int)TryFailState(node, request, text));

        /// <summary>As <see cref="FailState"/>, with a status instead of an exception.</summary>
        public Status TryFailState(uint node, ulong request, Bytes text)
        {
            fixed (byte* array = text.Array)
            {
                int result = Native.derecho_group_state_fail(
                    Handle, node, request, text.Enter(array), (ulong)text.Length);
                text.Exit();
                GC.KeepAlive(this);
                return (Status)result;
            }
        }

        /// <summary>As <see cref="SendState"/>, with a status instead of an exception.</summary>
        public Status TrySendState(uint node, ulong request, Bytes data, bool last)
        {
            fixed (byte* array = data.Array)
            {
                int result = Native.derecho_group_state(
                    Handle, node, request, data.Enter(array), (ulong)data.Length, last ? 1 : 0);
                data.Exit();
                GC.KeepAlive(this);
                return (Status)result;
            }
        }
    }

    /// <summary>Closes a group, as <see cref="ConfigHandle"/> does.</summary>
    internal sealed class GroupHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        private readonly HashSet<RegisteredMemory> _registered = new HashSet<RegisteredMemory>(); // under its own lock

        internal GroupHandle(IntPtr handle) : base(true) { SetHandle(handle); }

        /// <summary>Memory that peers may write to until it is deregistered, or the group was closed.</summary>
        internal void Hold(RegisteredMemory memory)
        {
            lock (_registered) _registered.Add(memory);
        }

        internal void LetGo(RegisteredMemory memory)
        {
            lock (_registered) _registered.Remove(memory);
        }

        protected override bool ReleaseHandle()
        {
            bool closed = Native.derecho_group_close(handle) == Native.DERECHO_OK;
            lock (_registered)
                foreach (RegisteredMemory memory in _registered) memory.Unpin();
            return closed;
        }
    }
}
