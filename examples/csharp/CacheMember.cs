using System;
using System.Collections.Generic;
using System.Text;
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

    private static void Main(string[] words) // node, its address, the first node's address
    {
        var config = new Config { ["node"] = words[0], ["listen"] = words[1], ["contacts"] = words[2] };
        using (Group group = Group.Join(config, new Replica()))
        {
            group.WaitView(3, TimeSpan.FromMinutes(1));
            var cache = new Cache.Caller(group);
            Replies<long> replies = cache.Put($"from {group.Node}", Encoding.UTF8.GetBytes("hello"));
            Console.WriteLine($"node {group.Node}: {group.View}; all say {string.Join(", ", replies.All())}");
            Console.WriteLine($"this one has {cache.Get($"from {group.Node}").Result.Length} bytes");
        }
    }
}
