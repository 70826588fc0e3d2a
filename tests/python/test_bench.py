"""Shows `derecho bench`: its cases and verdicts, what it measures for real, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from derecho.bench.cases import APIS, LANGUAGES, PAYLOADS, WIRES, Case, all_cases, chosen, language_cases, quick_cases
from derecho.bench.processes import BenchError, member_command, native
from derecho.bench.runner import median_of
from derecho.bench.targets import TARGETS, judge

COMMAND = [sys.executable, "-m", "derecho.cli", "bench"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False
    )


# ---------------------------------------------------------------------------------------------------- what is decided


def test_cases_cover_the_wires_sizes_and_languages_and_have_keys_of_their_own() -> None:
    cases = all_cases()
    assert len({case.key for case in cases}) == len(cases)
    for kind in ("throughput", "latency"):
        for wire in WIRES:
            for members in (2, 3):
                found = {
                    (c.payload_bytes, c.api) for c in cases if (c.kind, c.wire, c.members) == (kind, wire, members)
                }
                assert found >= {(payload, api) for payload in PAYLOADS for api in APIS[:2]}
    senders = {c.senders for c in cases if c.kind == "throughput" and c.members == 3}
    assert senders == {1, 3}
    assert {c.key for c in quick_cases()} <= {c.key for c in cases}


def test_every_target_belongs_to_a_case_of_the_quick_run_or_of_languages() -> None:
    languages = {case.key for case in language_cases(LANGUAGES)}
    assert {target.case for target in TARGETS if target.beside is None} <= {case.key for case in quick_cases()}
    assert {case for target in TARGETS if target.beside for case in (target.case, target.beside)} <= languages


def test_cases_are_chosen_by_part_glob_or_expression() -> None:
    cases = all_cases()
    assert {c.kind for c in chosen(cases, "latency", WIRES, (2, 3))} == {"latency"}
    assert [c.key for c in chosen(cases, "throughput.shm.3.one.100.*", WIRES, (2, 3))] == [
        f"throughput.shm.3.one.100.{api}" for api in APIS
    ]
    assert {c.payload_bytes for c in chosen(cases, r"\.(10|100)\.c$", ["tcp"], [2])} == {10, 100}
    assert chosen(cases, "nothing[", WIRES, (2, 3)) == []


def test_a_target_is_judged_against_the_limit_measured_beside_its_case() -> None:
    def verdict(p50: float, **result: Any) -> dict[str, Any]:
        results = {"latency.shm.2.100.c": {"latency_ns": {"p50": p50}, **result}}
        (only,) = judge(results, {"cache_line_ns": {"p50": 100.0}})
        return only

    assert verdict(400)["met"] and not verdict(401)["met"]
    assert verdict(401, limit={"cache_line_ns": 150.0})["met"]
    assert verdict(401, limit={"cache_line_ns": 150.0})["ratio"] == pytest.approx(401 / 150)
    assert judge({"latency.shm.2.100.c": {"error": "it failed"}}, {}) == []


def test_a_language_is_judged_beside_c() -> None:
    def verdict(java: float) -> dict[str, Any]:
        results = {
            "latency.shm.2.100.c": {"latency_ns": {"p50": 300.0}, "limit": {"cache_line_ns": 150.0}},
            "latency.shm.2.100.java": {"latency_ns": {"p50": java}, "limit": {"cache_line_ns": 150.0}},
        }
        return next(t for t in judge(results, {}) if t["key"] == "latency_java")

    assert verdict(390)["met"] and not verdict(391)["met"]
    assert verdict(360)["ratio"] == pytest.approx(1.2)


def test_a_language_is_judged_beside_those_rounds_of_c_that_met_the_same_machine() -> None:
    def rounds(near: float, far: float, *distances: int) -> dict[str, Any]:
        samples = [
            {"latency_ns": {"p50": near if ns == 150 else far}, "limit": {"cache_line_ns": ns + i}}
            for i, ns in enumerate(distances)
        ]
        return {**median_of(samples), "samples": samples}

    results = {
        "latency.shm.2.100.c": rounds(300.0, 1000.0, 150, 150, 540),
        "latency.shm.2.100.java": rounds(360.0, 1100.0, 540, 150, 540),
    }
    verdict = next(t for t in judge(results, {}) if t["key"] == "latency_java")
    assert (verdict["value"], verdict["limit_value"]) == (1100.0, 1000.0)  # and not 1100 beside 300


def test_a_language_is_not_judged_where_c_was_not_measured() -> None:
    case = "throughput.shm.3.one.1048576."
    java, c = {case + "java": {"delivered_per_s": 0.9e6}}, {case + "c": {"delivered_per_s": 1e6}}
    assert judge(java, {}) == []
    (only,) = judge(java | c, {})
    assert only["key"] == "rate_java_1048576" and only["met"] and only["bound"] == 0.9e6


def test_medians_go_through_nested_figures() -> None:
    samples = [{"a": n, "times": {"p50": 10 * n}, "limit": {}} for n in (3, 1, 2)]
    assert median_of(samples) == {"a": 2, "times": {"p50": 20}, "limit": {}}


# ---------------------------------------------------------------------------------------------------- what is measured


def test_limits_are_of_this_machine() -> None:
    found = native("limits", {"seconds": 0.05, "rounds": 500}, 30)
    assert found["processors"] == len(os.sched_getaffinity(0))
    assert 1e8 < found["memcpy_streaming_bytes_per_s"] < 1e13
    assert 0 < found["tcp_blocking_100b_ns"]["p50"] <= found["tcp_blocking_100b_ns"]["p99"]


def test_a_run_reports_each_figure_with_the_limit_beside_it() -> None:
    done = bench("--only", r"\.shm\.2\.(one\.)?100\.c$", "--rounds", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == 1
    assert set(report) >= {"derecho", "machine", "started", "limits", "results", "targets"}
    rate = report["results"]["throughput.shm.2.one.100.c"]
    assert rate["delivered_per_s"] > 10_000
    assert rate["bytes_per_s"] == pytest.approx(100 * rate["delivered_per_s"])
    assert rate["limit"]["memcpy_streaming_bytes_per_s"] > 0
    assert rate["allocations"] == 0
    latency = report["results"]["latency.shm.2.100.c"]["latency_ns"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert [t["key"] for t in report["targets"]] == ["latency_shm_2"]


@pytest.mark.parametrize("key", ["throughput.tcp.2.all.100.python", "latency.shm.2.100.service"])
def test_python_members_measure_the_same(key: str) -> None:
    done = bench("--only", key, "--rounds", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["results"][key]
    assert result["runs"] == 1
    assert result["delivered_per_s"] > 100
    assert "latency_ns" in result or result["kind"] == "throughput"


def test_members_in_other_languages_measure_the_same_beside_c() -> None:
    missing = {}
    for language in LANGUAGES:
        try:
            member_command(language)
        except BenchError as reason:
            missing[language] = str(reason)
    languages = [language for language in LANGUAGES if language not in missing]
    if languages:
        done = bench("--lang", ",".join(languages), "--only", ".100.", "--rounds", "1", "--json", "-")
        assert done.returncode == 0, done.stderr
        results = json.loads(done.stdout)["results"]
        kinds = ("throughput.shm.3.one.100", "latency.shm.2.100")
        assert set(results) == {f"{kind}.{api}" for kind in kinds for api in ("c", "python", *languages)}
    for language in languages:
        own, beside = (results[f"latency.shm.2.100.{api}"] for api in (language, "c"))
        assert set(beside) == set(own) and set(beside["latency_ns"]) == set(own["latency_ns"])
        assert 0 < own["latency_ns"]["p50"] <= own["latency_ns"]["p99"] <= own["latency_ns"]["max"]
        assert own["allocations"] == 0
        assert results[f"throughput.shm.3.one.100.{language}"]["delivered_per_s"] > 10_000
    if missing:
        pytest.skip(f"not measured: {missing}")


# ---------------------------------------------------------------------------------------------------- what goes wrong


def test_a_case_that_does_not_end_is_an_error_within_its_deadline() -> None:
    begin = time.monotonic()
    with pytest.raises(BenchError, match="not done after 0.5 s"):
        native("run", {"members": 2, "seconds": 20}, 0.5)
    assert time.monotonic() - begin < 5


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(BenchError, match="unknown setting 'byte'; known here: .*bytes"):
        native("run", {"byte": 100}, 10)


def test_a_language_without_a_member_is_refused() -> None:
    done = bench("--lang", "cobol")
    assert done.returncode == 2
    assert "'cobol' is none of java" in done.stderr


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    done = bench("--only", "nothing")
    assert done.returncode == 2
    assert "--list" in done.stderr


def test_nothing_is_left_behind_by_kill_9() -> None:
    process = subprocess.Popen(
        [*COMMAND, "--only", Case("throughput", "shm", 3, 1, 100).key, "--rounds", "9"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        workers = _until(lambda: len(found := _descendants(process.pid)) >= 4 and found)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])


def _until(found: Any) -> Any:
    end = time.monotonic() + 60
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return result


def _descendants(parent: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def test_ffi_shows_each_language_beside_c() -> None:
    done = bench("--ffi", "--rounds", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    languages = json.loads(done.stdout)["ffi_ns"]
    assert set(languages) == {"C", "Java", "C# (CoreCLR)", "C# (mono)", "Python"}
    calls = {"call_hpp_ns", "call_dll_ns"}
    assert 0 < languages["C"]["call_hpp_ns"] < 2 * languages["C"]["call_dll_ns"]
    for language, found in languages.items():
        assert set(found) == {"bare_ns", "send_ns", "claim_ns", "many_ns"} | (calls if language == "C" else set())
        assert 0 < found["bare_ns"] < found["send_ns"]
    assert languages["C"]["send_ns"] < languages["Python"]["send_ns"]
