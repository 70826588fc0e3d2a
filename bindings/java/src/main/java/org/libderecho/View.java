package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * An agreed list of members.
 *
 * @param id grows with every view
 * @param members by rank
 * @param selfRank of this node in members; -1 for a client
 * @param groupId the group's UUID, made when it was founded
 */
public record View(long id, List<Member> members, int selfRank, String groupId) {
    /** The members' ids, by rank. */
    public List<Integer> nodes() {
        return members.stream().map(Member::node).toList();
    }

    /** The ids of those that vote, by rank. */
    public List<Integer> voters() {
        return members.stream().filter(Member::votes).map(Member::node).toList();
    }

    public boolean contains(int node) {
        return members.stream().anyMatch(member -> member.node() == node);
    }

    @Override
    public String toString() {
        return "view " + id + ": "
                + members.stream()
                        .map(member -> Integer.toUnsignedString(member.node()) + (member.votes() ? "" : " joining"))
                        .collect(Collectors.joining(", ", "{", "}"));
    }

    /** Of a {@code derecho_view}. */
    static View read(MemorySegment view) {
        final int count = view.get(JAVA_INT, Native.View.MEMBER_COUNT);
        return new View(
                view.get(JAVA_LONG, Native.View.ID),
                IntStream.range(0, count)
                        .mapToObj(rank -> member(view.asSlice(Native.View.MEMBERS + rank * Native.Member.BYTES)))
                        .toList(),
                view.get(JAVA_INT, Native.View.SELF_RANK),
                view.getString(Native.View.GROUP_ID));
    }

    private static Member member(MemorySegment member) {
        int flags = member.get(JAVA_INT, Native.Member.FLAGS);
        return new Member(
                member.get(JAVA_INT, Native.Member.NODE),
                member.getString(Native.Member.ADDRESS),
                (flags & Native.MEMBER_HAS_STATE) != 0,
                (flags & Native.MEMBER_VOTES) != 0);
    }
}
