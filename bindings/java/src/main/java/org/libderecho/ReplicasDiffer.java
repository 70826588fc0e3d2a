package org.libderecho;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Members answered one ordered call differently; or, as the reason of a group's end, replicas differed and option
 * {@code digest_policy} is {@code stop}.
 */
public class ReplicasDiffer extends DerechoError {
    private static final int SAID_LENGTH_MAX = 100;

    private final transient Map<Integer, Object> answers;

    public ReplicasDiffer(String text) {
        this(text, Map.of());
    }

    private ReplicasDiffer(String text, Map<Integer, Object> answers) {
        super(Status.DIFFERS, text);
        this.answers = answers;
    }

    /**
     * Of a call: by node, in order of rank, the value that the member answered, or the {@link DerechoError} that it
     * failed with.
     */
    public Map<Integer, Object> answers() {
        return answers;
    }

    /** Of these answers, all of them done; null if they are alike. Their digests are the same in every language. */
    static ReplicasDiffer among(String what, Collection<? extends Reply<?>> replies) {
        final Map<Long, List<Reply<?>>> byDigest = new LinkedHashMap<>();
        for (Reply<?> reply : replies)
            if (reply.isAnswer()) byDigest.computeIfAbsent(reply.digest(), digest -> new ArrayList<>()).add(reply);
        if (byDigest.size() < 2) return null;
        final List<List<Reply<?>>> groups = new ArrayList<>(byDigest.values());
        groups.sort(Comparator.comparingInt(List::size)); // those in the minority first
        final String text = groups.stream()
                .map(group -> named(group) + " " + said(group.getFirst()))
                .collect(Collectors.joining(", ", what + ": replicas differ: ", ""));
        final Map<Integer, Object> answers = new LinkedHashMap<>();
        for (Reply<?> reply : replies) if (reply.isAnswer()) answers.put(reply.member(), answer(reply));
        return new ReplicasDiffer(text, Collections.unmodifiableMap(answers));
    }

    private static Object answer(Reply<?> reply) {
        return reply.isCompletedExceptionally() ? reply.exceptionNow() : reply.getNow(null);
    }

    private static String named(List<Reply<?>> replies) {
        return replies.stream()
                .map(reply -> Integer.toUnsignedString(reply.member()))
                .collect(Collectors.joining(", ", replies.size() == 1 ? "node " : "nodes ", ""));
    }

    private static String said(Reply<?> reply) {
        final Object answer = answer(reply);
        final String text =
                switch (answer) {
                    case RemoteError error -> "failed with " + error.typeName() + ": " + error.text();
                    case Throwable error -> "failed: " + error.getMessage();
                    case byte[] bytes -> "answered " + bytes.length + " bytes";
                    case null, default -> "answered " + answer;
                };
        return text.length() <= SAID_LENGTH_MAX ? text : text.substring(0, SAID_LENGTH_MAX) + "...";
    }
}
