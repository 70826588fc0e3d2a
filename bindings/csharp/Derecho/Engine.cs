using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Text;
using System.Threading;

namespace Derecho
{
    /// <summary>
    /// The machinery of one group: the pump, the calls under way, and what each kind of event does. Events are handled
    /// by the one thread that has the pump's right, in the order in which the core gave them.
    /// </summary>
    internal sealed class Engine
    {
        private const long RetryNs = 1000000;
        private const long LeaveMs = 2000; // after a failure, whatever the others say

        private readonly Pump _pump;
        private readonly Decoder _replies = new Decoder();
        private readonly Dictionary<ulong, IPending> _pending = new Dictionary<ulong, IPending>(); // under its own lock
        private readonly object _answering = new object(); // a closer may fail calls while another thread dispatches
        private readonly Stopwatch _progress = new Stopwatch(); // since the last piece of a state came
        private bool _loaded;
        private volatile DerechoError _end;
        private Action<DerechoError> _ends;
        private volatile View[] _views = new View[0];

        internal Engine(RawGroup raw, TimeSpan timeout, int pieceBytes)
        {
            Raw = raw;
            Timeout = timeout;
            Outbox = new Outbox(raw, pieceBytes);
            _pump = new Pump(raw, Dispatch, Outbox.Retry, Ended);
        }

        internal event Action<View> Viewed;

        internal event Action<Difference> Differed;

        internal Action<Progress> OnProgress { get; set; }

        /// <summary>Told once, with the reason, when the group ends for this node; at once if it has.</summary>
        internal void OnEnd(Action<DerechoError> function)
        {
            lock (_pending)
            {
                if (_end == null)
                {
                    _ends += function;
                    return;
                }
            }
            function(_end);
        }

        internal RawGroup Raw { get; }

        /// <summary>For the group: called when it has ended, perhaps more than once.</summary>
        internal Action AtEnd { get; set; }

        /// <summary>Default of every wait.</summary>
        internal TimeSpan Timeout { get; }

        internal Outbox Outbox { get; }

        /// <summary>In order of declaration, as events number them.</summary>
        internal List<ServiceHost> Hosts { get; } = new List<ServiceHost>();

        /// <summary>Why the group ended; null while it goes on.</summary>
        internal DerechoError End => _end;

        /// <summary>Every view since joining.</summary>
        internal View[] Views => _views;

        internal View View
        {
            get
            {
                View last = _views.Length == 0 ? null : _views[_views.Length - 1];
                if (last == null || _end != null || last.Members.All(m => m.HasState)) return last;
                try
                {
                    View now = Raw.GetView(); // newcomers get the state after their view began
                    return now.Id == last.Id ? now : last;
                }
                catch (DerechoError)
                {
                    return last;
                }
            }
        }

        // ------------------------------------------------------------------------------------------ waiting

        /// <summary>Drive the group until it is done; false when the time passed.</summary>
        /// <exception cref="DerechoError">The group ended meanwhile.</exception>
        internal bool Wait(Func<bool> done, TimeSpan timeout, string what)
        {
            if (!_pump.Wait(done, timeout, what)) return false;
            if (!done()) throw _end;
            return true;
        }

        /// <summary>Try something that just found no room, or a view that changes, again until the deadline.</summary>
        /// <param name="first">What it said just now.</param>
        /// <param name="attempt">The first thing it does is call the core.</param>
        /// <param name="what">For errors.</param>
        internal void Retry(Status first, Func<Status> attempt, string what)
        {
            var deadline = new Deadline(Timeout);
            for (Status status = first; status != Status.Ok; status = attempt())
            {
                if (status != Status.Again && status != Status.Wedged) throw Failures.OfLastCall(status);
                if (_pump.InHandler || deadline.LeftNs <= 0) // room comes by dispatching, which a handler holds up
                    throw Failures.Make(status, InVain(status, what));
                _pump.Turn(RetryNs);
                CheckRunning();
            }
        }

        internal void Turn(TimeSpan timeout)
        {
            CheckRunning();
            _pump.Turn(timeout.Ticks * 100);
        }

        internal void CheckRunning()
        {
            if (_end != null) throw _end;
        }

        private string InVain(Status status, string what) => status == Status.Wedged
            ? $"{what}: members were still being added or removed; try again"
            : $"{what}: no room: {HoldupOf()?.Text ?? "a member, perhaps this one, is slow to take messages"}; try " +
              "again, or raise option ring_bytes (for queries mail_bytes)";

        private Holdup HoldupOf(uint node = Native.DERECHO_ANY_NODE)
        {
            try
            {
                return Raw.GetHoldup(node);
            }
            catch (Closed)
            {
                return null;
            }
        }

