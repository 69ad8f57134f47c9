from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segsolve_runtime.schedule import schedule


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


@given(
    stage_ns=st.lists(st.integers(0, 1_000), min_size=1, max_size=6),
    count=st.integers(1, 20),
    queue_size=st.integers(1, 4),
)
def test_the_makespan_has_a_closed_form(stage_ns: list[int], count: int, queue_size: int) -> None:
    slots = schedule(stage_ns, count, queue_size)
    assert max(s.end_ns for s in slots) == sum(stage_ns) + (count - 1) * max(stage_ns)


def test_nothing_happens_without_inferences() -> None:
    assert schedule([1, 2], count=0, queue_size=1) == ()


def test_a_queue_has_a_place() -> None:
    with pytest.raises(ValueError, match="queue size is 0"):
        schedule([1], count=1, queue_size=0)
