using System;
using System.Collections.Generic;

namespace Derecho
{
    /// <summary>
    /// One node's replica of a service. The base class that <c>derecho stubs</c> generates derives from this, the
    /// application's from that.
    /// </summary>
    public abstract class Service
    {
        /// <summary>In the group.</summary>
        protected internal abstract string ServiceName { get; }

        /// <summary>Of methods and types; members whose hashes differ do not join each other.</summary>
        protected internal abstract ulong SchemaHash { get; }

        /// <summary>What the hash is of: for the error of a node that is refused for another one.</summary>
        protected internal virtual string SchemaText => "";

        /// <summary>Decode the arguments, run the method, encode its result.</summary>
        /// <returns>False for a number beyond the service's methods.</returns>
        protected internal abstract bool Handle(uint method, Decoder arguments, Encoder answer);

        /// <summary>The state, as of now, for a joiner.</summary>
        protected internal abstract byte[] Save();

        /// <summary>Instead of <see cref="Save"/>: the state in pieces, which are made as they are sent, while the group
        /// goes on. The service's ordered calls are held back here until the last one was made; queries are not. Null, as
        /// here: all at once.</summary>
        protected internal virtual IEnumerable<byte[]> SavePieces() => null;

        /// <summary>Replace the state by a saved one.</summary>
        protected internal abstract void Load(byte[] state);
    }

    /// <summary>A shard of plain messages in a <see cref="Group"/>: a handler under a name.</summary>
    public sealed class RawService : Service
    {
        /// <summary>Calls the handler with every message, in order, on whichever thread drives the group.</summary>
        /// <param name="name">Of the shard, the same at every member.</param>
        /// <param name="handler">The event's data is in place, until the handler returns.</param>
        public RawService(string name, Action<Event> handler)
        {
            ServiceName = name;
            Handler = handler;
        }

        /// <inheritdoc/>
        protected internal override string ServiceName { get; }

        /// <summary>None: raw messages only.</summary>
        protected internal override ulong SchemaHash => 0;

        internal Action<Event> Handler { get; }

        /// <summary>There are no methods.</summary>
        protected internal override bool Handle(uint method, Decoder arguments, Encoder answer) => false;

        /// <summary>There is no state.</summary>
        protected internal override byte[] Save() => new byte[0];

        /// <summary>There is no state.</summary>
        protected internal override void Load(byte[] state) { }
    }
}
