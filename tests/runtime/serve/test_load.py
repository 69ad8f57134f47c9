"""A short form of the load benchmark: many clients, faults, and no request lost or answered with another's result."""

from __future__ import annotations

from benchmarks.serve import load


def test_many_clients_and_faults_lose_no_request() -> None:
    done = load(3.0, 100, at_least=1_500, most_waiting=60, lost_after=100)
    assert done["answered"] >= 1_500
    assert done["told_to_come_again"] > 0
    assert done["faults"]["device lost"] == 1
    assert done["memory_growth_mib"] < 16
