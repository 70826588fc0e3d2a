using System;

namespace Derecho
{
    /// <summary>
    /// The members that replicate one service. Lives as long as its group; needs no close. Threads: any.
    /// </summary>
    /// <remarks>
    /// Each operation has two forms: one throws, the other, <c>Try...</c>, returns the status, so that a full ring
    /// costs no exception. Both may meet: <see cref="RingFull"/>, <see cref="ViewChanging"/>, <see cref="TooLarge"/>,
    /// <see cref="NotMember"/>, <see cref="Ejected"/>, <see cref="NoMajority"/>, <see cref="Closed"/>.
    /// </remarks>
    public sealed unsafe partial class Shard
    {
        private readonly RawGroup _group;

        internal Shard(RawGroup group, IntPtr handle, string name)
        {
            _group = group;
            Handle = handle;
            Name = name;
        }

        internal IntPtr Handle { get; }

        /// <summary>The service's name.</summary>
        public string Name { get; }

        /// <summary>Queue one message for ordered delivery to every member; copied before this returns.</summary>
        /// <returns>The ticket: the id of this message's own event.</returns>
        public ulong Send(Bytes data)
        {
            Failures.Check((int)TrySend(data, out ulong ticket));
            return ticket;
        }

        /// <summary>As <see cref="Send"/>, with a status instead of an exception.</summary>
        public Status TrySend(Bytes data, out ulong ticket)
        {
            fixed (byte* array = data.Array)
            fixed (ulong* id = &ticket)
            {
                int status = Native.derecho_shard_send(Handle, data.Enter(array), (ulong)data.Length, id);
                data.Exit();
                GC.KeepAlive(_group);
                return (Status)status;
            }
        }

        /// <summary>Send the messages of a batch, in order, at a fraction of the cost when they are small.</summary>
        /// <returns>How many went, at least one unless the batch is empty; give that to
        /// <see cref="MessageBatch.Remove"/>.</returns>
        public int SendMany(MessageBatch batch)
        {
            Failures.Check((int)TrySendMany(batch, out int sent, out _));
            return sent;
        }

        /// <summary>As <see cref="SendMany"/>, with a status instead of an exception.</summary>
        /// <param name="batch">Unchanged.</param>
        /// <param name="sent">How many went.</param>
        /// <param name="ticket">Of the last that went.</param>
        public Status TrySendMany(MessageBatch batch, out int sent, out ulong ticket)
        {
            ulong count = 0;
            fixed (ulong* id = &ticket)
            {
                int status = Native.derecho_shard_send_many(Handle, batch.First, (ulong)batch.Count, &count, id);
                sent = (int)count;
                GC.KeepAlive(batch);
                GC.KeepAlive(_group);
                return (Status)status;
            }
        }

        /// <summary>A method call to every member, in order with all messages.</summary>
        /// <param name="method">The method's number.</param>
        /// <param name="flags">Reply if answers are wanted.</param>
        /// <param name="arguments">Copied.</param>
        /// <returns>The id of the call in its events.</returns>
        public ulong Call(uint method, CallFlags flags, Bytes arguments)
        {
            Failures.Check((int)TryCall(method, flags, arguments, out ulong call));
            return call;
        }

        /// <summary>As <see cref="Call"/>, with a status instead of an exception.</summary>
        public Status TryCall(uint method, CallFlags flags, Bytes arguments, out ulong call)
        {
            fixed (byte* array = arguments.Array)
            fixed (ulong* id = &call)
            {
                int status = Native.derecho_shard_call(
                    Handle, method, (uint)flags, arguments.Enter(array), (ulong)arguments.Length, id);
                arguments.Exit();
                GC.KeepAlive(_group);
                return (Status)status;
            }
        }

        /// <summary>A method call to one node, out of order with messages.</summary>
        /// <param name="node">A member; this node itself is allowed.</param>
        /// <param name="method">The method's number.</param>
        /// <param name="arguments">Copied.</param>
        /// <returns>The id of the call in its reply.</returns>
        public ulong Query(uint node, uint method, Bytes arguments)
        {
            Failures.Check((int)TryQuery(node, method, arguments, out ulong call));
            return call;
        }

        /// <summary>As <see cref="Query"/>, with a status instead of an exception.</summary>
        public Status TryQuery(uint node, uint method, Bytes arguments, out ulong call)
        {
            fixed (byte* array = arguments.Array)
            fixed (ulong* id = &call)
            {
                int status = Native.derecho_shard_query(
                    Handle, node, method, arguments.Enter(array), (ulong)arguments.Length, id);
                arguments.Exit();
                GC.KeepAlive(_group);
                return (Status)status;
            }
        }

        /// <summary>Claim room for a message, to be filled in place and committed.</summary>
        /// <param name="size">Bytes.</param>
        /// <param name="method">Of a call.</param>
        /// <param name="flags">By default a plain message.</param>
        public Claim Claim(int size, uint method = 0, CallFlags flags = CallFlags.Message)
        {
            var claim = new Claim();
            Failures.Check((int)TryClaim(claim, size, method, flags));
            return claim;
        }

        /// <summary>Claim room into an object that is used again and again, with a status instead of an
        /// exception.</summary>
        /// <param name="claim">Not open.</param>
        /// <param name="size">Bytes.</param>
        /// <param name="method">Of a call.</param>
        /// <param name="flags">By default a plain message.</param>
        public Status TryClaim(Claim claim, int size, uint method = 0, CallFlags flags = CallFlags.Message)
        {
            if (size < 0) throw new ArgumentOutOfRangeException(nameof(size));
            Status status = claim.Open(Handle, method, flags, size);
            GC.KeepAlive(_group);
            return status;
        }
    }
}
