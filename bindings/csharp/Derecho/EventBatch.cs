using System;
using System.Collections;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Derecho
{
    /// <summary>
    /// What one poll gave: events in place, released as one. Made once and used for every poll, without allocation. One
    /// thread at a time may use it. A forgotten one is released by the collector.
    /// </summary>
    public sealed unsafe class EventBatch : IEnumerable<Event>, IDisposable
    {
        private readonly int _capacity;
        private Native.derecho_event* _events;
        private RawGroup _group;
        private IntPtr _groupHandle; // the finalizer must not ask _group
        private ulong _lease;
        private int _turn;

        /// <summary>A batch of at most <paramref name="capacity"/> events.</summary>
        public EventBatch(int capacity = 256)
        {
            if (capacity <= 0) throw new ArgumentOutOfRangeException(nameof(capacity));
            _capacity = capacity;
            _events = (Native.derecho_event*)Marshal.AllocHGlobal(capacity * sizeof(Native.derecho_event));
        }

        /// <summary>Releases a forgotten one.</summary>
        ~EventBatch() { Free(); }

        /// <summary>How many events it holds; 0 after its release.</summary>
        public int Count { get; private set; }

        /// <summary>One event.</summary>
        public Event this[int index]
        {
            get
            {
                if ((uint)index >= (uint)Count) throw new ArgumentOutOfRangeException(nameof(index));
                return new Event(this, _events + index, _turn);
            }
        }

        /// <summary>Give the events' room in the rings back. Reading them afterwards throws
        /// <see cref="Closed"/>.</summary>
        public void Release()
        {
            _turn++;
            Count = 0;
            if (_lease == 0) return;
            ulong lease = _lease;
            _lease = 0;
            Native.derecho_release(_groupHandle, lease); // fails only after the group's close: nobody waits for it then
            GC.KeepAlive(_group);
        }

        /// <summary>Release, and free the batch itself; polling into it afterwards throws
        /// <see cref="Closed"/>.</summary>
        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        /// <summary>For <c>foreach</c>, without allocation.</summary>
        public Enumerator GetEnumerator() => new Enumerator(this);

        IEnumerator<Event> IEnumerable<Event>.GetEnumerator() => GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        internal Status Poll(RawGroup group, long timeoutNs)
        {
            if (_events == null) throw new Closed("the batch is closed");
            Release();
            _group = group;
            _groupHandle = group.Handle;
            ulong count = 0, lease = 0;
            int status = Native.derecho_poll(_groupHandle, _events, (ulong)_capacity, timeoutNs, &count, &lease);
            Count = (int)count;
            _lease = lease;
            GC.KeepAlive(this);
            return (Status)status;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void CheckTurn(int turn)
        {
            if (turn != _turn) throw Released();
        }

        private static Closed Released() => new Closed("the event's batch was released: copy what is to be kept");

        private void Free()
        {
            Release();
            Marshal.FreeHGlobal((IntPtr)_events);
            _events = null;
        }

        /// <summary>Walks a batch; ends when it is released.</summary>
        public struct Enumerator : IEnumerator<Event>
        {
            private readonly EventBatch _batch;
            private int _index;

            internal Enumerator(EventBatch batch)
            {
                _batch = batch;
                _index = -1;
            }

            /// <summary>The event at hand.</summary>
            public Event Current => _batch[_index];

            object IEnumerator.Current => Current;

            /// <summary>Go to the next.</summary>
            public bool MoveNext() => ++_index < _batch.Count;

            /// <summary>Begin again.</summary>
            public void Reset() => _index = -1;

            /// <summary>Nothing to do.</summary>
            public void Dispose() { }
        }
    }

    /// <summary>
    /// One completion, read in place. derecho.h says which fields each kind has. Valid until its batch is released;
    /// reading it later throws <see cref="Closed"/>.
    /// </summary>
    public readonly unsafe struct Event
    {
        private readonly EventBatch _batch;
        private readonly Native.derecho_event* _event;
        private readonly int _turn;

        internal Event(EventBatch batch, Native.derecho_event* place, int turn)
        {
            _batch = batch;
            _event = place;
            _turn = turn;
        }

        /// <summary>What it tells.</summary>
        public EventKind Kind => (EventKind)Valid->kind;

        /// <summary>The sender, the caller, or who answered.</summary>
        public uint Node => Valid->node;

        /// <summary>Grows with every ordered event of a shard: view &lt;&lt; 40 | sequence.</summary>
        public ulong Version => Valid->version;

        /// <summary>Hybrid logical time of the send, the same at every member; nanoseconds.</summary>
        public ulong TimestampNs => Valid->timestamp_ns;

        /// <summary>The payload, in place.</summary>
        public Bytes Data
        {
            get
            {
                Native.derecho_event* e = Valid;
                return new Bytes(_batch, (IntPtr)e->data, checked((int)e->size_bytes), _turn);
            }
        }

        /// <summary>The ticket, the call, the request or the view.</summary>
        public ulong Id => Valid->id;

        /// <summary>The method of a call or query.</summary>
        public uint Method => Valid->method;

        /// <summary>Index of the service, in order of declaration.</summary>
        public int Shard => (int)Valid->shard;

        /// <summary>Of a reply or the end.</summary>
        public Status Status => (Status)Valid->status;

        /// <summary>Its marks.</summary>
        public EventFlags Flags => (EventFlags)Valid->flags;

        /// <summary>Whether an answer is due.</summary>
        public bool WantsReply => (Valid->flags & Native.DERECHO_FLAG_REPLY) != 0;

        private Native.derecho_event* Valid
        {
            get
            {
                _batch.CheckTurn(_turn);
                return _event;
            }
        }
    }
}
