"""Shows that the fabric adds little to what the device costs: one-sided writes beside those of its own tools."""

from __future__ import annotations

import beside

# On a machine of its own the fabric takes 1.0 times ib_write_lat's time and 0.9 times ib_write_bw's bandwidth
# (docs/performance.md); these are what even a busy one should reach in one of these rounds.
ROUNDS_MAX = 12
LATENCY_MAX = 1.5
BANDWIDTH_MIN = 0.5


def test_writes_are_about_as_fast_as_the_devices_own_tools_make_them() -> None:
    measured = beside.Beside()
    for _ in range(ROUNDS_MAX):
        measured.measure()
        if measured.latency() <= LATENCY_MAX and measured.bandwidth() >= BANDWIDTH_MIN:
            break
    assert measured.latency() <= LATENCY_MAX, measured
    assert measured.bandwidth() >= BANDWIDTH_MIN, measured
