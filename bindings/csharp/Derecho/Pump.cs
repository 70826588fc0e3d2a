using System;
using System.Diagnostics;
using System.Threading;

namespace Derecho
{
    /// <summary>
    /// Who calls derecho_poll: whoever waits drives, and a background thread when nobody does.
    /// </summary>
    /// <remarks>
    /// One thread at a time polls and dispatches, so handlers see ordered events in order. A thread that waits takes
    /// that right if it is free, otherwise it follows: it sleeps until the driver has dispatched something. The
    /// background thread has it while nobody waits, and yields at once to somebody who does.
    /// </remarks>
    internal sealed class Pump
    {
        private const long DriveNs = 100000000;          // longest single poll of a waiter
        private const long BackgroundNs = 1000000000;    // of the background thread
        private const long RetryNs = 500000;             // polls are this short while something is to be sent again
        private const int FollowMs = 2;                  // how long a follower sleeps before it looks again by itself
        private const int PauseMs = 2, LongPauseMs = 20; // how often the background thread looks whether it is needed
        private const int JoinMs = 5000;                 // for a handler that does not return

        private readonly RawGroup _group;
        private readonly Action<Event> _dispatch;
        private readonly Func<bool> _retry;
        private readonly Action<DerechoError> _ended;
        private readonly EventBatch _batch = new EventBatch();
        private readonly object _changed = new object(); // pulsed after each dispatch, if somebody follows
        private readonly ManualResetEvent _stop = new ManualResetEvent(false);
        private readonly Thread _thread;

        private int _driver; // managed id of the thread that polls and dispatches; 0: the right is free
        private volatile bool _backgroundDrives, _mustRetry, _over;
        private int _waiters;   // threads that want to drive or follow
        private int _entries;   // grows whenever somebody starts to wait
        private int _followers; // under _changed

        /// <param name="group">To be polled.</param>
        /// <param name="dispatch">Called with each event, in order, by one thread at a time.</param>
        /// <param name="retry">Called after each poll: sends again what found no room; whether something is
        /// left.</param>
        /// <param name="ended">Called with the error of a poll that failed for good.</param>
        internal Pump(RawGroup group, Action<Event> dispatch, Func<bool> retry, Action<DerechoError> ended)
        {
            _group = group;
            _dispatch = dispatch;
            _retry = retry;
            _ended = ended;
            _thread = new Thread(Background) { Name = "derecho-pump", IsBackground = true };
        }

        /// <summary>Whether the calling thread is dispatching right now.</summary>
        internal bool InHandler => Volatile.Read(ref _driver) == Environment.CurrentManagedThreadId;

        internal void Start() => _thread.Start();

        /// <summary>Nothing more will come: nobody waits any longer.</summary>
        internal void GiveUp()
        {
            _over = true;
            _stop.Set();
        }

        /// <summary>Wait a while for the background thread, which ends after <see cref="GiveUp"/>; not in a
        /// handler.</summary>
        internal void Join()
        {
            if (!InHandler && (_thread.ThreadState & System.Threading.ThreadState.Unstarted) == 0) _thread.Join(JoinMs);
        }

        /// <summary>Drive, or follow who does, until it is done or the group is over; false when the time
        /// passed.</summary>
        /// <exception cref="Derecho.InHandler">When called by a handler, which would wait for itself.</exception>
        internal bool Wait(Func<bool> done, TimeSpan timeout, string what)
        {
            if (done()) return true;
            if (InHandler)
                throw new InHandler(
                    $"a handler must not wait ({what}): what it waits for is dispatched after it returned");
            var deadline = new Deadline(timeout);
            Enter();
            try
            {
                while (!done() && !_over)
                {
                    long left = deadline.LeftNs;
                    if (left <= 0) return false;
                    TurnOnce(left);
                }
                return true;
            }
            finally
            {
                Exit();
            }
        }