        /// <summary>Whose fault it may be that something does not come, to be added to an error.</summary>
        internal string Because(uint node = Native.DERECHO_ANY_NODE) =>
            (HoldupOf(node) ?? HoldupOf()) is Holdup found ? $" ({found.Text})" : "";

        // ------------------------------------------------------------------------------------------ calls under way

        /// <summary>Send a call, and know its answers before the first can be dispatched.</summary>
        /// <param name="send">Sends; the id is asked for afterwards.</param>
        /// <param name="id">Of the call that was sent.</param>
        /// <param name="answers">Where they go.</param>
        internal Status Track(Func<Status> send, Func<ulong> id, IPending answers)
        {
            lock (_pending)
            {
                CheckRunning();
                Status status = send();
                if (status == Status.Ok) _pending.Add(id(), answers);
                return status;
            }
        }

        /// <summary>Begin an operation on a member's memory.</summary>
        internal Transfer Begin(bool write, uint node, MemoryKey key, long offset, MemoryPart[] parts)
        {
            var transfer = new Transfer(this, write, node, parts.Sum(p => p.Size));
            ulong id = 0;
            Func<Status> attempt = () =>
                Track(() => Raw.TryTransfer(write, node, key, offset, parts, out id), () => id, transfer);
            Retry(attempt(), attempt, transfer.Name);
            return transfer;
        }

        private IPending Find(ulong call)
        {
            lock (_pending) return _pending.TryGetValue(call, out IPending found) ? found : null;
        }

        private void OnReply(Event reply)
        {
            IPending answers = Find(reply.Id);
            if (answers == null || reply.Status == Status.Closed) return; // what ended the group fails it, at once
            reply.Data.LendForGood(_replies);
            lock (_answering)
                if (!answers.Take(reply, _replies)) return;
            lock (_pending) _pending.Remove(reply.Id);
        }

        private void OnOrdered(Event ordered)
        {
            lock (_answering) Find(ordered.Id)?.Order(ordered);
        }

        // ------------------------------------------------------------------------------------------ dispatching

        private void Dispatch(Event e)
        {
            if (_end != null) return;
            try
            {
                Handle(e);
            }
            catch (DerechoError error) // the group was closed under the handler
            {
                if (_end == null) Log.Write("an event was not answered", error);
            }
            catch (Exception error) // handlers' own are caught before
            {
                Failed("the handling of an event", error);
            }
        }

        private void Handle(Event e)
        {
            switch (e.Kind)
            {
                case EventKind.Message: Hosts[e.Shard].OnMessage(e); break;
                case EventKind.Call: Hosts[e.Shard].OnCall(e); break;
                case EventKind.Query: Hosts[e.Shard].OnCall(e); break;
                case EventKind.Ordered: OnOrdered(e); break;
                case EventKind.Reply: OnReply(e); break;
                case EventKind.Memory: OnReply(e); break;
                case EventKind.View: OnView(); break;
                case EventKind.StateRequest: Hosts[e.Shard].OnStateRequest(e); break;
                case EventKind.State: OnState(e); break;
                case EventKind.Difference: OnDifference(e); break;
                case EventKind.Closed: Ended(Reason(e.Status, Details(e.Status))); break;
            }
        }

        private void OnState(Event e)
        {
            ServiceHost host = Hosts[e.Shard];
            if (e.Status == Status.Ok)
            {
                _progress.Restart();
                host.Arrived.Add(e);
                Run("OnProgress", () => OnProgress?.Invoke(host.Arrived.Progress));
            }
            host.OnState(e);
        }

        private void OnDifference(Event e)
        {
            uint? node = e.Node == Native.DERECHO_ANY_NODE ? (uint?)null : e.Node;
            var difference = new Difference(
                Hosts[e.Shard].Name, e.Version, node, Encoding.UTF8.GetString(e.Data.ToArray()));
            Log.Write(difference.Text, null);
            Run("the handler of a difference", () => Differed?.Invoke(difference));
        }

        private void OnView()
        {
            View view = Raw.GetView();
            bool joins = _views.Length == 0 && view.SelfRank is int rank && !view.Members[rank].HasState;
            if (joins) Hosts.ForEach(h => h.Loading = true);
            _views = _views.Concat(new[] { view }).ToArray();
            Run("the handler of a view", () => Viewed?.Invoke(view));
        }

        // ------------------------------------------------------------------------------------------ the application's

        /// <summary>Run a function of the application's that no caller waits for.</summary>
        internal void Run(string where, Action function)
        {
            try
            {
                function();
            }
            catch (Exception error)
            {
                Failed(where, error);
            }
        }

