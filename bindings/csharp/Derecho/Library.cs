using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Derecho
{
    /// <summary>libderecho itself: which one is loaded, its version, its log. Threads: any.</summary>
    public static unsafe class Library
    {
        private static readonly object Loading = new object();
        private static volatile bool _loaded;
        private static IntPtr _handle;

        /// <summary>The library's version, such as "0.1.0".</summary>
        public static string Version => Utf8.Text(Loaded().Version());

        /// <summary>DERECHO_ABI_VERSION of the library at hand.</summary>
        public static uint AbiVersion => Loaded().AbiVersion();

        /// <summary>A hash over every declaration of derecho.h; the same as this binding was made for.</summary>
        public static ulong AbiHash => Loaded().AbiHash();

        /// <summary>What the last failed call of this thread had to say; "" if none failed.</summary>
        public static string LastError => Utf8.Text(Loaded().LastError());

        /// <summary>Where the library was found; its plain name when the loader's search path was to know.</summary>
        public static string Path { get; private set; } = "";

        /// <summary>The core's name of a status, such as "DERECHO_AGAIN".</summary>
        public static string NameOf(Status status) => Utf8.Text(Loaded().StatusName((int)status));

        /// <summary>Write the library's log lines to a descriptor.</summary>
        /// <param name="fd">Such as 2, standard error.</param>
        /// <param name="level">0 nothing, 1 warnings, 2 views and connections, 3 everything.</param>
        /// <exception cref="InvalidArgument">For another level.</exception>
        public static void LogTo(int fd, int level) => Failures.Check(Loaded().LogTo(fd, level));

        /// <summary>Find and load the library, once; everything that makes a handle begins with it.</summary>
        /// <exception cref="DllNotFoundException">With a list of what was tried.</exception>
        /// <exception cref="Incompatible">The library was built from another derecho.h than this binding.</exception>
        internal static void Load()
        {
            if (_loaded) return;
            lock (Loading)
            {
                if (_loaded) return;
                Find();
                CheckHash();
                _loaded = true;
            }
        }

        private static Entries Loaded()
        {
            Load();
            return default(Entries);
        }

        private static void Find()
        {
            string chosen = Environment.GetEnvironmentVariable("DERECHO_LIBRARY");
            if (string.IsNullOrEmpty(chosen)) chosen = AppDomain.CurrentDomain.GetData("derecho.library") as string;
            string here = System.IO.Path.GetDirectoryName(typeof(Library).Assembly.Location) ?? "";
            string file = "libderecho.so." + Native.DERECHO_ABI_VERSION, plain = "libderecho.so"; // NuGet's has no version
            string beside = System.IO.Path.Combine(here, file), plainBeside = System.IO.Path.Combine(here, plain);
            string[] usual = { beside, plainBeside, file, plain };
            var tried = new List<string>();
            dlerror(); // bound before it is needed: binding it would make it forget what to tell
            foreach (string path in string.IsNullOrEmpty(chosen) ? usual : new[] { chosen })
            {
                _handle = dlopen(path, RTLD_NOW);
                if (_handle != IntPtr.Zero)
                {
                    Path = path;
                    Redirect(path);
                    return;
                }
                tried.Add(Marshal.PtrToStringAnsi(dlerror()));
            }
            throw new DllNotFoundException(
                "libderecho.so was not found; DERECHO_LIBRARY may name it. Tried: " + string.Join("; ", tried));
        }

        /// <summary>Make the name that <see cref="Native"/> imports from mean this very file.</summary>
        private static void Redirect(string path)
        {
            // Reflection, since one assembly serves both runtimes: mono has no NativeLibrary, but maps of names.
            Type nativeLibrary = typeof(object).Assembly.GetType("System.Runtime.InteropServices.NativeLibrary");
            if (nativeLibrary == null)
            {
                mono_dllmap_insert(IntPtr.Zero, Native.LibraryName, null, path, null);
                return;
            }
            MethodInfo setter = nativeLibrary.GetMethod("SetDllImportResolver");
            const BindingFlags Hidden = BindingFlags.Static | BindingFlags.NonPublic;
            MethodInfo resolve = typeof(Library).GetMethod(nameof(Resolve), Hidden);
            Delegate resolver = Delegate.CreateDelegate(setter.GetParameters()[1].ParameterType, resolve);
            setter.Invoke(null, new object[] { typeof(Library).Assembly, resolver });
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search) =>
            name == Native.LibraryName ? _handle : IntPtr.Zero;

        private static void CheckHash()
        {
            ulong hash = default(Entries).AbiHash();
            if (hash == Native.AbiHash) return;
            throw new Incompatible($"{Path} has the ABI hash {hash:x16}, but Derecho.dll was made for " +
                                   $"{Native.AbiHash:x16}: they come from different versions of derecho.h");
        }

        /// <summary>
        /// Native calls that may be the first: mono binds an import when the method that calls it is compiled, so that
        /// must not be one that loads the library itself.
        /// </summary>
        private struct Entries
        {
            [MethodImpl(MethodImplOptions.NoInlining)]
            internal byte* StatusName(int status) => Native.derecho_status_name(status);

            [MethodImpl(MethodImplOptions.NoInlining)]
            internal uint AbiVersion() => Native.derecho_abi_version();

            [MethodImpl(MethodImplOptions.NoInlining)]
            internal ulong AbiHash() => Native.derecho_abi_hash();

            [MethodImpl(MethodImplOptions.NoInlining)]
            internal byte* Version() => Native.derecho_version();

            [MethodImpl(MethodImplOptions.NoInlining)]
            internal byte* LastError() => Native.derecho_last_error();

            [MethodImpl(MethodImplOptions.NoInlining)]
            internal int LogTo(int fd, int level) => Native.derecho_log_to(fd, level);
        }

        private const int RTLD_NOW = 2;

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlopen(string path, int flags);

        [DllImport("libdl.so.2")]
        private static extern IntPtr dlerror();

        [DllImport("__Internal")]
        private static extern void mono_dllmap_insert(
            IntPtr assembly, string name, string function, string target, string targetFunction);
    }

    /// <summary>Strings as the C ABI takes them.</summary>
    internal static unsafe class Utf8
    {
        internal static readonly System.Text.UTF8Encoding Strict = new System.Text.UTF8Encoding(false, true);

        /// <summary>With a NUL at the end, and none before.</summary>
        internal static byte[] Terminated(string text)
        {
            if (text.IndexOf('\0') >= 0) throw new InvalidArgument("text contains a NUL character: " + text.Replace("\0", "\\0"));
            return Strict.GetBytes(text + "\0");
        }

        internal static string Text(byte* terminated)
        {
            int length = 0;
            while (terminated[length] != 0) length++;
            return System.Text.Encoding.UTF8.GetString(terminated, length);
        }
    }
}