        /// <summary>Drive once, or follow once, for loops that retry something themselves. Nothing in a
        /// handler.</summary>
        internal void Turn(long timeoutNs)
        {
            if (InHandler) return;
            Enter();
            try
            {
                TurnOnce(timeoutNs);
            }
            finally
            {
                Exit();
            }
        }

        private void Enter()
        {
            Interlocked.Increment(ref _waiters);
            Interlocked.Increment(ref _entries);
        }

        private void Exit() => Interlocked.Decrement(ref _waiters);

        private void TurnOnce(long timeoutNs)
        {
            if (TakeRight())
            {
                DriveAndRelease(Math.Min(timeoutNs, DriveNs));
                return;
            }
            lock (_changed)
            {
                _followers++;
                if (Volatile.Read(ref _driver) != 0)
                {
                    if (_backgroundDrives) _group.TryWake();
                    Monitor.Wait(_changed, FollowMs);
                }
                _followers--;
            }
        }

        private bool TakeRight() =>
            Interlocked.CompareExchange(ref _driver, Environment.CurrentManagedThreadId, 0) == 0;

        private void ReleaseRight()
        {
            Interlocked.Exchange(ref _driver, 0);
            if (Volatile.Read(ref _followers) == 0) return;
            lock (_changed) Monitor.PulseAll(_changed);
        }

        private void DriveAndRelease(long timeoutNs)
        {
            try
            {
                Drive(timeoutNs);
            }
            finally
            {
                ReleaseRight();
            }
        }

        private void Drive(long timeoutNs)
        {
            if (_over) return;
            Status status = _group.TryPoll(_batch, _mustRetry ? Math.Min(timeoutNs, RetryNs) : timeoutNs);
            if (status == Status.Again) // too many leases are held: somebody must release batches of their own
            {
                Thread.Sleep(1);
                return;
            }
            if (status != Status.Ok)
            {
                _ended(Failures.OfLastCall(status));
                return;
            }
            try
            {
                foreach (Event e in _batch) _dispatch(e);
                _mustRetry = _retry();
            }
            finally
            {
                _batch.Release();
            }
        }

        private void Background()
        {
            int seen = -1, pause = PauseMs;
            while (!_over)
            {
                try
                {
                    LookWhetherNeeded(ref seen, ref pause);
                }
                catch (ThreadInterruptedException) // by a handler that ran here: the group still needs this thread
                {
                }
                catch (Exception error)
                {
                    Log.Write("the group's own thread", error);
                }
            }
        }

        private void LookWhetherNeeded(ref int seen, ref int pause)
        {
            int entries = Volatile.Read(ref _entries);
            if (Volatile.Read(ref _waiters) != 0 || entries != seen)
            {
                pause = entries == seen ? Math.Min(pause * 2, LongPauseMs) : PauseMs;
                seen = entries;
                _stop.WaitOne(pause);
            }
            else if (TakeRight())
            {
                _backgroundDrives = true;
                Thread.MemoryBarrier(); // who starts to wait after this sees who drives, and wakes it
                try
                {
                    DriveAndRelease(Volatile.Read(ref _waiters) == 0 ? BackgroundNs : 0);
                }
                finally
                {
                    _backgroundDrives = false;
                }
            }
        }
    }

    /// <summary>A point in time that a wait ends at.</summary>
    internal struct Deadline
    {
        private static readonly double NsPerTick = 1e9 / Stopwatch.Frequency;
        private readonly long _start;
        private readonly long _timeoutNs;

        internal Deadline(TimeSpan timeout)
        {
            _start = Stopwatch.GetTimestamp();
            _timeoutNs = timeout.Ticks > long.MaxValue / 100 ? long.MaxValue : timeout.Ticks * 100;
        }

        internal long PassedNs => (long)((Stopwatch.GetTimestamp() - _start) * NsPerTick);

        internal long LeftNs => _timeoutNs - PassedNs;
    }
}
