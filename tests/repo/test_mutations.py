"""The list of mutations (tests/sim/mutations.txt) keeps up with the core that it breaks."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_mutation_replaces_stands_in_the_core_once() -> None:
    mutations = runpy.run_path(str(ROOT / "tests" / "sim" / "mutations.py"))["read_mutations"]()
    assert len(mutations) > 40
    counts = {each.name: (ROOT / each.file).read_text().count(each.before) for each in mutations}
    assert {name: count for name, count in counts.items() if count != 1} == {}
