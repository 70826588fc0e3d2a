using System;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Derecho
{
    /// <summary>
    /// A value that arrives later: <see cref="Result"/> in a thread, which drives the group meanwhile, or <c>await</c>.
    /// Threads: any. Waits end with the group's default time-out unless another is given.
    /// </summary>
    public abstract class Future<T>
    {
        private T _value;
        private DerechoError _error;
        private volatile bool _done;
        private Action _progress;

        internal Future(Engine engine, string what)
        {
            Engine = engine;
            What = what;
        }

        /// <summary>Whether the value, or an error, is there.</summary>
        public bool IsDone => _done;

        /// <summary>The value; waits for it.</summary>
        /// <exception cref="DerechoError">The call's own failure, such as RemoteError; Timeout; the group's end;
        /// InHandler when a handler waits.</exception>
        public T Result => Wait(Engine.Timeout);

        internal Engine Engine { get; }

        internal string What { get; }

        /// <summary>Its failure, once done; null while pending, or for a value.</summary>
        internal DerechoError Error => _done ? _error : null;

        /// <summary>As <see cref="Result"/>, with a time-out.</summary>
        public T Wait(TimeSpan timeout)
        {
            if (!_done && !Engine.Wait(() => _done, timeout, What)) throw new Timeout(Late(timeout));
            return Taken();
        }

        /// <summary>As a task, which fails with <see cref="Timeout"/> after the group's time-out.</summary>
        public Task<T> AsTask() => When(() => _done, Taken, Late);

        /// <summary>For <c>await</c>.</summary>
        public TaskAwaiter<T> GetAwaiter() => AsTask().GetAwaiter();

        internal virtual string Late(TimeSpan timeout) => $"{What}: nothing came within {timeout.TotalSeconds:g} s{Engine.Because()}";

        /// <summary>Finish, once; only by the engine.</summary>
        internal void Set(T value, DerechoError error = null)
        {
            if (_done) return;
            _value = value;
            _error = error;
            _done = true;
            Progress();
        }

        /// <summary>Tell the tasks that something changed.</summary>
        internal void Progress()
        {
            Thread.MemoryBarrier(); // either this sees a task that is being added, or that sees what changed
            Volatile.Read(ref _progress)?.Invoke();
        }

        /// <summary>A task of something that becomes ready as events are dispatched.</summary>
        internal Task<TResult> When<TResult>(Func<bool> ready, Func<TResult> take, Func<TimeSpan, string> late)
        {
            // Continuations must not run on the driver, where they could not wait.
            var source = new TaskCompletionSource<TResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            Timer timer = null;
            Action look = () =>
            {
                if (!ready() || source.Task.IsCompleted) return;
                timer?.Dispose();
                try
                {
                    source.TrySetResult(take());
                }
                catch (DerechoError error)
                {
                    source.TrySetException(error);
                }
            };
            if (!ready())
            {
                TimeSpan timeout = Engine.Timeout;
                timer = new Timer(_ => source.TrySetException(new Timeout(late(timeout))), null, timeout,
                    System.Threading.Timeout.InfiniteTimeSpan);
                Add(look);
            }
            look();
            return source.Task;
        }

        private T Taken()
        {
            if (_error != null) throw _error;
            return _value;
        }

        private void Add(Action look)
        {
            Action before;
            do before = _progress;
            while (Interlocked.CompareExchange(ref _progress, before + look, before) != before);
        }
    }

    /// <summary>What the engine does with a call under way, one thread at a time.</summary>
    internal interface IPending
    {
        /// <summary>The call has its place in the order.</summary>
        void Order(Event ordered);

        /// <summary>A member answered; whether it was the last.</summary>
        bool Take(Event reply, Decoder decoder);

        /// <summary>Nothing will come any more.</summary>
        void Fail(DerechoError error);
    }

    /// <summary>How the result of a method is read.</summary>
    public sealed class Result<T>
    {
        /// <summary>Of a method.</summary>
        /// <param name="what">Such as "Cache.Get".</param>
        /// <param name="fixedBytes">Size of the fixed part.</param>
        /// <param name="read">Reads the value.</param>
        public Result(string what, int fixedBytes, Func<Decoder, T> read)
        {
            What = what;
            FixedBytes = fixedBytes;
            Read = read;
        }

        internal string What { get; }

        internal int FixedBytes { get; }

        internal Func<Decoder, T> Read { get; }
    }
}
