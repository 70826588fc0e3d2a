"""Shows that all languages make the same bytes of every type, and accept and refuse the same damaged messages.

Messages of the conformance service's `Values`, random and randomly damaged; the seed is printed by a failure, and
DERECHO_SEED replays it.
"""

from __future__ import annotations

import dataclasses
import os
import random
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from everything import Everything
from languages import REENCODERS, Program
from programs import environment

import derecho
from derecho.codec.wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, WireType

MESSAGES = 4000
ECHO = derecho.schema(Everything).by_name["echo"]


def number(rng: random.Random, wire: ScalarType) -> Any:
    if wire.name == "bool":
        return rng.random() < 0.5
    if wire.name[0] == "f":
        return rng.choice([0.0, -0.0, 1.5, -(2.0**100), float("inf")])
    bits = 8 * wire.size - (wire.name[0] == "i")
    low = -(1 << bits) if wire.name[0] == "i" else 0
    return rng.choice([low, 0, 1, (1 << bits) - 1, rng.randrange(low, 1 << bits)])


def value(rng: random.Random, wire: WireType) -> Any:
    """A random value of a type."""
    if isinstance(wire, ScalarType):
        return number(rng, wire)
    if isinstance(wire, Blob):
        text = "".join(rng.choice("ab\0ß€😀\ufffd") for _ in range(rng.randrange(4)))
        return text if wire.name == "str" else text.encode()
    if isinstance(wire, OptionalOf):
        return value(rng, wire.value) if rng.random() < 0.5 else None
    if isinstance(wire, ListOf):
        return [value(rng, wire.element) for _ in range(rng.randrange(4))]
    if isinstance(wire, ArrayOf):
        return tuple(value(rng, wire.element) for _ in range(wire.count))
    if isinstance(wire, MapOf):
        return {value(rng, wire.key): value(rng, wire.value) for _ in range(rng.randrange(4))}  # in that order
    return wire.python(*(value(rng, f.type) for f in wire.fields))


class Least(random.Random):
    """Makes every list empty and every optional absent."""

    def random(self) -> float:
        return 0.9

    def randrange(self, *_: int) -> int:
        return 0

    def choice(self, seq: Any) -> Any:
        return seq[0]


def ends_with_padding() -> bytes:
    """A message whose last part is an empty list of 64-bit numbers, behind a text of an odd length."""
    made = dataclasses.replace(value(Least(), ECHO.fields[0].type), text="odd", nested=[[]])
    return b"".join(map(bytes, ECHO.encode(made)))


def damaged(rng: random.Random, message: bytes) -> bytes:
    changed = bytearray(message)
    for _ in range(rng.choice([1, 1, 2])):
        at = rng.randrange(len(changed))
        changed[at] = rng.choice([0, 1, 2, 255, changed[at] ^ 1, rng.randrange(256)])
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.1 else changed)


def accepted(message: bytes) -> bool:
    try:
        ECHO.decode(memoryview(message))
    except derecho.DecodeError:
        return False
    return True


@pytest.mark.parametrize("language", REENCODERS)
def test_a_language_and_python_agree_on_every_message(language: str, command: Callable[[Program], list[str]]) -> None:
    seed = int(os.environ.get("DERECHO_SEED", random.randrange(1 << 32)))
    rng = random.Random(seed)
    good = [b"".join(map(bytes, ECHO.encode(value(rng, ECHO.fields[0].type)))) for _ in range(MESSAGES // 4)]
    bad = [damaged(rng, rng.choice(good)) for _ in range(MESSAGES)]
    bad += [message[:-cut] for message in [*good[:20], ends_with_padding()] for cut in range(1, 9)]
    bad.append(good[0] + b"\0")
    bad.append(struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF) * 45)
    lines = "".join(f"{message.hex()}\n" for message in good + bad)
    start = command(REENCODERS[language])
    done = subprocess.run(start, input=lines, capture_output=True, text=True, timeout=120, env=environment())
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("\n")
    assert answers[: len(good)] == [f"ok {message.hex()}" for message in good], f"seed {seed}"
    for message, answer in zip(bad, answers[len(good) :], strict=False):
        assert answer.startswith("ok") == accepted(message), f"seed {seed}: {message.hex()} {answer}"
    refusals = sum(answer == "refused" for answer in answers)
    assert MESSAGES * 0.2 < refusals < MESSAGES * 0.8  # both happened often
