// Generated from store.py by `derecho stubs`; do not edit.
using System;
using System.Collections.Generic;
using Derecho;

namespace file_store
{
    /// <summary>Files by path. One larger than a message comes in pieces, each an ordered call.</summary>
    public abstract class FileStore : Service
    {
        /// <summary>The service's name in a group.</summary>
        public const string Name = "FileStore";

        /// <summary>Of methods and types; members whose hashes differ do not join each other.</summary>
        public const ulong Hash = 0x9aaa385a49b229a5;

        /// <inheritdoc/>
        protected override string ServiceName => Name;

        /// <inheritdoc/>
        protected override ulong SchemaHash => Hash;

        /// <inheritdoc/>
        protected override string SchemaText =>
            "service FileStore\n" +
            "ordered put(path:str,index:u32,count:u32,piece:bytes)->bool\n" +
            "query get(path:str)->optional<bytes>\n" +
            "state Stored{files:map<str,bytes>,partial:map<str,list<bytes>>}\n";

        /// <summary>Add piece `index` of `count`; a first piece starts the file afresh. Whether the file is
        /// complete.</summary>
        public abstract bool Put(string path, uint index, uint count, byte[] piece);

        /// <summary>Return a complete file.</summary>
        public abstract byte[] Get(string path);

        /// <summary>The state, as of now, for a joiner.</summary>
        protected abstract Stored SaveState();

        /// <summary>Replace the state by a saved one.</summary>
        protected abstract void LoadState(Stored state);

        /// <inheritdoc/>
        protected override byte[] Save()
        {
            Stored state = SaveState();
            return Encoder.ToArray("FileStore state", 16, encoder =>
            {
                encoder.NotNull(state).Put(encoder, 0);
            });
        }

        /// <inheritdoc/>
        protected override void Load(byte[] data)
        {
            LoadState(Decoder.Read(data, "FileStore state", 16, decoder => Stored.Get(decoder, 0)));
        }

        /// <inheritdoc/>
        protected override bool Handle(uint method, Decoder arguments, Encoder answer)
        {
            switch (method)
            {
                case 0: HandlePut(arguments, answer); return true;
                case 1: HandleGet(arguments, answer); return true;
                default: return false;
            }
        }

        private void HandlePut(Decoder arguments, Encoder answer)
        {
            arguments.Begin("FileStore.put", 24);
            string path = arguments.GetString(0);
            uint index = arguments.GetUInt32(8);
            uint count = arguments.GetUInt32(12);
            byte[] piece = arguments.GetBytes(16);
            arguments.End();
            bool result = Put(path, index, count, piece);
            answer.Begin("FileStore.put reply", 1);
            while (answer.Pass())
            {
                answer.PutBool(0, result);
            }
        }

        private void HandleGet(Decoder arguments, Encoder answer)
        {
            arguments.Begin("FileStore.get", 8);
            string path = arguments.GetString(0);
            arguments.End();
            byte[] result = Get(path);
            answer.Begin("FileStore.get reply", 12);
            while (answer.Pass())
            {
                if (result != null)
                {
                    answer.PutBool(0, true);
                    answer.PutBytes(4, result);
                }
            }
        }

        /// <summary>The state: complete files by path, and the pieces so far of others.</summary>
        public sealed class Stored : Struct
        {
            /// <summary>Of all its fields.</summary>
            public Stored(
                IReadOnlyDictionary<string, byte[]> files,
                IReadOnlyDictionary<string, IReadOnlyList<byte[]>> partial) : base("Stored", 16)
            {
                Files = files;
                Partial = partial;
            }

            /// <summary>files: map of str to bytes.</summary>
            public IReadOnlyDictionary<string, byte[]> Files { get; }

            /// <summary>partial: map of str to list of bytes.</summary>
            public IReadOnlyDictionary<string, IReadOnlyList<byte[]>> Partial { get; }

            /// <summary>Decode what Encode made.</summary>
            public static Stored Decode(byte[] data) =>
                Decoder.Read(data, "Stored", 16, decoder => Get(decoder, 0));

