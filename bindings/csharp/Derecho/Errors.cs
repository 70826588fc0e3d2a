using System;
using System.Collections.Generic;

namespace Derecho
{
    /// <summary>Anything that libderecho, or this binding on top of it, refuses or fails to do.</summary>
    public class DerechoError : Exception
    {
        /// <summary>Make one.</summary>
        public DerechoError(Status status, string message) : base(message) { Status = status; }

        /// <summary>The status behind it; <see cref="Status.Internal"/> when nothing more specific applies.</summary>
        public Status Status { get; }
    }

    /// <summary>No room right now: receive and release events, then try again.</summary>
    public sealed class RingFull : DerechoError
    {
        internal RingFull(string message) : base(Status.Again, message) { }
    }

    /// <summary>The deadline passed; the text says what was waited for.</summary>
    public sealed class Timeout : DerechoError
    {
        internal Timeout(string message) : base(Status.Timeout, message) { }
    }

    /// <summary>An argument or option is wrong; the text names it and what is accepted.</summary>
    public sealed class InvalidArgument : DerechoError
    {
        internal InvalidArgument(string message) : base(Status.Invalid, message) { }
    }

    /// <summary>The handle is not of the kind that the call takes.</summary>
    public sealed class BadHandle : DerechoError
    {
        internal BadHandle(string message) : base(Status.BadHandle, message) { }
    }

    /// <summary>The object, or the group behind it, was closed or left.</summary>
    public sealed class Closed : DerechoError
    {
        internal Closed(string message) : base(Status.Closed, message) { }
    }

    /// <summary>Longer than the limit; the text names both.</summary>
    public sealed class TooLarge : DerechoError
    {
        internal TooLarge(string message) : base(Status.TooLarge, message) { }
    }

    /// <summary>That node is not in the view, or this one is only a client.</summary>
    public sealed class NotMember : DerechoError
    {
        internal NotMember(string message) : base(Status.NotMember, message) { }
    }

    /// <summary>Members are being added or removed right now: receive, then try again.</summary>
    public sealed class ViewChanging : DerechoError
    {
        internal ViewChanging(string message) : base(Status.Wedged, message) { }
    }

    /// <summary>The others removed this node; join again.</summary>
    public sealed class Ejected : DerechoError
    {
        internal Ejected(string message) : base(Status.Ejected, message) { }
    }

    /// <summary>Half or more of the members that vote are lost: this node stopped, so that no two halves go
    /// separate ways.</summary>
    public sealed class NoMajority : DerechoError
    {
        internal NoMajority(string message) : base(Status.NoMajority, message) { }
    }

    /// <summary>No contact answered; or only an RDMA device reaches some memory, and none does.</summary>
    public sealed class Unreachable : DerechoError
    {
        internal Unreachable(string message) : base(Status.Unreachable, message) { }
    }

    /// <summary>The group runs something else; the text names the difference.</summary>
    public sealed class Incompatible : DerechoError
    {
        internal Incompatible(string message) : base(Status.Incompatible, message) { }
    }

    /// <summary>A live member has this node id.</summary>
    public sealed class DuplicateNode : DerechoError
    {
        internal DuplicateNode(string message) : base(Status.Duplicate, message) { }
    }

    /// <summary>The listen address is taken.</summary>
    public sealed class AddressInUse : DerechoError
    {
        internal AddressInUse(string message) : base(Status.AddressInUse, message) { }
    }

    /// <summary>The system gave no memory or descriptors.</summary>
    public sealed class NoMemory : DerechoError
    {
        internal NoMemory(string message) : base(Status.NoMemory, message) { }
    }

    /// <summary>A bug in libderecho.</summary>
    public sealed class InternalError : DerechoError
    {
        internal InternalError(string message) : base(Status.Internal, message) { }
    }

    /// <summary>The member left the view before it answered.</summary>
    public sealed class MemberRemoved : DerechoError
    {
        internal MemberRemoved(string message, uint member) : base(Status.Removed, message) { Member = member; }

        /// <summary>The node that was removed; 0 when it was every one of them.</summary>
        public uint Member { get; }
    }

    /// <summary>A handler at a member failed.</summary>
    public sealed class RemoteError : DerechoError
    {
        internal RemoteError(uint member, string typeName, string text, string where)
            : base(Status.RemoteError, $"{where} at member {member}: {typeName}" + (text == "" ? "" : ": " + text))
        {
            Member = member;
            TypeName = typeName;
            Text = text;
        }

        /// <summary>The node whose handler failed.</summary>
        public uint Member { get; }

