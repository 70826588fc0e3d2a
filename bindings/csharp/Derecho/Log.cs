using System;

namespace Derecho
{
    /// <summary>
    /// What this binding has to tell that nobody waits for, such as a handler's failure when its caller wants no
    /// answer.
    /// </summary>
    public static class Log
    {
        /// <summary>Called with a sentence and, if there is one, the exception; by whichever thread drives the group.
        /// Lines go to standard error while nobody listens.</summary>
        public static event Action<string, Exception> Written;

        internal static void Write(string text, Exception error = null)
        {
            try
            {
                Action<string, Exception> written = Written;
                if (written != null) written(text, error);
                else Console.Error.WriteLine($"derecho: {text}{(error == null ? "" : ": ")}{Describe(error)}");
            }
            catch (Exception) // whatever the application has made of it, the driver goes on
            {
            }
        }

        private static string Describe(Exception error)
        {
            try
            {
                return error?.ToString();
            }
            catch (Exception)
            {
                return ServiceHost.Describe(error);
            }
        }
    }
}
