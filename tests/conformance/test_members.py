"""Members in all languages are one group: what one calls, the others understand, to the byte.

A pair is a caller, which founded the group and added to the sum, and a replica, which joined later. One environment
variable, DERECHO_CONFORMANCE_EXAMPLES, makes more random values than the few of every run.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest
from everything import Everything
from hypothesis import given, settings
from languages import MEMBERS, Program
from programs import Member, MemberError
from script import free_ports
from values import EXAMPLES, any_values
from words import to_hex

import derecho

EXAMPLES_WANTED = os.environ.get("DERECHO_CONFORMANCE_EXAMPLES")
BEFORE = 12  # the sum when the replica joins
LETTER_MAX_BYTES = (1 << 20) // 4 - 16  # of an answer: a quarter of mail_bytes
MESSAGE_MAX_BYTES = 1 << 20
REFERENCE_BYTES = 8
ERROR_MAX_BYTES = 4096

LARGE = bytes(range(256)).hex() * ((LETTER_MAX_BYTES - REFERENCE_BYTES) // 256)

Command = Callable[[Program], list[str]]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two members of one group, as nodes 1 and 2.

    Attributes
    ----------
    total : list of str
        What the replica had right after it joined.
    moments : list of str
        What a query then saw as its context at each of them.
    """

    caller: Member
    replica: Member
    total: list[str]
    moments: list[str]

    def total_of_both(self) -> int:
        """The sum, which must be the same at both once both have applied everything."""
        for member in (self.caller, self.replica):
            member.ask("add", 0)
        (one,), (two,) = self.caller.ask("total"), self.replica.ask("total")
        assert one == two
        return int(one)


