using System;
using System.Collections.Generic;
using System.Linq;

namespace Derecho
{
    /// <summary>
    /// Answers and pieces of state that found no room, by destination, tried again whenever the group is driven. Only
    /// the driver uses it.
    /// </summary>
    internal sealed class Outbox
    {
        private const int WaitingMax = 1 << 16; // for one node; the core holds back 64 MB more

        private readonly RawGroup _group;
        private readonly int _pieceBytes;
        private readonly Dictionary<uint, Queue<Entry>> _waiting = new Dictionary<uint, Queue<Entry>>();

        /// <param name="group">To send by.</param>
        /// <param name="pieceBytes">Most bytes in a piece of state.</param>
        internal Outbox(RawGroup group, int pieceBytes)
        {
            _group = group;
            _pieceBytes = pieceBytes;
        }

        /// <summary>Answer a call or query; the bytes are copied if they have to wait.</summary>
        /// <exception cref="DerechoError">As the core says, such as TooLarge.</exception>
        internal void Answer(uint node, ulong call, Status status, Bytes data)
        {
            if (!_waiting.ContainsKey(node))
            {
                Status sent = _group.TryReply(node, call, status, data);
                if (sent == Status.Ok) return;
                if (sent != Status.Again) throw Failures.OfLastCall(sent);
            }
            Bytes kept = data.ToArray();
            Keep(node, () =>
            {
                Status sent = _group.TryReply(node, call, status, kept);
                if (sent != Status.TooLarge) return sent;
                kept = ServiceHost.ErrorText(Failures.OfLastCall(sent)); // found late: its caller still waits
                status = Status.RemoteError;
                return _group.TryReply(node, call, status, kept);
            });
        }

        /// <summary>Send the state to a joiner, in pieces; it is kept until it is sent.</summary>
        internal void SendState(uint node, ulong request, byte[] state)
        {
            _group.SendStateSize(node, request, state.Length);
            SendState(node, request, new[] { state }, () => { });
        }

        /// <summary>... as the pieces are made.</summary>
        /// <returns>What can make the rest of them at once.</returns>
        internal StateSender SendState(uint node, ulong request, IEnumerable<byte[]> pieces, Action made)
        {
            var sender = new StateSender(_group, node, request, _pieceBytes, pieces, made);
            Keep(node, sender.Send, sender.Drop);
            Retry();
            return sender;
        }

        /// <summary>Tell a joiner why there will be none.</summary>
        internal void SendNoState(uint node, ulong request, Exception error)
        {
            var sender = new StateSender(_group, node, request, _pieceBytes, new byte[0][], () => { });
            sender.Fail(error);
            Keep(node, sender.Send, sender.Drop);
            Retry();
        }

        /// <summary>Send again; whether something is left.</summary>
        internal bool Retry()
        {
            if (_waiting.Count == 0) return false;
            foreach (uint node in _waiting.Keys.ToArray())
            {
                Queue<Entry> queue = _waiting[node];
                while (queue.Count != 0 && IsDone(node, queue.Peek().Send())) queue.Dequeue().Drop();
                if (queue.Count == 0) _waiting.Remove(node);
            }
            return _waiting.Count != 0;
        }

        private static bool IsDone(uint node, Status status)
        {
            if (status == Status.Again) return false;
            if (status != Status.Ok) // the joiner went, or the group ended: nothing more can be done for it
                Log.Write($"what was meant for member {node} is dropped: {Library.LastError}");
            return true;
        }

        private void Keep(uint node, Func<Status> send) => Keep(node, send, () => { });

        private void Keep(uint node, Func<Status> send, Action drop)
        {
            if (!_waiting.TryGetValue(node, out Queue<Entry> queue))
                _waiting.Add(node, queue = new Queue<Entry>());
            if (queue.Count < WaitingMax) queue.Enqueue(new Entry { Send = send, Drop = drop });
            else Log.Write($"member {node} does not take its answers: {queue.Count} wait, one more is dropped");
        }

        private struct Entry
        {
            internal Func<Status> Send;
            internal Action Drop; // after it was sent, or cannot be
        }
    }
}
