using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Derecho
{
    /// <summary>How a <see cref="Group"/> waits, and who is told of views.</summary>
    public sealed class GroupOptions
    {
        /// <summary>Default of every wait: for joining, answers, room, views.</summary>
        public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);

        /// <summary>As <see cref="Group.OnView"/>, from the first view on.</summary>
        public Action<View> OnView { get; set; }

        /// <summary>Told of every piece of a service's state that comes. The time-out counts from the last one.</summary>
        public Action<Progress> OnProgress { get; set; }

        /// <summary>As <see cref="Group.OnDifference"/>.</summary>
        public Action<Difference> OnDifference { get; set; }

        /// <summary>As <see cref="Group.OnEnd"/>.</summary>
        public Action<DerechoError> OnEnd { get; set; }

        /// <summary>Whether the end of the process (Ctrl-C, SIGTERM, Environment.Exit, the return of Main) leaves the
        /// group in good order, within two seconds. It does unless set. If a handler of Console.CancelKeyPress that was
        /// registered earlier sets Cancel, the group stays; a program that takes Ctrl-C in another way turns this
        /// off.</summary>
        public bool LeaveAtExit { get; set; } = true;

        /// <summary>Gives up joining: it then throws <see cref="OperationCanceledException"/>.</summary>
        public CancellationToken Cancellation { get; set; }
    }

    /// <summary>
    /// This process's part in one group, with services that answer calls and callers that make them. Threads: any.
    /// </summary>
    /// <remarks>
    /// A thread that waits drives the group; when none waits, a background thread does. So handlers run on either, one
    /// at a time, in order; a handler must not wait for the group: <see cref="InHandler"/>.
    /// </remarks>
    public sealed partial class Group : IDisposable
    {
        private const long LeaveAtExitMs = 2000;

        private int _closed;

        private Group(Engine engine, uint node, string name)
        {
            Engine = engine;
            Node = node;
            Name = name;
        }

        /// <summary>Called with every later view, in order with calls and messages. It must not wait for the
        /// group.</summary>
        public event Action<View> OnView
        {
            add => Engine.Viewed += value;
            remove => Engine.Viewed -= value;
        }

        /// <summary>Called when option digest finds that replicas differ: once for each member that does, at every
        /// member, that one included. What then becomes of it is for option digest_policy to say.</summary>
        public event Action<Difference> OnDifference
        {
            add => Engine.Differed += value;
            remove => Engine.Differed -= value;
        }

        /// <summary>Call it once, with the reason, when the group ends for this node: <see cref="Closed"/> when it left
        /// or was closed, <see cref="Ejected"/>, <see cref="NoMajority"/>, <see cref="StateLost"/>; at once if it
        /// has.</summary>
        public void OnEnd(Action<DerechoError> function) => Engine.OnEnd(function);

        /// <summary>This node's id.</summary>
        public uint Node { get; }

        /// <summary>The group's name.</summary>
        public string Name { get; }

        /// <summary>Register memory, so that members who are given a key may read or write it, one-sidedly.</summary>
        /// <param name="bytes">An array, or a part of one, or of a <see cref="Buffer"/>: pinned until it is deregistered
        /// or the group was closed.</param>
        /// <param name="access">What peers may do.</param>
        /// <exception cref="DerechoError">InvalidArgument: it is empty; Closed.</exception>
        public RegisteredMemory Register(Bytes bytes, MemoryAccess access) => Engine.Raw.Register(bytes, access);

        /// <summary>Register memory of another device, a GPU's above all, by its dma-buf; docs/memory.md tells what
        /// reaches it.</summary>
        /// <param name="fd">Of the dma-buf; duplicated: it may be closed afterwards.</param>
        /// <param name="offset">Of the part of it that is registered; its first byte is the memory's.</param>
        /// <param name="size">Bytes.</param>
        /// <param name="access">What peers may do.</param>
        /// <exception cref="DerechoError">InvalidArgument: it is not a dma-buf, or shorter than that; Closed.</exception>
        public RegisteredMemory RegisterDmabuf(int fd, long offset, long size, MemoryAccess access) =>
            Engine.Raw.RegisterDmabuf(fd, offset, size, access);

        /// <summary>Begin to copy a run of a member's memory into parts of this node's, one after the other. Operations
        /// on one member's memory are carried out in the order they were begun; the application there takes no
        /// part.</summary>
        /// <param name="node">Whose memory it is.</param>
        /// <param name="key">Made by that node for this one.</param>
        /// <param name="offset">Of the run's first byte in that memory.</param>
        /// <param name="into">As long as the run together.</param>
        /// <exception cref="DerechoError">RingFull: too many operations are under way; InvalidArgument, NotMember,
        /// Closed.</exception>
        public Transfer Read(uint node, MemoryKey key, long offset, params MemoryPart[] into) =>
            Engine.Begin(false, node, key, offset, into);

        /// <summary>Begin to copy parts of this node's memory, one after the other, to a run of a member's. Once it is
        /// done the bytes are there, and what is sent afterwards is delivered after them; after a failure a part of them
        /// may be.</summary>
        public Transfer Write(uint node, MemoryKey key, long offset, params MemoryPart[] from) =>
            Engine.Begin(true, node, key, offset, from);

        /// <summary>The current view, as of the events applied here.</summary>
        public View View => Engine.View;

        /// <summary>Every view since this node joined.</summary>
        public IReadOnlyList<View> Views => Array.AsReadOnly(Engine.Views);

        /// <summary>Why the group ended for this node; null while it goes on.</summary>
        public DerechoError Ended => Engine.End;

        /// <summary>Running totals of this node.</summary>
        public Stats Stats => Engine.Raw.GetStats();

        /// <summary>What this node found out that no call can report, a sentence each, also logged by the library as
        /// warnings: above all that there is another group of this name. The last 16 are kept.</summary>
        public IReadOnlyList<string> GetTroubles() => Engine.Raw.GetTroubles();

        /// <summary>Whether a member holds others up, by default any: the one that does so the longest; null if not. It
        /// may be this node itself.</summary>
        public Holdup Holdup(uint node = Native.DERECHO_ANY_NODE) => Engine.Raw.GetHoldup(node);

        internal Engine Engine { get; }

        // ------------------------------------------------------------------------------------------ joining, leaving

        /// <summary>
        /// Come into a group: join it, or found it, as the options say (docs/founding.md). Returns once this node
        /// is in a view, every service has its state, and this node votes.
        /// </summary>
        /// <param name="config">The services are added to it: one configuration for one join.</param>
        /// <param name="services">The local replicas; every member gives the same services in the same order.</param>
        /// <exception cref="DerechoError">InvalidArgument, Unreachable, Incompatible, DuplicateNode, AddressInUse,
        /// Timeout, StateError, with a sentence that names the cause.</exception>
        public static Group Join(Config config, params Service[] services) =>
            Join(config, new GroupOptions(), services);

        /// <inheritdoc cref="Join(Config, Service[])"/>
        public static Group Join(Config config, GroupOptions options, params Service[] services)
        {
            if (config.ServiceCount != 0) // events number services as they were declared
                throw new InvalidArgument("this Config declares services already: Join adds those it is given, so give "
                    + "it a new one");
            foreach (Service service in services)
            {
                config.AddService(service.ServiceName, service.SchemaHash);
                if (service.SchemaText != "") config.DescribeService(service.ServiceName, service.SchemaText);
            }
            RawGroup raw;
            using (options.Cancellation.Register(config.CancelJoin))
            {
                try
                {
                    raw = RawGroup.Join(config, Milliseconds(options.Timeout));
                }
                catch (Closed) when (options.Cancellation.IsCancellationRequested)
                {
                    throw new OperationCanceledException(options.Cancellation);
                }
            }
            try
            {
                // An eighth of the mail leaves room for frames, and for others' mail.
                var engine = new Engine(raw, options.Timeout, int.Parse(config["mail_bytes"], Invariant) / 8);
                foreach (Service service in services)
                    engine.Hosts.Add(new ServiceHost(engine, service, raw.OpenShard(service.ServiceName)));
                engine.Viewed += options.OnView;
                engine.Differed += options.OnDifference;
                engine.OnProgress = options.OnProgress;
                engine.Start();
                if (options.OnEnd != null) engine.OnEnd(options.OnEnd);
                var group = new Group(engine, uint.Parse(config["node"], Invariant), config["group"]);
                if (options.LeaveAtExit) group.WatchForExit();
                return group;
            }
            catch // a member that merely closed would count as crashed
            {
                raw.TryLeave(1000);
                raw.Dispose();
                throw;
            }
        }

        /// <summary>As <see cref="Join(Config, Service[])"/>, on a thread of the pool.</summary>
        public static Task<Group> JoinAsync(Config config, params Service[] services) =>
            JoinAsync(config, new GroupOptions(), services);

        /// <inheritdoc cref="JoinAsync(Config, Service[])"/>
        public static Task<Group> JoinAsync(Config config, GroupOptions options, params Service[] services) =>
            Task.Run(() => Join(config, options, services));

        /// <summary>Leave in good order, then close: the others go on at once, and nobody suspects anyone.</summary>
        /// <exception cref="Derecho.Timeout">The others did not confirm; the group is closed all the same.</exception>
        public void Leave()
        {
            if (Volatile.Read(ref _closed) != 0) return;
            try
            {
                if (Engine.End == null) Engine.Raw.Leave(Milliseconds(Engine.Timeout));
            }
            finally
            {
                Close();
            }
        }

        /// <summary>As <see cref="Leave"/>, on a thread of the pool.</summary>
        public Task LeaveAsync() => Task.Run((Action)Leave);

        /// <summary>Stop at once, as a crash would; whatever is pending fails with <see cref="Closed"/>.</summary>
        public void Close()
        {
            if (Interlocked.Exchange(ref _closed, 1) != 0) return;
            Engine.Close(new Closed($"this node closed the group {Name}"));
        }

        // Others need not take the end of this process for a crash.
        private void WatchForExit()
        {
            AppDomain.CurrentDomain.ProcessExit += AtExit;
            Console.CancelKeyPress += AtCancel;
            Engine.AtEnd = () =>
            {
                AppDomain.CurrentDomain.ProcessExit -= AtExit;
                Console.CancelKeyPress -= AtCancel;
            };
            if (Engine.End != null) Engine.AtEnd(); // meanwhile
        }

        private void AtExit(object sender, EventArgs exit)
        {
            if (Engine.End == null) Engine.Raw.TryLeave(LeaveAtExitMs);
        }

        // The runtime ends the process without more ado, unless somebody has cancelled that.
        private void AtCancel(object sender, ConsoleCancelEventArgs key)
        {
            if (!key.Cancel) AtExit(sender, key);
        }

        /// <summary>Leave in good order; what goes wrong with that is logged.</summary>
        public void Dispose()
        {
            try
            {
                Leave();
            }
            catch (DerechoError error)
            {
                Log.Write($"leaving {Name}: {error.Message}");
            }
        }

        // ------------------------------------------------------------------------------------------ services

        /// <summary>This node's replica of a service: for reading.</summary>
        /// <exception cref="InvalidArgument">There is none here.</exception>
        public T Local<T>() where T : Service =>
            Engine.Hosts.Select(h => h.Service).OfType<T>().FirstOrDefault() ?? throw NoService(typeof(T).Name);

        /// <summary>The shard of a service, to be sent to without waiting.</summary>
        /// <exception cref="InvalidArgument">There is none here; the text lists those there are.</exception>
        public Shard Shard(string service) =>
            Engine.Hosts.FirstOrDefault(h => h.Name == service)?.Shard ?? throw NoService(service);

        /// <summary>Send a plain message to every member, in order; waits for room, and for a view change to
        /// end.</summary>
        /// <param name="service">The name of a <see cref="RawService"/>.</param>
        /// <param name="data">Copied.</param>
        /// <returns>The ticket: the id of the message's event at this node.</returns>
        public ulong Send(string service, Bytes data)
        {
            Engine.CheckRunning();
            Shard shard = Shard(service);
            Status status = shard.TrySend(data, out ulong ticket);
            if (status != Status.Ok) Engine.Retry(status, () => shard.TrySend(data, out ticket), service);
            return ticket;
        }

        // ------------------------------------------------------------------------------------------ views, driving

        /// <summary>Wait for a view of so many members, or more, that vote.</summary>
        /// <exception cref="Derecho.Timeout">Naming the view there is instead.</exception>
        public View WaitView(int members) => WaitView(members, Engine.Timeout);

        /// <inheritdoc cref="WaitView(int)"/>
        public View WaitView(int members, TimeSpan timeout) =>
            WaitView(v => v.Voters.Count >= members, $"{members} or more members", timeout);

        /// <summary>Wait for a view of so many members, no more and no fewer, all of which vote.</summary>
        /// <exception cref="Derecho.Timeout">Naming the view there is instead.</exception>
        public View WaitViewExactly(int members) => WaitViewExactly(members, Engine.Timeout);

        /// <inheritdoc cref="WaitViewExactly(int)"/>
        public View WaitViewExactly(int members, TimeSpan timeout) =>
            WaitView(v => AllVote(v) && v.Members.Count == members, $"exactly {members} members", timeout);

        /// <summary>Wait for a view of exactly these nodes, in any order, all of which vote.</summary>
        public View WaitView(IEnumerable<uint> nodes)
        {
            var wanted = new HashSet<uint>(nodes);
            return WaitView(
                v => AllVote(v) && wanted.SetEquals(v.Nodes), $"nodes {string.Join(", ", wanted)}", Engine.Timeout);
        }

        private static bool AllVote(View view) => view.Voters.Count == view.Members.Count;

        /// <summary>Drive the group once on this thread, for an application's own loop.</summary>
        /// <exception cref="DerechoError">The group has ended, and why.</exception>
        public void Drive(TimeSpan timeout) => Engine.Turn(timeout);

        private View WaitView(Func<View, bool> good, string what, TimeSpan timeout)
        {
            if (!Engine.Wait(() => good(View), timeout, $"a view of {what}"))
                throw new Timeout($"no view of {what} within {timeout.TotalSeconds:g} s; there is {View}");
            return View;
        }

        private InvalidArgument NoService(string name)
        {
            string there = string.Join(", ", Engine.Hosts.Select(h => h.Name));
            return new InvalidArgument($"no service {name} in this group; there are: {(there == "" ? "none" : there)}");
        }

        private static long Milliseconds(TimeSpan timeout) => (long)Math.Ceiling(timeout.TotalMilliseconds);

        private static CultureInfo Invariant => CultureInfo.InvariantCulture;
    }
}
