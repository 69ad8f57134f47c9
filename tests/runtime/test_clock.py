from __future__ import annotations

from segsolve_runtime.contract.places import Place
from segsolve_runtime.flow.clock import Report, VirtualClock, virtual_clocks, wall_clocks
from segsolve_runtime.flow.job import Job

FIRST, SECOND = Place(0, 0), Place(0, 1)


def job(number: int) -> Job:
    return Job(number=number, inputs={}, tensors={}, accepted_ns=0)


def report(place: Place, of: Job) -> Report:
    return Report(place, of, {}, 0, 0)


def test_virtual_time_passes_by_predicted_inferences_whenever_they_are_reported() -> None:
    clock, (slow, quick) = VirtualClock({FIRST: 10, SECOND: 3}), (job(0), job(1))
    clock.begin(FIRST, slow)
    clock.begin(SECOND, quick)
    clock.add(report(FIRST, slow))
    assert clock.advance() is None  # the other one ends earlier, and has not been reported
    assert clock.now() == 0
    clock.add(report(SECOND, quick))
    first, second = clock.advance(), clock.advance()
    assert first and second
    assert [(r.place, r.start_ns, r.end_ns) for r in (first, second)] == [(SECOND, 0, 3), (FIRST, 0, 10)]
    assert clock.now() == 10
    assert clock.advance() is None


def test_what_happens_at_the_present_is_waited_for() -> None:
    clock, one = virtual_clocks({FIRST: 0}), job(0)
    assert not clock.is_waiting()
    clock.begin(FIRST, one)
    assert clock.is_waiting()
    assert clock.due() is None
    clock.add(report(FIRST, one))
    assert clock.due() is not None
    assert not clock.is_waiting()


def test_things_at_the_same_time_come_in_the_order_of_their_inferences() -> None:
    clock, jobs = VirtualClock({FIRST: 5, SECOND: 5}), [job(1), job(0)]
    for place, one in zip((FIRST, SECOND), jobs, strict=True):
        clock.begin(place, one)
        clock.add(report(place, one))
    assert [r.job.number for r in (clock.advance(), clock.due()) if r] == [0, 1]


def test_the_wall_clock_starts_at_the_run_and_does_not_go_back() -> None:
    clock = wall_clocks({FIRST: 1})
    times = [clock.now(), clock.stamp(), clock.now()]
    assert times == sorted(times)
    assert times[0] >= 0
    assert clock.due() is None
    clock.add(report(FIRST, job(3)))
    assert (clock.due() or report(FIRST, job(0))).job.number == 3
