using System;
using System.Collections.Generic;
using System.IO;

namespace Derecho
{
    /// <summary>A state on its way to a joiner, in pieces that are made as they are sent. Only the driver uses it.</summary>
    internal sealed class StateSender
    {
        private readonly RawGroup _group;
        private readonly uint _node;
        private readonly ulong _request;
        private readonly int _pieceBytes;
        private readonly Action _made;
        private IEnumerator<byte[]> _pieces; // null: the last one was made
        private byte[] _due = new byte[0];
        private int _sent;
        private bool _failed; // why is due

        /// <param name="group">To send by.</param>
        /// <param name="node">The joiner.</param>
        /// <param name="request">Its request.</param>
        /// <param name="pieceBytes">Most bytes that are sent at once.</param>
        /// <param name="pieces">Of any size.</param>
        /// <param name="made">Called once the last one was made, or nobody wants it any more.</param>
        internal StateSender(
            RawGroup group, uint node, ulong request, int pieceBytes, IEnumerable<byte[]> pieces, Action made)
        {
            _group = group;
            _node = node;
            _request = request;
            _pieceBytes = pieceBytes;
            _pieces = pieces.GetEnumerator();
            _made = made;
        }

        /// <summary>Tell the joiner why there will be none.</summary>
        internal void Fail(Exception error)
        {
            _failed = true;
            _due = ServiceHost.ErrorText(error).ToArray();
            _sent = 0;
            _pieces = null;
        }

        /// <summary>Make the rest now.</summary>
        internal void Collect()
        {
            var rest = new List<byte[]>();
            while (_pieces != null)
                if (Next() is byte[] piece) rest.Add(piece);
            if (!_failed && rest.Count != 0) _pieces = rest.GetEnumerator();
        }

        /// <summary>Nobody wants it any more.</summary>
        internal void Drop()
        {
            if (_pieces == null) return;
            _pieces = null;
            _made();
        }

        /// <summary>Send what there is room for.</summary>
        internal Status Send()
        {
            while (true)
            {
                if (_sent == _due.Length && _pieces != null) Fill();
                if (_failed) return _group.TryFailState(_node, _request, _due);
                int size = Math.Min(_pieceBytes, _due.Length - _sent);
                bool last = _pieces == null && _sent + size == _due.Length;
                Status status = _group.TrySendState(_node, _request, new Bytes(_due, _sent, size), last);
                if (status != Status.Ok || last) return status;
                _sent += size;
            }
        }

        /// <summary>Gather small pieces.</summary>
        private void Fill()
        {
            var gathered = new MemoryStream();
            byte[] only = null;
            while (_pieces != null && only == null && gathered.Length < _pieceBytes)
            {
                byte[] piece = Next();
                if (piece == null) break;
                if (gathered.Length == 0 && piece.Length >= _pieceBytes) only = piece;
                else gathered.Write(piece, 0, piece.Length);
            }
            if (_failed) return;
            _due = only ?? gathered.ToArray();
            _sent = 0;
        }

        /// <summary>The next piece; null, and it is over, if there is none.</summary>
        private byte[] Next()
        {
            try
            {
                if (_pieces.MoveNext()) return _pieces.Current ?? throw new StateError("a piece is null");
                _pieces = null;
            }
            catch (Exception error)
            {
                Log.Write("the state cannot be saved", error);
                Fail(error);
            }
            _made();
            return null;
        }
    }
}
