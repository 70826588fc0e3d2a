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

        private readonly Engine _engine;
        private readonly Decoder _arguments = new Decoder();
        private readonly ScratchEncoder _answer = new ScratchEncoder();
        private readonly MemoryStream _pieces = new MemoryStream();
        private readonly List<Action> _held = new List<Action>(); // calls that came before the state they apply to
        private volatile bool _loading;

        internal ServiceHost(Engine engine, Service service, Shard shard)
        {
            _engine = engine;
            Service = service;
            Shard = shard;
        }

        internal Service Service { get; }

        internal Shard Shard { get; }

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
                Log.Write($"the handler of {Name} failed", error);
            }
        }

        /// <summary>An ordered call or a query.</summary>
        internal void OnCall(Event call)
        {
            var origin = new Origin(call);
            Bytes data = call.Data;
            if (Loading)
            {
                byte[] copy = data.ToArray();
                _held.Add(() =>
                {
                    fixed (byte* bytes = copy)
                    {
                        _arguments.Reset(bytes, copy.Length, null, 0);
                        Run(origin);
                    }
                });
                return;
            }
            data.Lend(_arguments);
            Run(origin);
        }

        /// <summary>A joiner needs the state as of now.</summary>
        internal void OnStateRequest(Event request)
        {
            byte[] state;
            try
            {
                state = Service.Save() ?? throw new StateError("it is null");
            }
            catch (Exception error)
            {
                Log.Write($"member {request.Node} cannot join: the state of {Name} cannot be saved", error);
                return;
            }
            _engine.Outbox.SendState(request.Node, request.Id, state);
        }

        /// <summary>A piece of the state; after the last one, what was held back is applied.</summary>
        internal void OnState(Event piece)
        {
            if ((piece.Flags & EventFlags.First) != 0) _pieces.SetLength(0);
            byte[] part = piece.Data.ToArray();
            _pieces.Write(part, 0, part.Length);
            if ((piece.Flags & EventFlags.Last) == 0) return;
            Load(_pieces.ToArray());
            _pieces.SetLength(0);
            foreach (Action call in _held) call();
            _held.Clear();
            Loading = false;
        }

        private void Load(byte[] state)
        {
            try
            {
                Service.Load(state);
            }
            catch (Exception error)
            {
                string reason = $"{error.GetType().Name}: {error.Message}";
                LoadError = new StateError($"the state of {Name} cannot be loaded: {reason}");
                Log.Write(LoadError.Message);
            }
        }

        private void Run(Origin call)
        {
            _answer.Wanted = call.WantsReply;
            try
            {
                if (Service.Handle(call.Method, _arguments, _answer)) call.Answer(_engine, Status.Ok, _answer.Message);
                else call.Answer(_engine, Status.UnknownMethod, default(Bytes));
            }
            catch (Exception error)
            {
                Fail(call, error);
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

        /// <summary>What a caller is told of a failure: "Type: text".</summary>
        internal static Bytes ErrorText(Exception error)
        {
            byte[] text = Encoding.UTF8.GetBytes($"{error.GetType().Name}: {error.Message}");
            if (text.Length <= ErrorBytesMax) return text;
            int end = ErrorBytesMax;
            while ((text[end] & 0xc0) == 0x80) end--; // never in the middle of a character
            return new Bytes(text, 0, end);
        }

        /// <summary>Whom an answer goes to.</summary>
        private struct Origin
        {
            private readonly uint _node;
            private readonly ulong _call;

            internal readonly uint Method;
            internal readonly bool WantsReply;

            internal Origin(Event call)
            {
                _node = call.Node;
                _call = call.Id;
                Method = call.Method;
                WantsReply = call.WantsReply;
            }

            internal void Answer(Engine engine, Status status, Bytes data)
            {
                if (WantsReply) engine.Outbox.Answer(_node, _call, status, data);
            }
        }
    }
}
