// Uses examples/cache_cpp through its shim alone: two members, then each kind of call and of failure, a line each.
using System;
using System.Text;

internal static class UseCache
{
    private static void Main(string[] words)
    {
        string path = words[0], contact = $";initial_members={words[1]}";
        var one = new CacheDll($"node=1;listen={words[1]}{contact}", path);
        using (var two = new CacheDll($"node=2;listen={words[2]}{contact}", path))
        {
            two.WaitMembers(2);
            Show(() => one.Put("k", Encoding.UTF8.GetBytes("value")).All());
            Show(() => Encoding.UTF8.GetString(two.Get(2, "k").Result()));
            Show(() => two.Get(1, "absent").Result() == null);
            Show(() => one.Put("ä", new byte[0]).All());
            Show(() => string.Join(", ", two.Sizes(1).Result()));
            Show(() => two.Drop("ä").All());
            Show(() => two.Drop("ä").Result(TimeSpan.FromSeconds(5)));
            Show(() => two.Put("", new byte[0]).All());
            for (int i = 0; i < 2000; i++) one.Put("k", new byte[100]); // forgotten: the collector closes them
            GC.Collect();
            Show(() => one.Put("k", new byte[0]).All());
            one.Leave();
            Show(() => one.Put("k", new byte[0]));
            Show(() => { one.Leave(); return null; });
            one.Dispose();
        }
    }

    private static void Show(Func<object> use)
    {
        try
        {
            Console.WriteLine(use());
        }
        catch (CacheDll.Failure failure)
        {
            Console.WriteLine($"{failure.Status} {failure.Message}");
        }
    }
}
