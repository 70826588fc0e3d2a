// Service Cache through its stub DLL, libcache.so: P/Invoke, and no other class of libderecho.
// Written by `derecho stubs --dll` from cache.py; do not edit.
// An optional value is null when absent. What is no number, text, bytes, list of numbers, or optional of these is the
// bytes of its message (docs/layout.md). 64-bit Linux; mono, or any .NET with .NET Standard 2.0.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

/// <summary>
/// A member of a group with a replica of Cache. <c>Dispose</c> leaves in good order; the collector closes a
/// forgotten one. Any thread may use it; used after its end, it throws <see cref="Failure"/>.
/// </summary>
public sealed class CacheDll : IDisposable
{
    /// <summary>Of the service: a DLL of another one is refused.</summary>
    public const ulong SchemaHash = 0xffa36669e67d256a;

    private readonly IntPtr _member;
    private volatile bool _ended;

    /// <summary>Join a group.</summary>
    /// <param name="config">Options "key=value", separated by ";".</param>
    /// <param name="path">Of the DLL; otherwise it is looked for beside this assembly, and where the loader
    /// looks.</param>
    /// <exception cref="DllNotFoundException">There is none.</exception>
    /// <exception cref="BadImageFormatException">It was built from another Cache.</exception>
    public CacheDll(string config, string path = null)
    {
        if (path != null) Load(path);
        _member = Open(config);
    }

    // Once it is loaded, the loader knows it by its name.
    private static void Load(string path)
    {
        if (Native.dlopen(Utf8(path + "\0"), Native.LoadNow) == IntPtr.Zero) throw new DllNotFoundException(path);
    }

    // mono looks for a DLL when a method that calls it is compiled: that must not be the one that calls Load.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static IntPtr Open(string config)
    {
        if (Native.cache_schema_hash() != SchemaHash)
            throw new BadImageFormatException(
                "libcache.so was built from another Cache: make the stubs anew");
        Check(Native.cache_open(Utf8(config + "\0"), out IntPtr member));
        return member;
    }

    /// <summary>Closes a forgotten one.</summary>
    ~CacheDll()
    {
        if (_member != IntPtr.Zero && !_ended) Native.cache_close(_member);
    }

    /// <summary>Wait for a view of so many members, or more, that vote; at most 10 s unless told.</summary>
    public void WaitMembers(int count, TimeSpan? timeout = null)
    {
        Check(Native.cache_wait_members(_member, (uint)count, Milliseconds(timeout)));
        GC.KeepAlive(this);
    }

    /// <summary>Leave in good order.</summary>
    public void Leave()
    {
        _ended = true;
        Check(Native.cache_leave(_member));
    }

    /// <summary>Stop at once, as a crash would.</summary>
    public void Close()
    {
        _ended = true;
        Check(Native.cache_close(_member));
    }

    /// <summary>Leave, unless that was done.</summary>
    public void Dispose()
    {
        if (!_ended) Leave();
    }

    /// <summary>Store a value; return how many there are now.</summary>
    /// <remarks>At every member.</remarks>
    public Call<long> Put(string key, byte[] value)
    {
        byte[] keyText = Utf8(key);
        int status = Native.cache_put(_member, keyText, (ulong)keyText.Length, value, (ulong)value.Length,
            out CallHandle call);
        return Start(status, call, PutResult);
    }

    private static long PutResult(CallHandle call)
    {
        Check(Native.cache_put_result(call, out long value));
        return value;
    }

    /// <summary>Forget a value; return whether there was one.</summary>
    /// <remarks>At every member.</remarks>
    public Call<bool> Drop(string key)
    {
        byte[] keyText = Utf8(key);
        int status = Native.cache_drop(_member, keyText, (ulong)keyText.Length, out CallHandle call);
        return Start(status, call, DropResult);
    }

    private static bool DropResult(CallHandle call)
    {
        Check(Native.cache_drop_result(call, out byte value));
        return value != 0;
    }

    /// <summary>Return a value, or nothing.</summary>
    /// <remarks>At one member.</remarks>
    public Call<byte[]> Get(uint node, string key)
    {
        byte[] keyText = Utf8(key);
        int status = Native.cache_get(_member, node, keyText, (ulong)keyText.Length, out CallHandle call);
        return Start(status, call, GetResult);
    }

    private static byte[] GetResult(CallHandle call)
    {
        Check(Native.cache_get_result(call, out byte present, out IntPtr data, out ulong count));
        return present == 0 ? null : Copied<byte>(data, count);
    }

    /// <summary>Return the values' sizes in bytes, by key.</summary>
    /// <remarks>At one member.</remarks>
    public Call<ulong[]> Sizes(uint node)
    {
        int status = Native.cache_sizes(_member, node, out CallHandle call);
        return Start(status, call, SizesResult);
    }

