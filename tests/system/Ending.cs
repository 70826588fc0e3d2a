// A member that ends in the way it is told, and never closes its group: Ending CONTACT WAY, then a line on standard input.
using System;
using System.Threading;
using Derecho;

internal static class Ending
{
    internal static Group Member; // reachable to the end

    private static void Main(string[] words)
    {
        var config = new Config { ["node"] = "9", ["listen"] = "127.0.0.1:0", ["contacts"] = words[0] };
        string way = words[1];
        Action<string> exitIf = asked => { if (way == asked) Environment.Exit(3); };
        var options = new GroupOptions
        {
            Timeout = TimeSpan.FromSeconds(60),
            LeaveAtExit = way != "unwatched",
            OnEnd = reason => exitIf("exit when told of the end"),
        };
        Member = Group.Join(config, options, new RawService("log", e => exitIf("exit in a handler")));
        Console.WriteLine("joined");
        Console.ReadLine();
        switch (way)
        {
            case "exit in a handler":
                Member.Send("log", new byte[1]);
                Thread.Sleep(-1);
                break;
            case "exit":
                Environment.Exit(3);
                break;
            case "fail":
                Environment.FailFast("at once");
                break;
            case "throw":
                throw new InvalidOperationException("uncaught");
            case "stay":
            case "exit when told of the end":
                Thread.Sleep(-1);
                break;
        }
    }
}
