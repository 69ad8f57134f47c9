from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsolve_runtime.flow.makespan import makespan_ns
from segsolve_runtime.flow.schedule import Lane, Slot, schedule, schedule_lanes


def test_a_schedule_by_hand() -> None:
    # Stages of 2, 5 and 3 ns with one place between them: stage 0 has inference 2 ready at 6, but the place
    # before stage 1 is taken until 7; so inference 3 starts there at 7 only, and is handed on at 12.
    table = [
        # inference: (start, end) on each stage
        [(0, 2), (2, 7), (7, 10)],
        [(2, 4), (7, 12), (12, 15)],
        [(4, 6), (12, 17), (17, 20)],
        [(7, 9), (17, 22), (22, 25)],
        [(12, 14), (22, 27), (27, 30)],
    ]
    slots = schedule([2, 5, 3], count=5, queue_size=1)
    assert [(s.inference, s.stage, s.start_ns, s.end_ns) for s in slots] == [
        (n, k, start, end) for n, row in enumerate(table) for k, (start, end) in enumerate(row)
    ]


def test_a_longer_queue_lets_the_first_stage_run_ahead() -> None:
    def first_starts(queue_size: int) -> list[int]:
        return [s.start_ns for s in schedule([2, 5], count=6, queue_size=queue_size) if s.stage == 0]

    assert first_starts(queue_size=1) == [0, 2, 4, 7, 12, 17]
    assert first_starts(queue_size=2) == [0, 2, 4, 6, 8, 12]
    assert first_starts(queue_size=3) == [0, 2, 4, 6, 8, 10]


@settings(deadline=None)
@given(
    stage_ns=st.lists(st.integers(0, 1_000), min_size=1, max_size=6),
    count=st.integers(1, 20),
    queue_size=st.integers(1, 4),
)
def test_the_makespan_has_a_closed_form(stage_ns: list[int], count: int, queue_size: int) -> None:
    slots = schedule(stage_ns, count, queue_size)
    assert max(s.end_ns for s in slots) == sum(stage_ns) + (count - 1) * max(stage_ns)


def test_two_replicas_by_hand() -> None:
    # The middle stage takes 5 ns on each of two devices, so that the third stage's 3 ns are the bottleneck.
    slots = schedule([2, 5, 3], count=5, queue_size=1, replicas=[1, 2, 1])
    assert [(s.start_ns, s.replica) for s in slots if s.stage == 1] == [(2, 0), (4, 1), (7, 0), (9, 1), (12, 0)]
    assert [s.start_ns for s in slots if s.stage == 2] == [7, 10, 13, 16, 19]
    assert [s.start_ns for s in slots if s.stage == 0] == [0, 2, 4, 6, 8]


def test_inferences_go_to_the_pipeline_that_has_room_first() -> None:
    lanes = [Lane(stage_ns=(3,), replicas=(1,)), Lane(stage_ns=(5,), replicas=(1,))]
    slots = schedule_lanes(lanes, count=6, queue_size=1)
    assert [(s.pipeline, s.start_ns) for s in slots] == [(0, 0), (1, 0), (0, 3), (1, 5), (0, 6), (0, 9)]


@settings(deadline=None)
@given(
    stage_ns=st.lists(st.integers(1, 1_000), min_size=1, max_size=5),
    replicas=st.lists(st.integers(1, 3), min_size=5, max_size=5),
    queue_size=st.integers(1, 4),
)
def test_in_the_long_run_the_slowest_share_counts(stage_ns: list[int], replicas: list[int], queue_size: int) -> None:
    counts, n = replicas[: len(stage_ns)], 240
    slots = schedule(stage_ns, n, queue_size, counts)
    slowest = max(time / count for time, count in zip(stage_ns, counts, strict=True))
    end = max(s.end_ns for s in slots)
    assert (n - max(counts)) * slowest <= end <= (n + max(counts) + len(stage_ns)) * slowest + 3 * sum(stage_ns)


@settings(deadline=None)
@given(
    stage_ns=st.lists(st.integers(0, 1_000), min_size=1, max_size=5),
    count=st.integers(0, 20),
    copies=st.integers(2, 4),
    queue_size=st.integers(1, 3),
)
def test_equal_pipelines_do_as_much_as_one_of_so_many_replicas(
    stage_ns: list[int], count: int, copies: int, queue_size: int
) -> None:
    lane = Lane(stage_ns=tuple(stage_ns), replicas=(1,) * len(stage_ns))
    side_by_side = schedule_lanes([lane] * copies, count, 99)
    replicated = schedule(stage_ns, count, 99, [copies] * len(stage_ns))

    def last(slots: tuple[Slot, ...]) -> int:
        return max((s.end_ns for s in slots), default=0)

    assert last(side_by_side) == last(replicated) or 0 in stage_ns


def test_a_stage_has_a_device() -> None:
    with pytest.raises(ValueError, match="has no device"):
        schedule([1], count=1, queue_size=1, replicas=[0])


def test_nothing_happens_without_inferences() -> None:
    assert schedule([1, 2], count=0, queue_size=1) == ()


def test_a_queue_has_a_place() -> None:
    with pytest.raises(ValueError, match="queue size is 0"):
        schedule([1], count=1, queue_size=0)


@settings(deadline=None)
@given(
    lanes=st.lists(
        st.builds(
            lambda stages, link_ns, host_ns: Lane(
                stage_ns=tuple(ns for ns, _ in stages),
                replicas=tuple(count for _, count in stages),
                link_ns=link_ns,
                host_ns=host_ns,
            ),
            st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), min_size=1, max_size=4),
            st.just(0) | st.integers(0, 40),
            st.just(0) | st.integers(0, 40),
        ),
        min_size=1,
        max_size=4,
    ),
    count=st.integers(1, 90),
    queue_size=st.integers(1, 3),
)
def test_a_batch_ends_when_its_last_slot_does(lanes: list[Lane], count: int, queue_size: int) -> None:
    slots = schedule_lanes(lanes, count, queue_size)
    assert makespan_ns(lanes, count, queue_size) == max(slot.end_ns for slot in slots)


def test_a_batch_of_any_size_is_followed_until_it_repeats() -> None:
    lane = Lane(stage_ns=(700, 2_000, 900), replicas=(1, 2, 1), host_ns=950)
    after_100 = max(slot.end_ns for slot in schedule_lanes([lane], 100, 2))
    assert makespan_ns([lane], 10**15, 2) == after_100 + (10**15 - 100) * 1_000