class Groups:
    """Starts members; they are gone when the ``with`` ends."""

    def __init__(self, command: Command, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._started = ExitStack()
        self._count = 0

    def __enter__(self) -> Groups:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def start(self, language: str) -> Member:
        """Start a member, which has not joined yet."""
        self._count += 1
        stderr = self._folder / f"{self._count}-{language}.stderr"
        return self._started.enter_context(Member(language, self._command(MEMBERS[language]), stderr))

    def together(self, languages: list[str], wire: str) -> list[Member]:
        """Start members that join one after the other, as nodes 1, 2, ...; the first adds to the sum before."""
        members = [self.start(language) for language in languages]
        ports = free_ports(len(members))
        for node, (member, port) in enumerate(zip(members, ports, strict=True), 1):
            nodes = ",".join(map(str, range(1, node + 1)))
            listen, contact = f"127.0.0.1:{port}", f"127.0.0.1:{ports[0]}"
            assert member.ask("join", node, listen, contact, wire, self._folder.name) == [nodes]
            for other in members[:node]:
                assert other.ask("wait", node) == [nodes]
            if node == 1:
                assert [member.ask("add", amount) for amount in (-5, BEFORE + 5)] == [["-5"], [str(BEFORE)]]
                assert member.ask("bytes", LARGE) == [LARGE]  # makes the state one of several pieces
        return members

    def pair(self, languages: tuple[str, str]) -> Pair:
        """Start a caller and a replica."""
        caller, replica = self.together(list(languages), "auto")
        moments = [replica.ask("moment_at", node)[0] for node in (1, 2)]
        return Pair(caller, replica, replica.ask("total"), moments)


PAIRS = list(product(MEMBERS, MEMBERS))


def pair_name(languages: tuple[str, str]) -> str:
    return f"{languages[0]} calls {languages[1]}"


@pytest.fixture(scope="module", params=PAIRS, ids=pair_name)
def languages(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of a caller and a replica."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pair(languages: tuple[str, str], command: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair that many tests use; it goes on as it is."""
    with Groups(command, tmp_path_factory.mktemp("pair")) as groups:
        yield groups.pair(languages)


@pytest.fixture
def fresh(languages: tuple[str, str], command: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair that the test may end."""
    with Groups(command, tmp_path_factory.mktemp("fresh")) as groups:
        yield groups.pair(languages)


def failure(member: Member, *words: object) -> tuple[str, ...]:
    """What a line fails with."""
    with pytest.raises(MemberError) as error:
        member.ask(*words)
    return error.value.args


# ------------------------------------------------------------------------------------------------- values


def test_a_joiner_has_the_sum_of_what_was_added_before(pair: Pair) -> None:
    assert pair.total == [str(BEFORE)]


def echoed_by_all(pair: Pair, text: str) -> None:
    assert pair.caller.ask("echo", text) == [f"1={text},2={text}"]
    assert pair.caller.ask("ask", 2, text) == [text]
    assert pair.caller.ask("ask", 1, text) == [text]


@pytest.mark.parametrize("name", EXAMPLES)
def test_values_come_back_to_the_byte(pair: Pair, name: str) -> None:
    echoed_by_all(pair, to_hex(EXAMPLES[name]))


def test_any_values_come_back_to_the_byte(pair: Pair) -> None:
    @settings(
        max_examples=int(EXAMPLES_WANTED or 10), derandomize=EXAMPLES_WANTED is None, database=None, deadline=None
    )
    @given(values=any_values())
    def check(values) -> None:  # type: ignore[no-untyped-def]
        echoed_by_all(pair, to_hex(values))

    check()


WELL = to_hex(dataclasses.replace(EXAMPLES["empty"], text="tt", counts={"k1": 1, "k2": 2}))
TEXT_AT, MAYBE_AT = 48, 64  # fields of Values: text, maybe_number


def patched(offset: int, patch: bytes) -> str:
    data = bytearray.fromhex(WELL)
    data[offset : offset + len(patch)] = patch
    return data.hex()


MALFORMED = {
    "too short": WELL[:-2],
    "too long": WELL + "00",
    "a bool of 2": patched(0, b"\x02"),
    "a presence of 2": patched(MAYBE_AT, b"\x02"),
    "an offset elsewhere": patched(TEXT_AT, struct.pack("<I", 0xFFFFFFFF)),
    "a length beyond the end": patched(TEXT_AT + 4, struct.pack("<I", 0xFFFFFFFF)),
    "no UTF-8": WELL.replace(b"tt".hex(), "fffe"),
    "a key twice": WELL.replace(b"k2".hex(), b"k1".hex()),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_message_is_refused(pair: Pair, name: str) -> None:
    echoed_by_all(pair, WELL)
    assert failure(pair.caller, "echo", MALFORMED[name])[0] == "DecodeError"


@pytest.mark.parametrize("size", [0, 1, 65_536, LETTER_MAX_BYTES - REFERENCE_BYTES])
def test_bytes_come_back(pair: Pair, size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size].hex()
    assert pair.caller.ask("bytes", data) == [data]


def test_what_is_larger_than_a_message_is_refused(pair: Pair) -> None:
    data = "00" * (MESSAGE_MAX_BYTES - REFERENCE_BYTES + 1)
    assert failure(pair.caller, "bytes", data)[0] == "TooLarge"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((-128, "", "0", "false", ""), "-128||0.00|false|0"),
        ((127, "a|b c%20\n\t-", "-1.25", "true", "1,-2,2147483647"), "127|a|b c%20\n\t-|-1.25|true|2147483646"),
        ((0, "-", "1e15", "true", "-2147483648"), "0|-|1000000000000000.00|true|-2147483648"),
        ((1, "Ä中\U0001d11e", "0.5", "false", "0"), "1|Ä中\U0001d11e|0.50|false|0"),
    ],
)
def test_arguments_of_several_types_are_told_apart(pair: Pair, arguments: tuple[object, ...], text: str) -> None:
    assert pair.caller.ask("mixed", *arguments) == [text]


# ------------------------------------------------------------------------------------------------- failures


TEXTS = ["no", "", "a: b: c", "Ärger\nüber zwei Zeilen: 中\U0001d11e", " 100 % ", "x" * 5000]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:10]))
@pytest.mark.parametrize("kind", ["argument", "state"])
@pytest.mark.parametrize("node", [1, 2])
def test_an_exception_comes_back_with_type_and_text(
    pair: Pair, languages: tuple[str, str], node: int, kind: str, text: str
) -> None:
    name = MEMBERS[languages[node - 1]].errors[kind == "state"]
    shown = text[: ERROR_MAX_BYTES - len(f"{name}: ")]
    assert failure(pair.caller, "failat", node, kind, text) == ("RemoteError", str(node), name, shown)
    if node == 1:  # the first by rank
        assert failure(pair.caller, "fail", kind, text) == ("RemoteError", "1", name, shown)


def test_a_handler_that_does_not_fail_fails_nobody(pair: Pair) -> None:
    assert pair.caller.ask("fail", "nothing", "text") == []
    assert pair.caller.ask("failat", 2, "nothing", "text") == []


def moments(answer: list[str]) -> dict[int, tuple[int, int, int]]:
    """Of each node: caller, version and time."""
    return {int(n): tuple(map(int, m.split(":"))) for n, m in (a.split("=") for a in answer[0].split(","))}  # type: ignore[misc]


def test_a_handler_sees_its_calls_context_and_all_members_the_same(pair: Pair) -> None:
    seen = []
    for caller, member in [(1, pair.caller), (2, pair.replica)] * 2:
        one = moments(member.ask("moment"))
        assert one[1] == one[2]
        assert one[1][0] == caller
        seen.append(one[1])
    assert [version for _, version, _ in seen] == sorted({version for _, version, _ in seen})
    times = [time_ns for _, _, time_ns in seen]
    assert times == sorted(times)
    assert abs(times[-1] - time.time_ns()) < 60e9


@pytest.mark.parametrize("node", [1, 2])
def test_a_query_sees_its_caller_and_the_last_ordered_call(pair: Pair, node: int) -> None:
    last = moments(pair.replica.ask("moment"))[node]
    assert pair.caller.ask("moment_at", node) == [f"1:{last[1]}:{last[2]}"]


def test_a_joiner_sees_the_last_ordered_call_that_its_state_has(pair: Pair) -> None:
    one, two = pair.moments
    assert one == two
    assert int(one.split(":")[1]) > 0


def test_there_is_no_context_where_there_is_no_call(pair: Pair, languages: tuple[str, str]) -> None:
    try:
        assert pair.caller.ask("moment_of_none") == ["skip"]
    except MemberError as error:
        kind, text = error.args
        assert kind in ("RuntimeError", "IllegalState", "InvalidOperationException", "logic_error")
        assert "there is no call here" in text


def test_a_method_that_nobody_has_is_unknown(pair: Pair) -> None:
    try:
        answer = pair.caller.ask("unknown")
    except MemberError as error:
        assert error.args[0] == "UnknownMethod"
    else:
        assert answer == ["skip"]


def test_a_query_to_a_stranger_is_refused(pair: Pair) -> None:
    assert failure(pair.caller, "ask", 99, to_hex(EXAMPLES["empty"]))[0] == "NotMember"


# ------------------------------------------------------------------------------------------------- many


def test_calls_without_answers_arrive(pair: Pair) -> None:
    before = pair.total_of_both()
    for amount in (3, -1, 5):
        assert pair.caller.ask("send", amount) == []
    assert pair.total_of_both() == before + 7


def test_sixteen_threads_call_at_once(pair: Pair) -> None:
    before = pair.total_of_both()
    for member in (pair.caller, pair.replica):
        member.send("threads", 16, 20)
    for member in (pair.caller, pair.replica):
        assert member.answer() == []
    assert pair.total_of_both() == before + 2 * 16 * 20


@pytest.mark.parametrize(("count", "size"), [(2000, 100), (12, MESSAGE_MAX_BYTES - REFERENCE_BYTES)])
def test_a_flood_is_taken(pair: Pair, count: int, size: int) -> None:
    before = pair.total_of_both()
    assert pair.caller.ask("flood", count, size) == []
    assert pair.total_of_both() == before


# ------------------------------------------------------------------------------------------------- ends


def test_who_leaves_is_gone_and_the_other_goes_on(fresh: Pair) -> None:
    assert fresh.replica.ask("wait", 1) == ["1,2"]  # one, or more
    assert fresh.caller.ask("leave") == []
    assert fresh.replica.ask("wait_exactly", 1) == ["2"]
    assert fresh.replica.ask("add", 1) == [str(BEFORE + 1)]
    assert failure(fresh.caller, "add", 1)[0] == "Closed"
    assert fresh.replica.ask("close") == []
    for member in (fresh.caller, fresh.replica):
        member.end()


def test_calls_that_are_pending_when_the_group_is_closed_end(fresh: Pair) -> None:
    fresh.replica.pause()  # nothing can be ordered any more
    assert fresh.caller.ask("pending", 16) == ["0", "16"]
    assert failure(fresh.caller, "total")[0] == "Closed"
    fresh.caller.end()


def test_who_is_left_alone_by_a_crash_stops(fresh: Pair) -> None:
    fresh.caller.kill()
    assert failure(fresh.replica, "add", 1)[0] == "NoMajority"
    assert failure(fresh.replica, "total")[0] == "NoMajority"
    assert fresh.replica.ask("close") == []
    fresh.replica.end()


# ------------------------------------------------------------------------------------------------- strangers


@derecho.service(name="Everything")
class SomethingElse:
    @derecho.ordered
    def add(self, amount: str) -> int:
        raise NotImplementedError


@pytest.mark.parametrize("language", MEMBERS)
def test_whoever_is_refused_for_its_schema_reads_which_methods_differ(
    command: Command, tmp_path: Path, language: str
) -> None:
    with Groups(command, tmp_path) as groups:
        founder, joiner = groups.start(language), groups.start(language)
        address, other = (f"127.0.0.1:{port}" for port in free_ports(2))
        assert founder.ask("join", 1, address, address, "auto", "named") == ["1"]
        with pytest.raises(derecho.Incompatible) as refused:
            derecho.join([SomethingElse()], node=2, listen="127.0.0.1:0", contacts=[address], group="named")
        assert "add is ordered add(amount:str)->i64 here, ordered add(amount:i64)->i64 there" in str(refused.value)
        assert "total is only there" in str(refused.value)
        with derecho.join([SomethingElse()], node=1, listen="127.0.0.1:0", found=True, group="other") as group:
            contacts = f"{group.view.members[0].address},{other}"
            kind, text = failure(joiner, "join", 2, other, contacts, "auto", "other")
        assert kind == "Incompatible"
        assert "add is ordered add(amount:i64)->i64 here, ordered add(amount:str)->i64 there" in text
        assert "mix is not there" in text


def test_two_groups_of_one_name_that_meet_are_told_to_applications_in_every_language(
    command: Command, tmp_path: Path
) -> None:
    there = [language for language, program in MEMBERS.items() if not program.missing()]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(there))]
    with (
        derecho.join([Everything()], node=99, listen="127.0.0.1:0", contacts=addresses, found=True, group="two") as one,
        Groups(command, tmp_path) as groups,
    ):
        others = [groups.start(language) for language in there]
        for node, (member, address) in enumerate(zip(others, addresses, strict=True), 1):
            assert member.ask("join", node, address, address, "auto", "two") == [str(node)]
        deadline = time.monotonic() + 60
        while not all(told := [member.ask("troubles") for member in others]):
            assert time.monotonic() < deadline, told
            time.sleep(0.1)
        for sentences in [*told, one.troubles()]:
            assert all("there are two groups of the name" in sentence for sentence in sentences), sentences


# ------------------------------------------------------------------------------------------------- all together


def differ_in_every_language(members: list[Member], sum_: int) -> None:
    """One replica becomes another, whatever language it is in: each caller says so, in the same words."""
    nodes = ", ".join(str(n) for n in range(1, len(members)))
    for caller in members:
        if (answer := caller.ask("addall", 0)) != ["skip"]:
            assert answer == [",".join(f"{n}={sum_}" for n in range(1, len(members) + 1))]
    assert members[-1].ask("spoil") == []
    said = f"Everything.add: replicas differ: node {len(members)} answered {sum_ + 1}, nodes {nodes} answered {sum_}"
    for caller in members:
        try:
            assert caller.ask("addall", 0) == ["skip"]
        except MemberError as error:
            assert error.args == ("ReplicasDiffer", said)


def test_all_languages_are_one_group(command: Command, tmp_path: Path) -> None:
    there = [language for language, program in MEMBERS.items() if not program.missing()]
    languages = [*there, there[0]]  # never alone
    with Groups(command, tmp_path) as groups:
        members = groups.together(languages, "tcp")
        for name, member in zip(EXAMPLES, members * len(EXAMPLES), strict=False):
            text = to_hex(EXAMPLES[name])
            assert member.ask("echo", text) == [",".join(f"{n}={text}" for n in range(1, len(members) + 1))]
        for member in members:
            member.send("threads", 4, 10)
        for member in members:
            assert member.answer() == []
        for member in members:
            assert member.ask("add", 0) == [str(BEFORE + 40 * len(members))]
        differ_in_every_language(members, BEFORE + 40 * len(members))
        for member in members:
            assert member.ask("leave") == []
            member.end()
