using System;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Derecho
{
    /// <summary>What a node is to be: options (docs/options.md) and services. One thread at a time may use
    /// it.</summary>
    /// <example><c>new Config { ["node"] = "1", ["listen"] = "127.0.0.1:7001" }</c></example>
    public sealed unsafe class Config : IDisposable
    {
        private readonly ConfigHandle _owner;

        /// <summary>A configuration with every option at its default.</summary>
        public Config()
        {
            Library.Load();
            _owner = ConfigHandle.Create();
        }

        internal IntPtr Handle => _owner.DangerousGetHandle();

        /// <summary>An option, as text; durations and sizes are plain numbers in the unit that ends the key.</summary>
        /// <exception cref="InvalidArgument">For an unknown key, or a value that is not accepted.</exception>
        public string this[string key]
        {
            get
            {
                fixed (byte* name = Utf8.Terminated(key))
                {
                    byte* value;
                    Failures.Check(Native.derecho_config_get(Handle, name, &value));
                    string text = Utf8.Text(value);
                    GC.KeepAlive(this);
                    return text;
                }
            }
            set
            {
                fixed (byte* name = Utf8.Terminated(key), text = Utf8.Terminated(value))
                    Failures.Check(Native.derecho_config_set(Handle, name, text));
                GC.KeepAlive(this);
            }
        }

        /// <summary>Set options from a TOML file of <c>key = value</c> lines.</summary>
        /// <exception cref="InvalidArgument">With file, line and reason.</exception>
        public void Load(string path)
        {
            fixed (byte* text = Utf8.Terminated(path)) Failures.Check(Native.derecho_config_load(Handle, text));
            GC.KeepAlive(this);
        }

        /// <summary>Add a service; every node of the group declares the same ones in the same order.</summary>
        /// <param name="name">Unique in the group.</param>
        /// <param name="schemaHash">Of the service's methods and types; 0: raw messages only.</param>
        /// <exception cref="InvalidArgument">For a name that is not accepted.</exception>
        public void AddService(string name, ulong schemaHash)
        {
            fixed (byte* text = Utf8.Terminated(name))
                Failures.Check(Native.derecho_config_add_service(Handle, text, schemaHash));
            ServiceCount++;
            GC.KeepAlive(this);
        }

        /// <summary>Tell what a service's hash is of: for the error of a node that is refused for another one.</summary>
        /// <exception cref="InvalidArgument">There is no such service; or text that cannot be shown.</exception>
        public void DescribeService(string name, string schema)
        {
            fixed (byte* text = Utf8.Terminated(name), lines = Utf8.Terminated(schema))
                Failures.Check(Native.derecho_config_describe_service(Handle, text, lines));
            GC.KeepAlive(this);
        }

        internal int ServiceCount { get; private set; }

        /// <summary>Make a join with it, on any thread, fail with <see cref="Closed"/> within some milliseconds, and all
        /// later ones.</summary>
        public void CancelJoin()
        {
            Native.derecho_join_cancel(Handle);
            GC.KeepAlive(this);
        }

        /// <summary>Close it; a second time does nothing. A group that was joined with it needs it no more.</summary>
        public void Dispose() => _owner.Dispose();
    }

    /// <summary>
    /// Closes a configuration, when it is told to or when it is forgotten. The number stays known after the close, and
    /// the core tells an old handle from a new one: so every use of what was closed is answered by the core itself,
    /// CLOSED.
    /// </summary>
    internal sealed unsafe class ConfigHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        private ConfigHandle(IntPtr handle) : base(true) { SetHandle(handle); }

        [MethodImpl(MethodImplOptions.NoInlining)] // see Library.Entries
        internal static ConfigHandle Create()
        {
            IntPtr handle;
            Failures.Check(Native.derecho_config_create(&handle));
            return new ConfigHandle(handle);
        }

        protected override bool ReleaseHandle() => Native.derecho_config_close(handle) == Native.DERECHO_OK;
    }
}
