using System;
using System.Text;

namespace Derecho
{
    /// <summary>
    /// A read or write of registered memory under way; its value is the number of bytes moved, all there were. It fails
    /// with <see cref="MemberRemoved"/> when the member left the view first, with <see cref="InvalidArgument"/> when the
    /// key opens nothing, does not allow it, or the run reaches beyond the memory's end, with <see cref="Unreachable"/>
    /// when only RDMA devices reach the memory at one end, and none does.
    /// </summary>
    public sealed class Transfer : Future<long>, IPending
    {
        private readonly long _size;

        internal Transfer(Engine engine, bool write, uint node, long size)
            : base(engine, $"{(write ? "write" : "read")} of {size} bytes at node {node}")
        {
            _size = size;
            Member = node;
        }

        /// <summary>The node whose memory it is.</summary>
        public uint Member { get; }

        internal string Name => What;

        void IPending.Order(Event ordered) { } // it has no place in the order

        bool IPending.Take(Event ended, Decoder decoder)
        {
            if (ended.Status == Status.Ok) Set(_size);
            else if (ended.Status == Status.Removed)
                Set(0, new MemberRemoved($"{What}: member {Member} left the view first", Member));
            else Set(0, Failures.Make(ended.Status, $"{What}: {Encoding.UTF8.GetString(ended.Data.ToArray())}"));
            return true;
        }

        void IPending.Fail(DerechoError error) => Set(0, error);

        internal override string Late(TimeSpan timeout) =>
            $"{What}: it has not ended within {timeout.TotalSeconds:g} s";
    }
}