            /// <inheritdoc/>
            public override void Put(Encoder encoder, int at)
            {
                int place = encoder.PutList(at, encoder.Count(Files), 16, 4);
                foreach (KeyValuePair<string, byte[]> entry in Files)
                {
                    encoder.PutString(place, entry.Key);
                    encoder.PutBytes(place + 8, entry.Value);
                    place += 16;
                }
                int place2 = encoder.PutList(at + 8, encoder.Count(Partial), 16, 4);
                foreach (KeyValuePair<string, IReadOnlyList<byte[]>> entry2 in Partial)
                {
                    encoder.PutString(place2, entry2.Key);
                    int place3 = encoder.PutList(place2 + 8, encoder.Count(entry2.Value), 8, 4);
                    foreach (byte[] item in entry2.Value)
                    {
                        encoder.PutBytes(place3, item);
                        place3 += 8;
                    }
                    place2 += 16;
                }
            }

            /// <summary>Get one from a message.</summary>
            public static Stored Get(Decoder decoder, int at)
            {
                int place = decoder.GetList(at, 16, 4, out int count);
                var files = new Map<string, byte[]>();
                for (int i = 0; i < count; i++)
                {
                    string key = decoder.GetString(place + i * 16);
                    byte[] value = decoder.GetBytes(place + i * 16 + 8);
                    decoder.Add(files, key, value);
                }
                int place2 = decoder.GetList(at + 8, 16, 4, out int count2);
                var partial = new Map<string, IReadOnlyList<byte[]>>();
                for (int i2 = 0; i2 < count2; i2++)
                {
                    string key2 = decoder.GetString(place2 + i2 * 16);
                    int place3 = decoder.GetList(place2 + i2 * 16 + 8, 8, 4, out int count3);
                    var value2 = new byte[count3][];
                    for (int i3 = 0; i3 < count3; i3++)
                    {
                        value2[i3] = decoder.GetBytes(place3 + i3 * 8);
                    }
                    decoder.Add(partial, key2, value2);
                }
                return new Stored(files, partial);
            }
        }

        /// <summary>Calls FileStore in a group. Threads: any.</summary>
        public sealed class Caller : ServiceCaller
        {
            private static readonly Result<bool> PutResult =
                new Result<bool>("FileStore.put", 1, decoder => decoder.GetBool(0));
            private static readonly Result<byte[]> GetResult =
                new Result<byte[]>("FileStore.get", 12, decoder =>
                {
                    byte[] result = null;
                    if (decoder.GetBool(0))
                    {
                        result = decoder.GetBytes(4);
                    }
                    return result;
                });

            /// <summary>Of a group that was joined with the service.</summary>
            public Caller(Group group) : base(group, Name) { }

            private Caller(Caller other, uint node) : base(other, node) { }

            /// <summary>The same, with queries to this member.</summary>
            public Caller At(uint node) => new Caller(this, node);

            /// <summary>Add piece `index` of `count`; a first piece starts the file afresh. Whether the file
            /// is complete.</summary>
            public Replies<bool> Put(string path, uint index, uint count, byte[] piece)
            {
                using (OutgoingCall call = Call(0, "FileStore.put", 24))
                {
                    while (call.Pass()) EncodePut(call, path, index, count, piece);
                    return call.Replies(PutResult);
                }
            }

            /// <summary>As Put, without answers: the fastest form.</summary>
            public void SendPut(string path, uint index, uint count, byte[] piece)
            {
                using (OutgoingCall call = Send(0, "FileStore.put", 24))
                {
                    while (call.Pass()) EncodePut(call, path, index, count, piece);
                    call.Send();
                }
            }

            /// <summary>As SendPut, but never waits: Again or Wedged when it did not go.</summary>
            public Status TrySendPut(string path, uint index, uint count, byte[] piece)
            {
                using (OutgoingCall call = TrySend(0, "FileStore.put", 24))
                {
                    while (call.Pass()) EncodePut(call, path, index, count, piece);
                    return call.Send();
                }
            }

            private static void EncodePut(Encoder encoder, string path, uint index, uint count, byte[] piece)
            {
                encoder.PutString(0, path);
                encoder.PutUInt32(8, index);
                encoder.PutUInt32(12, count);
                encoder.PutBytes(16, piece);
            }

            /// <summary>Return a complete file.</summary>
            public Reply<byte[]> Get(string path)
            {
                using (OutgoingQuery call = Query(1, "FileStore.get", 8))
                {
                    while (call.Pass()) EncodeGet(call, path);
                    return call.Reply(GetResult);
                }
            }

            private static void EncodeGet(Encoder encoder, string path)
            {
                encoder.PutString(0, path);
            }
        }
    }
}