        /// <summary>Plain name of the exception's type over there, such as <c>"ArgumentException"</c>.</summary>
        public string TypeName { get; }

        /// <summary>Its text.</summary>
        public string Text { get; }
    }

    /// <summary>The member's service has no such method.</summary>
    public sealed class UnknownMethod : DerechoError
    {
        internal UnknownMethod(string message, uint member) : base(Status.UnknownMethod, message) { Member = member; }

        /// <summary>The node that said so.</summary>
        public uint Member { get; }
    }

    /// <summary>Members answered one ordered call differently; or, as the reason of a group's end, replicas differed and
    /// option digest_policy is stop.</summary>
    public sealed class ReplicasDiffer : DerechoError
    {
        internal ReplicasDiffer(string message, IReadOnlyDictionary<uint, object> answers = null)
            : base(Status.Differs, message)
        {
            Answers = answers ?? new Map<uint, object>();
        }

        /// <summary>Of a call: by node, in order of rank, the value that the member answered, or the
        /// <see cref="DerechoError"/> that it failed with.</summary>
        public IReadOnlyDictionary<uint, object> Answers { get; }
    }

    /// <summary>Every member that had the state is gone.</summary>
    public sealed class StateLost : DerechoError
    {
        internal StateLost(string message) : base(Status.StateLost, message) { }
    }

    /// <summary>A service's state cannot be saved, or the received one cannot be loaded.</summary>
    public sealed class StateError : DerechoError
    {
        internal StateError(string message) : base(Status.Internal, message) { }
    }

    /// <summary>A value does not fit the signature; the text names the method and the reason.</summary>
    public sealed class EncodeError : DerechoError
    {
        internal EncodeError(string message) : base(Status.Invalid, message) { }
    }

    /// <summary>Bytes from a peer that are not a message of this signature.</summary>
    public sealed class DecodeError : DerechoError
    {
        internal DecodeError(string message) : base(Status.Invalid, message) { }
    }

    /// <summary>A handler waited for something that only arrives once the handler has returned.</summary>
    public sealed class InHandler : DerechoError
    {
        internal InHandler(string message) : base(Status.Internal, message) { }
    }

    /// <summary>Makes the exception of a status.</summary>
    internal static class Failures
    {
        /// <summary>Throw unless the call that was just made on this thread gave OK.</summary>
        internal static void Check(int status)
        {
            if (status != Native.DERECHO_OK) throw OfLastCall((Status)status);
        }

        internal static DerechoError OfLastCall(Status status) => Make(status, Library.LastError);

        internal static DerechoError Make(Status status, string text)
        {
            if (text == "") text = $"libderecho returned status {status}";
            switch (status)
            {
                case Status.Again: return new RingFull(text);
                case Status.Timeout: return new Timeout(text);
                case Status.Invalid: return new InvalidArgument(text);
                case Status.BadHandle: return new BadHandle(text);
                case Status.Closed: return new Closed(text);
                case Status.TooLarge: return new TooLarge(text);
                case Status.NotMember: return new NotMember(text);
                case Status.Wedged: return new ViewChanging(text);
                case Status.Ejected: return new Ejected(text);
                case Status.NoMajority: return new NoMajority(text);
                case Status.Unreachable: return new Unreachable(text);
                case Status.Incompatible: return new Incompatible(text);
                case Status.Duplicate: return new DuplicateNode(text);
                case Status.AddressInUse: return new AddressInUse(text);
                case Status.NoMemory: return new NoMemory(text);
                case Status.StateLost: return new StateLost(text);
                case Status.Differs: return new ReplicasDiffer(text);
                case Status.Internal: return new InternalError(text);
                default: return new DerechoError(status, text);
            }
        }

        /// <summary>Of a reply that is not OK; <paramref name="what"/> is the call, such as "Cache.Get".</summary>
        internal static DerechoError OfReply(Status status, uint member, string what, string text)
        {
            switch (status)
            {
                case Status.RemoteError:
                    int colon = text.IndexOf(": ", StringComparison.Ordinal);
                    return colon < 0
                        ? new RemoteError(member, text, "", what)
                        : new RemoteError(member, text.Substring(0, colon), text.Substring(colon + 2), what);
                case Status.Removed:
                    return new MemberRemoved($"{what}: member {member} left the view before it answered", member);
                case Status.UnknownMethod:
                    return new UnknownMethod($"{what}: member {member} has no such method", member);
                default:
                    return Make(status, text == "" ? $"{what}: member {member} answered with status {status}" : text);
            }
        }
    }
}
