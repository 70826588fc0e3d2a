using System;

namespace Derecho
{
    /// <summary>
    /// Room for one message in this node's ring, being filled in place. One thread at a time may use it; it may be
    /// opened again with <see cref="Shard.TryClaim"/>. Dropped open, it is aborted.
    /// </summary>
    public sealed unsafe partial class Claim : IDisposable
    {
        private IntPtr _shard; // zero when not open
        private Native.derecho_claim _claim;

        /// <summary>Not open yet.</summary>
        public Claim() { }

        /// <summary>Aborts a forgotten one, which would hold up its followers.</summary>
        ~Claim() { Abort(); }

        /// <summary>Whether there is room to be filled.</summary>
        public bool IsOpen => _shard != IntPtr.Zero;

        /// <summary>The claimed bytes.</summary>
        public int Size => (int)Opened()._claim.size_bytes;

        /// <summary>The ticket, or the call; it may change at the commit.</summary>
        public ulong Id => _claim.id;

        /// <summary>Where the bytes lie, 8-byte aligned; good until the commit, and read again after a commit that was
        /// refused: they may have moved.</summary>
        public IntPtr Data => (IntPtr)Opened()._claim.data;

        /// <summary>Copy bytes into the claim.</summary>
        public void Write(int offset, Bytes data)
        {
            if (offset < 0 || data.Length > Size - offset) throw new ArgumentOutOfRangeException(nameof(offset));
            data.CopyTo((byte*)_claim.data + offset);
        }

        /// <summary>Send the message.</summary>
        /// <exception cref="DerechoError">RingFull: it lost its place and there is no room now; it is still open: poll,
        /// then retry. Ejected, NoMajority, Closed.</exception>
        public void Commit() => Commit(Size);

        /// <summary>Send the first bytes of it.</summary>
        public void Commit(int usedBytes) => Failures.Check((int)TryCommit(usedBytes));

        /// <summary>As <see cref="Commit(int)"/>, with a status instead of an exception.</summary>
        public Status TryCommit(int usedBytes)
        {
            if (usedBytes < 0) throw new ArgumentOutOfRangeException(nameof(usedBytes));
            Opened();
            int status;
            fixed (Native.derecho_claim* claim = &_claim)
                status = Native.derecho_claim_commit(_shard, claim, (ulong)usedBytes);
            if (status == Native.DERECHO_OK) _shard = IntPtr.Zero;
            GC.KeepAlive(this);
            return (Status)status;
        }

        /// <summary>Give it back unsent; does nothing when it is not open.</summary>
        public void Abort()
        {
            IntPtr shard = _shard;
            if (shard == IntPtr.Zero) return;
            _shard = IntPtr.Zero;
            fixed (Native.derecho_claim* claim = &_claim) Native.derecho_claim_abort(shard, claim);
        }

        /// <summary>As <see cref="Abort"/>, for <c>using</c>: after a commit it does nothing.</summary>
        public void Dispose()
        {
            Abort();
            GC.SuppressFinalize(this);
        }

        internal Status Open(IntPtr shard, uint method, CallFlags flags, int size)
        {
            if (IsOpen) throw new InvalidOperationException("the claim is open: commit or abort it first");
            int status;
            fixed (Native.derecho_claim* claim = &_claim)
                status = Native.derecho_shard_claim(shard, method, (uint)flags, (ulong)size, claim);
            if (status == Native.DERECHO_OK) _shard = shard;
            return (Status)status;
        }

        private Claim Opened()
        {
            if (!IsOpen) throw new Closed("the claim is not open: it was committed, aborted, or never made");
            return this;
        }
    }
}
