// Reads messages in hex, a line each: writes "ok" and what they are when encoded again, or "refused".
using System;
using System.Text;
using Conformance;
using Derecho;

internal static class Reencode
{
    private static void Main()
    {
        for (string line = Console.ReadLine(); line != null; line = Console.ReadLine())
            Console.WriteLine(Answer(line));
    }

    private static string Answer(string hex)
    {
        var message = new byte[hex.Length / 2];
        for (int i = 0; i < message.Length; i++)
            message[i] = Convert.ToByte(hex.Substring(2 * i, 2), 16);
        try
        {
            var text = new StringBuilder("ok ");
            foreach (byte each in Everything.Values.Decode(message).Encode())
                text.Append(each.ToString("x2"));
            return text.ToString();
        }
        catch (DecodeError)
        {
            return "refused";
        }
    }
}
