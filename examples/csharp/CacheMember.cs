using System;
using System.Collections.Generic;
using Derecho;

internal sealed class Replica : Cache
{
    private Map<string, byte[]> _items = new Map<string, byte[]>();

    public override long Put(string key, byte[] value)
    {
        _items[key] = value;
        return _items.Count;
    }

    public override byte[] Get(string key) => _items.TryGetValue(key, out byte[] value) ? value : null;

    protected override IReadOnlyDictionary<string, byte[]> SaveState() => _items;

    protected override void LoadState(IReadOnlyDictionary<string, byte[]> state) =>
        _items = new Map<string, byte[]>(state);

    private static int Main(string[] words) // node, the addresses of all
    {
        if (words.Length != 2)
        {
            Console.Error.WriteLine("usage: CacheMember NODE HOST:PORT,HOST:PORT,HOST:PORT");
            return 2;
        }
        string listen = words[1].Split(',')[int.Parse(words[0]) - 1];
        var config = new Config { ["node"] = words[0], ["listen"] = listen, ["initial_members"] = words[1] };
        var options = new GroupOptions { OnView = Console.WriteLine, Timeout = TimeSpan.FromMinutes(1) };
        using (Group group = Group.Join(config, options, new Replica()))
        {
            var cache = new Cache.Caller(group);
            for (string line; (line = Console.ReadLine()) != null;) // each is put, until the end of the input (Ctrl-D)
                Console.WriteLine("every member says " + string.Join(", ", cache.Put(line, new byte[5]).All()));
        }
        return 0;
    }
}
