using System;

namespace Derecho
{
    /// <summary>What a call, or a remote call, came to; as in derecho.h.</summary>
    public enum Status
    {
        /// <summary>Done.</summary>
        Ok = Native.DERECHO_OK,
        /// <summary>No room right now: poll and release, then retry.</summary>
        Again = Native.DERECHO_AGAIN,
        /// <summary>The deadline passed.</summary>
        Timeout = Native.DERECHO_TIMEOUT,
        /// <summary>An argument is wrong.</summary>
        Invalid = Native.DERECHO_INVALID,
        /// <summary>Not a handle of this kind.</summary>
        BadHandle = Native.DERECHO_BAD_HANDLE,
        /// <summary>The handle, or the group behind it, was closed.</summary>
        Closed = Native.DERECHO_CLOSED,
        /// <summary>Longer than the limit.</summary>
        TooLarge = Native.DERECHO_TOO_LARGE,
        /// <summary>That node is not in the view, or this one is not.</summary>
        NotMember = Native.DERECHO_NOT_MEMBER,
        /// <summary>The view is changing: poll, then retry.</summary>
        Wedged = Native.DERECHO_WEDGED,
        /// <summary>The others removed this node.</summary>
        Ejected = Native.DERECHO_EJECTED,
        /// <summary>Half or more of the members that vote are lost.</summary>
        NoMajority = Native.DERECHO_NO_MAJORITY,
        /// <summary>No contact answered; or only an RDMA device reaches some memory, and none does.</summary>
        Unreachable = Native.DERECHO_UNREACHABLE,
        /// <summary>The group runs something else.</summary>
        Incompatible = Native.DERECHO_INCOMPATIBLE,
        /// <summary>A live member has this node id.</summary>
        Duplicate = Native.DERECHO_DUPLICATE,
        /// <summary>The listen address is taken.</summary>
        AddressInUse = Native.DERECHO_ADDRESS_IN_USE,
        /// <summary>The system gave no memory or descriptors.</summary>
        NoMemory = Native.DERECHO_NO_MEMORY,
        /// <summary>Of a reply: the member left before it answered.</summary>
        Removed = Native.DERECHO_REMOVED,
        /// <summary>Of a reply: the handler failed; the data is its error text.</summary>
        RemoteError = Native.DERECHO_REMOTE_ERROR,
        /// <summary>Of a reply: no such method.</summary>
        UnknownMethod = Native.DERECHO_UNKNOWN_METHOD,
        /// <summary>Every member that had the state is gone.</summary>
        StateLost = Native.DERECHO_STATE_LOST,
        /// <summary>A bug in libderecho.</summary>
        Internal = Native.DERECHO_INTERNAL,
        /// <summary>Replicas of a service differ.</summary>
        Differs = Native.DERECHO_DIFFERS
    }

    /// <summary>What an <see cref="Event"/> tells; derecho.h says which fields each kind has.</summary>
    public enum EventKind
    {
        /// <summary>An ordered message.</summary>
        Message = Native.DERECHO_EVENT_MESSAGE,
        /// <summary>An ordered call.</summary>
        Call = Native.DERECHO_EVENT_CALL,
        /// <summary>A query to this node.</summary>
        Query = Native.DERECHO_EVENT_QUERY,
        /// <summary>This node's call was ordered; the data is the ids of the members that owe a reply.</summary>
        Ordered = Native.DERECHO_EVENT_ORDERED,
        /// <summary>One reply.</summary>
        Reply = Native.DERECHO_EVENT_REPLY,
        /// <summary>A view was installed.</summary>
        View = Native.DERECHO_EVENT_VIEW,
        /// <summary>A joiner needs the service's state, as of this very event.</summary>
        StateRequest = Native.DERECHO_EVENT_STATE_REQUEST,
        /// <summary>A piece of the state for this node.</summary>
        State = Native.DERECHO_EVENT_STATE,
        /// <summary>The end; the status says why.</summary>
        Closed = Native.DERECHO_EVENT_CLOSED,
        /// <summary>An operation on registered memory ended; the data of an Invalid one says why.</summary>
        Memory = Native.DERECHO_EVENT_MEMORY,
        /// <summary>Option digest found that a replica differs; the data is a sentence.</summary>
        Difference = Native.DERECHO_EVENT_DIFFERENCE
    }

    /// <summary>Marks of an <see cref="Event"/>.</summary>
    [Flags]
    public enum EventFlags : uint
    {
        /// <summary>No mark.</summary>
        None = 0,
        /// <summary>An answer is due.</summary>
        Reply = Native.DERECHO_FLAG_REPLY,
        /// <summary>The first piece of a state: discards those before it.</summary>
        First = Native.DERECHO_FLAG_FIRST,
        /// <summary>The last piece of a state.</summary>
        Last = Native.DERECHO_FLAG_LAST,
        /// <summary>This node sent it.</summary>
        Own = Native.DERECHO_FLAG_OWN
    }

    /// <summary>What peers may do with registered memory.</summary>
    [Flags]
    public enum MemoryAccess : uint
    {
        /// <summary>Nothing: it is for this node's own operations.</summary>
        None = 0,
        /// <summary>Read it.</summary>
        Read = Native.DERECHO_MEMORY_READ,
        /// <summary>Write it.</summary>
        Write = Native.DERECHO_MEMORY_WRITE
    }

    /// <summary>How a message is sent.</summary>
    [Flags]
    public enum CallFlags : uint
    {
        /// <summary>A call without replies.</summary>
        None = 0,
        /// <summary>Replies are wanted.</summary>
        Reply = Native.DERECHO_CALL_REPLY,
        /// <summary>Of a claim: a plain message, no call.</summary>
        Message = Native.DERECHO_CLAIM_MESSAGE
    }
}