    private static ulong[] SizesResult(CallHandle call)
    {
        Check(Native.cache_sizes_result(call, out IntPtr data, out ulong count));
        return Copied<ulong>(data, count);
    }

    private Call<T> Start<T>(int status, CallHandle call, Func<CallHandle, T> read)
    {
        Check(status);
        GC.KeepAlive(this);
        return new Call<T>(call, read);
    }

    private static void Check(int status)
    {
        if (status == 0) return;
        IntPtr text = Native.cache_last_error();
        ulong count = 0;
        while (Marshal.ReadByte(text, (int)count) != 0) count++;
        throw new Failure(status, Text(text, count));
    }

    private static long Milliseconds(TimeSpan? timeout) =>
        (long)(timeout ?? TimeSpan.FromSeconds(10)).TotalMilliseconds;

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text ?? "");

    private static string Text(IntPtr data, ulong count) => Encoding.UTF8.GetString(Copied<byte>(data, count));

    private static T[] Copied<T>(IntPtr data, ulong count) where T : struct
    {
        var values = new T[count];
        var bytes = new byte[Buffer.ByteLength(values)];
        if (count != 0) Marshal.Copy(data, bytes, 0, bytes.Length);
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return values;
    }

    /// <summary>A function of the DLL failed; the message says why.</summary>
    public sealed class Failure : Exception
    {
        internal Failure(int status, string text) : base(text) { Status = status; }

        /// <summary>A derecho_status.</summary>
        public int Status { get; }
    }

    /// <summary>A call under way. Forgetting it, with or without an answer, closes it.</summary>
    public sealed class Call<T>
    {
        private readonly CallHandle _call;
        private readonly Func<CallHandle, T> _read;

        internal Call(CallHandle call, Func<CallHandle, T> read)
        {
            _call = call;
            _read = read;
        }

        /// <summary>Wait for the first answer; at most 10 s unless told.</summary>
        public T Result(TimeSpan? timeout = null)
        {
            Check(Native.cache_wait(_call, Milliseconds(timeout)));
            return _read(_call);
        }

        /// <summary>Wait until every member has answered; the first answer.</summary>
        public T All(TimeSpan? timeout = null)
        {
            Check(Native.cache_wait_all(_call, Milliseconds(timeout)));
            return _read(_call);
        }
    }

    /// <summary>Closes a call when nobody has it any more.</summary>
    internal sealed class CallHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>For the runtime, which fills it in.</summary>
        public CallHandle() : base(true) { }

        /// <inheritdoc/>
        protected override bool ReleaseHandle() => Native.cache_call_close(handle) == 0;
    }

    /// <summary>The DLL's functions, by their own names: cache_dll.h says what each means.</summary>
    private static class Native
    {
        internal const int LoadNow = 2;
        private const string Library = "libcache.so";

        [DllImport("libdl.so.2")]
        internal static extern IntPtr dlopen(byte[] path, int flags);

        [DllImport(Library)]
        internal static extern ulong cache_schema_hash();

        [DllImport(Library)]
        internal static extern IntPtr cache_last_error();

        [DllImport(Library)]
        internal static extern int cache_open(byte[] config, out IntPtr member);

        [DllImport(Library)]
        internal static extern int cache_leave(IntPtr member);

        [DllImport(Library)]
        internal static extern int cache_close(IntPtr member);

        [DllImport(Library)]
        internal static extern int cache_wait_members(IntPtr member, uint count, long timeoutMs);

        [DllImport(Library)]
        internal static extern int cache_wait(CallHandle call, long timeoutMs);

        [DllImport(Library)]
        internal static extern int cache_wait_all(CallHandle call, long timeoutMs);

        [DllImport(Library)]
        internal static extern int cache_call_close(IntPtr call);

        [DllImport(Library)]
        internal static extern int cache_put(IntPtr member, byte[] key, ulong key_bytes, byte[] value,
            ulong value_bytes, out CallHandle call);

        [DllImport(Library)]
        internal static extern int cache_put_result(CallHandle call, out long value);

        [DllImport(Library)]
        internal static extern int cache_drop(IntPtr member, byte[] key, ulong key_bytes, out CallHandle call);

        [DllImport(Library)]
        internal static extern int cache_drop_result(CallHandle call, out byte value);

        [DllImport(Library)]
        internal static extern int cache_get(IntPtr member, uint node, byte[] key, ulong key_bytes,
            out CallHandle call);

        [DllImport(Library)]
        internal static extern int cache_get_result(CallHandle call, out byte present, out IntPtr data,
            out ulong count);

        [DllImport(Library)]
        internal static extern int cache_sizes(IntPtr member, uint node, out CallHandle call);

        [DllImport(Library)]
        internal static extern int cache_sizes_result(CallHandle call, out IntPtr data, out ulong count);
    }
}
