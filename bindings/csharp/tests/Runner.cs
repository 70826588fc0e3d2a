// A test runner: without arguments it lists the tests, with one name it runs that test. Ends with 1 when it fails.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Threading;
using Derecho;

namespace Tests
{
    internal static class Runner
    {
        private static int Main(string[] arguments)
        {
            Dictionary<string, MethodInfo> tests = typeof(Runner).Assembly.GetTypes()
                .Where(t => t.Name.EndsWith("Tests"))
                .SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly))
                .ToDictionary(m => $"{m.DeclaringType.Name}.{m.Name}");
            if (arguments.Length == 0)
            {
                foreach (string name in tests.Keys) Console.WriteLine(name);
                return 0;
            }
            try
            {
                tests[arguments[0]].Invoke(null, new object[0]);
                return 0;
            }
            catch (TargetInvocationException failure)
            {
                Console.Error.WriteLine(failure.InnerException);
                return 1;
            }
        }
    }

    /// <summary>What a test expects; throws when it is not so.</summary>
    internal static class Check
    {
        internal static void That(bool condition, string what)
        {
            if (!condition) throw new Exception($"it is not so that {what}");
        }

        internal static void Equal<T>(T expected, T found)
        {
            if (!EqualityComparer<T>.Default.Equals(expected, found))
                throw new Exception($"expected {expected}, found {found}");
        }

        internal static void Sequence<T>(IEnumerable<T> expected, IEnumerable<T> found) =>
            Equal(string.Join(", ", expected), string.Join(", ", found));

        internal static T Throws<T>(Action action, string part = "") where T : Exception
        {
            try
            {
                action();
            }
            catch (T error)
            {
                That(error.Message.Contains(part), $"\"{error.Message}\" contains \"{part}\"");
                return error;
            }
            throw new Exception($"no {typeof(T).Name} was thrown");
        }

        /// <summary>Wait until it is so, without driving anything.</summary>
        internal static void Soon(Func<bool> condition, string what)
        {
            for (int i = 0; i < 1000 && !condition(); i++) Thread.Sleep(10);
            That(condition(), what + ", after 10 s");
        }
    }

    internal static class Helpers
    {
        internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

        internal static string Hex(byte[] bytes) => string.Concat(bytes.Select(b => b.ToString("x2")));

        internal static byte[] FromHex(string hex)
        {
            string digits = hex.Replace(" ", "");
            return Enumerable.Range(0, digits.Length / 2)
                .Select(i => Convert.ToByte(digits.Substring(2 * i, 2), 16)).ToArray();
        }

        /// <summary>Start threads; what is returned waits for all of them, and throws what one of them threw.</summary>
        internal static Action OnThreads(int count, Action<int> body)
        {
            Exception failure = null;
            Thread[] threads = Enumerable.Range(0, count).Select(i => new Thread(() =>
            {
                try
                {
                    body(i);
                }
                catch (Exception error)
                {
                    failure = error;
                }
            })).ToArray();
            foreach (Thread thread in threads) thread.Start();
            return () =>
            {
                foreach (Thread thread in threads) thread.Join();
                if (failure != null) throw new Exception("on a thread", failure);
            };
        }

        /// <summary>Let the collector find what nothing refers to any more. It may overlook some: mono's reads stacks, where
        /// an old address may still lie.</summary>
        internal static void Collect()
        {
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }

        internal static Config NodeConfig(uint node, string contacts = "", string listen = "127.0.0.1:0") => new Config
        {
            ["node"] = node.ToString(),
            ["listen"] = listen,
            [contacts == "" ? "found" : "contacts"] = contacts == "" ? "true" : contacts
        };

        /// <summary>With one shard of plain messages.</summary>
        internal static Config RawConfig(uint node, string contacts = "", string listen = "127.0.0.1:0")
        {
            Config config = NodeConfig(node, contacts, listen);
            config.AddService("raw", 0);
            return config;
        }

        /// <summary>A group of one, with one shard of plain messages; its first event, the view, is taken.</summary>
        internal static RawGroup Alone(out Shard shard, params string[] options)
        {
            using (Config config = RawConfig(1))
            {
                foreach (string option in options) config[option.Split('=')[0]] = option.Split('=')[1];
                RawGroup group = RawGroup.Join(config);
                shard = group.OpenShard("raw");
                using (var batch = new EventBatch()) group.Poll(batch, 10000000000);
                return group;
            }
        }

        /// <summary>Poll until so many events came; each is given to a function.</summary>
        internal static void Take(RawGroup group, int count, Action<Event> see)
        {
            using (var batch = new EventBatch())
            {
                while (count > 0)
                {
                    int found = group.Poll(batch, 10000000000);
                    Check.That(found > 0, $"{count} more events come within 10 s");
                    foreach (Event e in batch) see(e);
                    count -= found;
                }
            }
        }
    }
}
