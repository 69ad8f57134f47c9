"""Measured costs become a problem; the figures were worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generators.documents import by_hand, write
from segsolve.cost.plan import score_cut
from segsolve.errors import DeviceError
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.profile.format import Profile
from segsolve.profile.load import device_costs
from segsolve.profile.measured import MeasuredCosts
from segsolve.search.chain.confirmed import solve
from tests.models import residual_net

WHOLE: tuple[int, ...] = ()


def problem(tpus: int = 1, memory_bytes: int | None = None, **changes: Any) -> Problem:
    profile = Profile.model_validate(by_hand(**changes))
    return MeasuredCosts(profile=profile, memory_bytes=memory_bytes).problem(tpus=tpus)


@pytest.mark.parametrize(
    ("tpus", "cuts", "times"), [(1, (), [100]), (2, (3,), [10 + 20 + 30 + 5, 5 + 40]), (3, (2, 3), [35, 40, 45])]
)
def test_a_profile_by_hand_is_solved_to_its_optimum(tpus: int, cuts: tuple[int, ...], times: list[int]) -> None:
    for planner in ("brute", "dp", "cpsat"):
        result = solve(problem(tpus), planner=planner)
        assert result.plan is not None and result.score is not None
        assert result.plan.cuts == cuts
        assert [stage.time_ns for stage in result.score.pipelines[0].stages] == times


def test_a_measured_segment_overrides_the_sum_of_exactly_its_layers() -> None:
    measured = problem(2, segments=[{"first_op": 0, "last_op": 2, "time_ns": 80}])
    slower = score_cut(measured, (3,)).stages
    assert [stage.time_ns for stage in slower] == [80, 45]
    assert [stage.correction_ns for stage in slower] == [15, 0]
    assert score_cut(measured, WHOLE).stages[0].time_ns == 100
    assert solve(measured).plan == cut_at((2,), len(measured.ops))


def test_overhead_and_scale() -> None:
    stage = score_cut(problem(device={"overhead_ns": 10}, scale=2.0), WHOLE).stages[0]
    assert (stage.overhead_ns, stage.compute_ns) == (20, 200)


def test_without_a_limit_to_the_memory_nothing_streams() -> None:
    assert score_cut(problem(), WHOLE).offchip_bytes == 0


def test_memory_is_filled_in_order_and_the_rest_streams() -> None:
    device = {"memory_bytes": 250, "stream_ns_per_byte": 2}
    stage = score_cut(problem(device=device), WHOLE).stages[0]
    assert (stage.spilled_ops, stage.stream_ns) == ((2, 3), 2 * 200)
    assert score_cut(problem(device=device, memory_bytes=350), WHOLE).stages[0].spilled_ops == (3,)


def test_what_a_layer_says_of_its_parameters() -> None:
    layers = by_hand()["layers"]
    layers[0].update(streamed_time_ns=50, stored_bytes=120, cacheable=False)
    layers[1].update(cache_rank=9, scratch_bytes=30)
    built = problem(layers=layers, device={"memory_bytes": 230})
    stage = score_cut(built, WHOLE).stages[0]
    assert stage.capacity_bytes == 200
    assert stage.spilled_ops == (1,)
    assert stage.offchip_bytes == 120 + 100
    assert built.ops[0].streamed_ns == 50
    assert built.ops[0].parameter_bytes == 100


def test_layers_that_stay_together() -> None:
    layers = by_hand()["layers"]
    layers[3].update(with_previous=True)
    assert problem(2, layers=layers).cuts == (1, 2)


def test_edges_of_one_tensor_are_one_transfer_and_others_are_told_apart() -> None:
    edges = [
        {"to": "a", "tensor": "image", "bytes": 9, "time_ns": 1},
        {"to": "c", "tensor": "state", "bytes": 5, "time_ns": 2},
        {"from": "a", "to": "b", "bytes": 7, "time_ns": 5, "output_ns": 8},
        {"from": "a", "to": "d", "bytes": 7, "time_ns": 5, "output_ns": 8},
        {"from": "a", "to": "d", "tensor": "second", "bytes": 3},
        {"from": "d", "bytes": 2, "time_ns": 4},
    ]
    built = problem(2, edges=edges)
    first, second = score_cut(built, (1,)).stages
    assert (first.input_ns, first.output_ns) == (1, 8)
    assert (second.input_ns, second.output_ns) == (2 + 5, 4)
    assert (second.input_bytes, second.output_bytes) == (5 + 7 + 3, 2)


def test_a_profile_of_another_model_is_refused(tmp_path: Path) -> None:
    graph = residual_net().load(tmp_path).graph
    layers = [{"name": op.name, "time_ns": 5, "param_bytes": 1} for op in graph.ops]
    fitting = by_hand(layers=layers, edges=[])

    def costs(document: dict[str, Any]) -> Problem:
        return device_costs(str(write(tmp_path, document)))(graph).problem(tpus=2)

    assert costs(fitting).cuts == graph.cuts
    assert costs(fitting | {"model": {"name": "same", "sha256": graph.sha256}}).name == graph.name
    with pytest.raises(DeviceError, match="was measured for other, which is not the same file as net"):
        costs(fitting | {"model": {"name": "other", "sha256": "0" * 64}})
    with pytest.raises(DeviceError, match="has 4 layers, but net has 11 operations"):
        costs(by_hand())
    with pytest.raises(DeviceError, match=r"layer 10 of .* is 'x', but net has"):
        costs(by_hand(layers=[*layers[:-1], layers[-1] | {"name": "x"}], edges=[]))


def test_times_that_no_sum_can_hold_are_refused() -> None:
    with pytest.raises(DeviceError, match="the times of profile add up to"):
        problem(scale=1e6, layers=[{"name": "a", "time_ns": 10**13, "param_bytes": 0}], edges=[])
