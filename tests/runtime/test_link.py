"""A shared link: who may begin how often, and that a schedule keeps to it exactly."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from segsolve_runtime.flow.dispatch import Dispatcher
from segsolve_runtime.flow.schedule import Lane, schedule_lanes
from segsolve_runtime.flow.shared import Gate, Load, intervals


def test_a_link_with_room_delays_nothing() -> None:
    assert intervals([Load(own_ns=10, link_ns=4), Load(own_ns=10, link_ns=6)]) == (Fraction(0), Fraction(0))


def test_the_lightest_go_first_and_equals_are_slowed_alike() -> None:
    light, heavy, heaviest = Load(own_ns=10, link_ns=5), Load(own_ns=10, link_ns=10), Load(own_ns=1, link_ns=11)
    # Half of the link is left for two that want all of it each: a quarter of their rate.
    assert intervals([heavy, light, heavy, heaviest]) == (Fraction(40), Fraction(10), Fraction(40), None)


def test_a_gate_pays_for_rounding_once() -> None:
    gate = Gate(Fraction(7, 2))
    begun = []
    for _ in range(5):
        begun.append(gate.opens_ns)
        assert not gate.lets_through(gate.opens_ns - 1)
        assert gate.lets_through(gate.opens_ns)
    assert begun == [0, 4, 7, 11, 14]
    assert gate.lets_through(100)
    assert gate.opens_ns == 104


def test_a_shut_gate_lets_nothing_through() -> None:
    assert Gate(None).is_shut
    assert not Gate(None).lets_through(10**9)


loads = st.builds(Load, own_ns=st.integers(0, 50), link_ns=st.integers(0, 100))


@given(st.lists(loads, min_size=1, max_size=5))
def test_the_link_is_filled_and_no_pipeline_faster_than_it_can_be(found: list[Load]) -> None:
    granted = intervals(found)
    if all(interval == 0 for interval in granted):
        return
    used = sum((load.link_ns / each for load, each in zip(found, granted, strict=True) if each), Fraction(0))
    assert used == 1
    assert all(each is None or each >= max(1, load.own_ns) for load, each in zip(found, granted, strict=True))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 60)), min_size=1, max_size=3))
def test_a_schedule_fills_the_link_and_no_more(pairs: list[tuple[int, int]]) -> None:
    lanes = [Lane(stage_ns=(ns,), replicas=(1,), link_ns=link) for ns, link in pairs]
    granted = intervals([lane.load for lane in lanes])
    slots = schedule_lanes(lanes, 60, 2)
    for p, each in enumerate(granted):
        starts = [slot.start_ns for slot in slots if slot.pipeline == p]
        if each is None:
            assert not starts
        elif each:
            assert starts == [-(-n * each // 1) for n in range(len(starts))]


def test_what_is_left_of_a_plan_has_the_link_to_itself() -> None:
    lanes = [Lane(stage_ns=(10,), replicas=(1,), link_ns=10)] * 2
    dispatcher = Dispatcher([[1], [1]], queue_size=2)
    dispatcher.share(lanes)
    gates = [lane[0].gate for lane in dispatcher.lanes]
    assert [gate is not None for gate in gates] == [True, True]
    first = next(iter(dispatcher.seats.values()))
    dispatcher.retire(first)
    assert dispatcher.lanes[1][0].gate is None
