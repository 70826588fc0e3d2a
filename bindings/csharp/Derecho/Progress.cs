using System;
using System.Diagnostics;

namespace Derecho
{
    /// <summary>How far the state of a service has come to a node that joins.</summary>
    public sealed class Progress
    {
        internal Progress(string service, long bytes, long totalBytes, TimeSpan lasted)
        {
            Service = service;
            Bytes = bytes;
            TotalBytes = totalBytes;
            Lasted = lasted;
        }

        /// <summary>Its name.</summary>
        public string Service { get; }

        /// <summary>That came.</summary>
        public long Bytes { get; }

        /// <summary>In all; 0 while it is not known, as of a state that is saved in pieces.</summary>
        public long TotalBytes { get; }

        /// <summary>Since the first of them.</summary>
        public TimeSpan Lasted { get; }

        /// <summary>0 at first.</summary>
        public double BytesPerSecond => Lasted > TimeSpan.Zero ? Bytes / Lasted.TotalSeconds : 0;
    }

    /// <summary>What has come of one state. Only the driver uses it.</summary>
    internal sealed class Arrival
    {
        private readonly string _service;
        private readonly Stopwatch _since = new Stopwatch();
        private long _bytes;
        private long _totalBytes;

        internal Arrival(string service) => _service = service;

        internal Progress Progress => new Progress(_service, _bytes, _totalBytes, _since.Elapsed);

        internal void Add(Event piece)
        {
            if ((piece.Flags & EventFlags.First) != 0)
            {
                _bytes = 0;
                _since.Restart();
            }
            _bytes += piece.Data.Length;
            _totalBytes = (long)piece.Version;
        }
    }
}
