package org.libderecho;

import java.util.Iterator;
import java.util.concurrent.CountDownLatch;
import java.util.function.LongUnaryOperator;

/** A service as the generator would write it, and its replica: a sum, and a method that does what a test wants. */
final class Counter extends Service {
    static final String NAME = "Counter";
    static final long SCHEMA_HASH = 77;

    long sum;
    LongUnaryOperator task = argument -> argument;
    CountDownLatch loading = new CountDownLatch(0);
    byte[] ballast = {}; // makes the state large
    Iterator<byte[]> pieces; // of the state, if it is saved so

    Counter() {
        super(NAME, SCHEMA_HASH, 3);
    }

    @Override
    protected Encoder.Message dispatch(int method, Decoder in) {
        in.begin("Counter", 8);
        final long argument = in.i64(0);
        in.end();
        final long result =
                switch (method) {
                    case 0 -> sum += argument;
                    case 1 -> sum;
                    default -> task.applyAsLong(argument);
                };
        return number(result);
    }

    @Override
    protected Iterator<byte[]> saveStatePieces() {
        return pieces;
    }

    @Override
    protected byte[] encodeState() {
        return Encoder.encode(out -> {
            out.begin("Counter", 16);
            out.i64(0, sum);
            out.bytes(8, ballast, "ballast");
        });
    }

    @Override
    protected void decodeState(byte[] message) throws InterruptedException {
        loading.await();
        Decoder.decode(message, in -> {
            in.begin("Counter state", 16);
            sum = in.i64(0);
            ballast = in.bytes(8, "ballast");
            in.end();
            return null;
        });
    }

    private static Encoder.Message number(long value) {
        return out -> {
            out.begin("Counter", 8);
            out.i64(0, value);
        };
    }

    private static long result(Decoder in) {
        in.begin("Counter reply", 8);
        final long value = in.i64(0);
        in.end();
        return value;
    }

    /** The caller. */
    record Caller(Calls calls) {
        static Caller of(Group group) {
            return new Caller(group.calls(NAME, SCHEMA_HASH));
        }

        Replies<Long> add(long amount) {
            return calls.call("Counter.add", 0, number(amount), Counter::result);
        }

        void addSend(long amount) {
            calls.send(0, number(amount));
        }

        Reply<Long> totalAt(int node) {
            return calls.query("Counter.total", node, 1, number(0), Counter::result);
        }

        Replies<Long> task(long argument) {
            return calls.call("Counter.task", 2, number(argument), Counter::result);
        }

        void taskSend(long argument) {
            calls.send(2, number(argument));
        }

        Replies<Long> unknown() {
            return calls.call("Counter.unknown", 999, number(0), Counter::result);
        }

        Replies<Long> malformed() {
            return calls.call("Counter.add", 0, out -> out.begin("Counter.add", 3), Counter::result);
        }
    }
}
