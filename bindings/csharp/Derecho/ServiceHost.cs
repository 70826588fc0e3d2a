using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Derecho
{
    /// <summary>One service in one group: where the calls of all members come in. Only the driver uses it.</summary>
    internal sealed unsafe class ServiceHost
    {
        private const int ErrorBytesMax = 4096;
        private const long HeldBytesMax = 64 << 20; // of calls while a state is saved; then it is made at once

        private readonly Engine _engine;
        private readonly Decoder _arguments = new Decoder();
        private readonly ScratchEncoder _answer = new ScratchEncoder();
        private readonly MemoryStream _pieces = new MemoryStream();
        private readonly List<Action> _held = new List<Action>(); // calls that came before the state they apply to
        private readonly Dictionary<Tuple<uint, ulong>, StateSender> _saving =
            new Dictionary<Tuple<uint, ulong>, StateSender>(); // in pieces that are still to be made
        private long _heldBytes;
        private CallContext _savedAsOf; // the last ordered call that the state being saved has
        private CallContext _loadedAsOf; // ... and the one that came
        private volatile bool _loading;

        internal ServiceHost(Engine engine, Service service, Shard shard)
        {
            _engine = engine;
            Service = service;
            Shard = shard;
            Arrived = new Arrival(service.ServiceName);
        }

        internal Service Service { get; }

        internal Shard Shard { get; }

        internal Arrival Arrived { get; }

        internal string Name => Service.ServiceName;

        /// <summary>Whether the state is still to come.</summary>
        internal bool Loading
        {
            get => _loading;
            set => _loading = value;
        }

        /// <summary>Why the state that came could not be loaded.</summary>
        internal StateError LoadError { get; private set; }

        /// <summary>A plain message.</summary>
        internal void OnMessage(Event message)
        {
            if (!(Service is RawService raw)) return;
            try
            {
                raw.Handler(message);
            }
            catch (Exception error)
            {
                _engine.Failed($"the handler of {Name}", error);
            }
        }

        /// <summary>An ordered call or a query.</summary>
        internal void OnCall(Event call)
        {
            var origin = new Origin(call);
            Bytes data = call.Data;
            bool query = call.Kind == EventKind.Query; // sees the state as it is
            if (Loading || (_saving.Count != 0 && !query))
            {
                byte[] copy = data.ToArray();
                _held.Add(() =>
                {
                    fixed (byte* bytes = copy)
                    {
                        _arguments.Reset(bytes, copy.Length, null, 0);
                        origin.Context = origin.Context.NotBefore(_loadedAsOf); // a query now sees this state
                        Run(origin);
                    }
                });
                _heldBytes += copy.Length;
                if (!Loading && _heldBytes > HeldBytesMax) FinishSaving();
                return;
            }
            data.Lend(_arguments);
            if (_saving.Count != 0) origin.Context = origin.Context.NotAfter(_savedAsOf); // the rest is held back
            Run(origin);
        }

        /// <summary>A joiner needs the state as of now.</summary>
        internal void OnStateRequest(Event request)
        {
            if (_held.Count != 0) FinishSaving(); // what is held back is a part of it
            uint node = request.Node;
            ulong id = request.Id;
            try
            {
                IEnumerable<byte[]> pieces = Service.SavePieces();
                _savedAsOf = new CallContext(node, request.Version, request.TimestampNs);
                if (pieces != null) SaveInPieces(node, id, pieces);
                else _engine.Outbox.SendState(node, id, Service.Save() ?? throw new StateError("it is null"));
            }
            catch (Exception error)
            {
                bool compared = (request.Flags & EventFlags.Own) != 0; // a digest is made of it
                _engine.Failed((compared ? "" : $"member {node} cannot join: ") + $"saving the state of {Name}", error);
                _engine.Outbox.SendNoState(node, id, error);
            }
        }

        private void SaveInPieces(uint node, ulong id, IEnumerable<byte[]> pieces)
        {
            Tuple<uint, ulong> key = Tuple.Create(node, id);
            _saving[key] = null;
            StateSender sender = _engine.Outbox.SendState(node, id, pieces, () => Saved(key));
            if (_saving.ContainsKey(key)) _saving[key] = sender;
        }

        /// <summary>The last piece was made, or nobody wants it any more.</summary>
        private void Saved(Tuple<uint, ulong> key)
        {
            if (_saving.Remove(key) && _saving.Count == 0) RunHeld();
        }

        /// <summary>Make what is missing now, so that the service may change.</summary>
        private void FinishSaving()
        {
            foreach (StateSender sender in new List<StateSender>(_saving.Values)) sender.Collect();
        }

        private void RunHeld()
        {
            Action[] held = _held.ToArray();
            _held.Clear();
            _heldBytes = 0;
            foreach (Action call in held) call();
        }

        /// <summary>A piece of the state; after the last one, what was held back is applied.</summary>
        internal void OnState(Event piece)
        {
            if (piece.Status != Status.Ok)
            {
                string why = Encoding.UTF8.GetString(piece.Data.ToArray());
                LoadError = new StateError($"member {piece.Node} cannot give the state of {Name}: {why}");
                Loading = false;
                RunHeld();
                return;
            }
            if ((piece.Flags & EventFlags.First) != 0) _pieces.SetLength(0);
            byte[] part = piece.Data.ToArray();
            _pieces.Write(part, 0, part.Length);
            if ((piece.Flags & EventFlags.Last) == 0) return;
            _loadedAsOf = new CallContext(piece.Node, piece.Id, piece.TimestampNs);
            Load(_pieces.ToArray());
            _pieces.SetLength(0);
            Loading = false;
            RunHeld();
        }

        private void Load(byte[] state)
        {
            try
            {
                Service.Load(state);
            }
            catch (Exception error)
            {
                LoadError = new StateError($"the state of {Name} cannot be loaded: {Describe(error)}");
                _engine.Failed($"loading the state of {Name}", error);
            }
        }

        private void Run(Origin call)
        {
            _answer.Wanted = call.WantsReply;
            CallContext? outer = call.Context.Enter();
            try
            {
                if (Service.Handle(call.Method, _arguments, _answer)) call.Answer(_engine, Status.Ok, _answer.Message);
                else call.Answer(_engine, Status.UnknownMethod, default(Bytes));
            }
            catch (Exception error)
            {
                Fail(call, error);
                if (Engine.EndsNode(error)) _engine.LeaveBecause($"method {call.Method} of {Name}", error);
            }
            finally
            {
                CallContext.Leave(outer);
            }
        }

        private void Fail(Origin call, Exception error)
        {
            if (!call.WantsReply)
            {
                Log.Write($"{Name}: method {call.Method} failed, and its caller wants no answer", error);
                return;
            }
            try
            {
                call.Answer(_engine, Status.RemoteError, ErrorText(error));
            }
            catch (DerechoError late)
            {
                if (_engine.End == null) Log.Write($"{Name}: the answer could not be sent", late);
            }
        }

        /// <summary>"Type: text", of an exception without a text as well.</summary>
        internal static string Describe(Exception error)
        {
            string text;
            try
            {
                text = error.Message;
            }
            catch (Exception second)
            {
                text = $"(no text: Message of it threw {second.GetType().Name})";
            }
            return $"{error.GetType().Name}: {text}";
        }

        /// <summary>What a caller is told of a failure.</summary>
        internal static Bytes ErrorText(Exception error)
        {
            byte[] text = Encoding.UTF8.GetBytes(Describe(error));
            if (text.Length <= ErrorBytesMax) return text;
            int end = ErrorBytesMax;
            while ((text[end] & 0xc0) == 0x80) end--; // never in the middle of a character
            return new Bytes(text, 0, end);
        }

        /// <summary>Whom an answer goes to.</summary>
        private struct Origin
        {
            private readonly ulong _call;

            internal CallContext Context;

            internal readonly uint Method;
            internal readonly bool WantsReply;

            internal Origin(Event call)
            {
                Context = new CallContext(call.Node, call.Version, call.TimestampNs);
                _call = call.Id;
                Method = call.Method;
                WantsReply = call.WantsReply;
            }

            internal void Answer(Engine engine, Status status, Bytes data)
            {
                if (WantsReply) engine.Outbox.Answer(Context.Caller, _call, status, data);
            }
        }
    }
}