        /// <summary>Something came out of the application's code. It is logged; if it says that this process cannot go
        /// on, rather than that one call failed, this node leaves in good order.</summary>
        internal void Failed(string where, Exception error)
        {
            Log.Write($"{where} failed", error);
            if (EndsNode(error)) LeaveBecause(where, error);
        }

        /// <summary>No memory, broken code: a replica that goes on may have done the half of something.</summary>
        internal static bool EndsNode(Exception error) =>
            (error is OutOfMemoryException && !(error is InsufficientMemoryException)) ||
            error is AccessViolationException || error is InvalidProgramException || error is ThreadAbortException;

        internal void LeaveBecause(string where, Exception error)
        {
            if (_end != null) return;
            _end = new Closed($"this node left the group, because {where} threw {ServiceHost.Describe(error)}");
            try
            {
                Raw.Leave(LeaveMs);
            }
            catch (DerechoError late)
            {
                Log.Write("leaving", late);
            }
            Ended(_end);
        }

        private string Details(Status status)
        {
            try
            {
                Raw.Leave(0); // does nothing any more but tell the details
                return "";
            }
            catch (DerechoError error)
            {
                return error.Status == status ? $" ({error.Message})" : "";
            }
        }

        private static DerechoError Reason(Status status, string details)
        {
            switch (status)
            {
                case Status.Ejected:
                    return new Ejected(
                        "the others removed this node from the group: close it and join again" + details);
                case Status.NoMajority:
                    return new NoMajority("half or more of the members that vote were lost, so this node stopped, lest " +
                                          "two halves go separate ways: close the group, then join again or start " +
                                          "afresh" + details);
                case Status.NoMemory:
                    return new NoMemory("this node lacks memory or descriptors: close the group, and join again when " +
                                        "it has them" + details);
                case Status.Differs:
                    return new ReplicasDiffer("replicas differ, and option digest_policy is stop" + details);
                case Status.StateLost:
                    return new StateLost(
                        "every member that had the state is gone: close the group and start afresh" + details);
                case Status.Incompatible:
                    return new Incompatible("this node cannot be with that group any more: close it" + details);
                default:
                    return new Closed("this node left the group");
            }
        }

        // ------------------------------------------------------------------------------------------ begin and end

        /// <summary>Wait until every service has its state and this node votes; then drive in the
        /// background.</summary>
        /// <exception cref="DerechoError">Timeout, naming what is missing; StateError: it came but cannot be
        /// loaded.</exception>
        internal void Start()
        {
            _progress.Restart();
            TimeSpan left = Timeout;
            while (!Wait(IsIn, left, "joining"))
            {
                left = Timeout - _progress.Elapsed; // from the last piece on
                if (left > TimeSpan.Zero) continue;
                string names = string.Join(", ", Hosts.Where(h => h.Loading).Select(h => h.Name));
                string missing = View == null ? "no view was installed"
                    : names == "" ? "no view came in which it votes"
                    : $"the state of {names} did not come";
                throw new Timeout($"joined, but {missing}: nothing of it for {Timeout.TotalSeconds:g} s" +
                                  Because(Donor));
            }
            ServiceHost broken = Hosts.FirstOrDefault(h => h.LoadError != null);
            if (broken != null) throw broken.LoadError;
            _pump.Start();
        }

        private bool IsIn()
        {
            if (!_loaded && View != null && !Hosts.Any(h => h.Loading))
            {
                _loaded = true;
                _progress.Restart(); // loading may have taken long
            }
            if (Hosts.Any(h => h.LoadError != null)) return true;
            View view = View;
            if (view == null || Hosts.Any(h => h.Loading)) return false;
            return !(view.SelfRank is int rank) || view.Members[rank].Votes;
        }

        /// <summary>Who gives this node its state.</summary>
        private uint Donor => View?.Members.FirstOrDefault(m => m.HasState)?.Node ?? Native.DERECHO_ANY_NODE;

        internal void Close(DerechoError reason)
        {
            if (_end == null) _end = reason;
            Raw.Dispose();
            Ended(reason);
            _pump.Join();
        }

        /// <summary>Nothing more will come: whoever waits is told why.</summary>
        private void Ended(DerechoError reason)
        {
            IPending[] pending;
            bool news;
            lock (_pending)
            {
                news = _end == null;
                if (news) _end = reason;
                pending = _pending.Values.ToArray();
                _pending.Clear();
            }
            lock (_answering)
                foreach (IPending call in pending) call.Fail(_end);
            _pump.GiveUp();
            AtEnd?.Invoke();
            Action<DerechoError> told = Interlocked.Exchange(ref _ends, null);
            if (told != null) Run("the handler of the end", () => told(_end));
            else if (news && !(_end is Closed)) // the application may not call for a long time
                Log.Write($"this node is out of its group: {_end.Message}");
        }
    }
}
