from __future__ import annotations

from segsolve_runtime.clock import VirtualClock, virtual_clocks, wall_clocks


def test_virtual_time_passes_by_events_and_inferences_only() -> None:
    clock = VirtualClock(10)
    assert clock.at_least(0) == 0
    assert clock.finish() == 10
    assert clock.at_least(7) == 10
    assert clock.at_least(25) == 25
    assert clock.finish() == 35


def test_each_stage_has_its_own_virtual_time() -> None:
    clocks = virtual_clocks([3, 4])
    assert [clock.finish() for clock in clocks.stages] == [3, 4]
    assert clocks.source.finish() == 0


def test_the_wall_clock_starts_at_the_run_and_does_not_go_back() -> None:
    clocks = wall_clocks([1, 1])
    times = [clocks.source.at_least(0), clocks.stages[0].at_least(0), clocks.stages[1].finish()]
    assert times == sorted(times)
    assert times[0] >= 0
