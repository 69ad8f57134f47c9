"""Segments one after the other are the whole model, byte for byte, wherever it is cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest

from segsolve.graph.read import LoadedModel, read_model
from segsolve.plan.model import Plan, pipeline_of
from segsolve.segments.verify import verify
from tests.models import Array, Net
from tests.shared import real_models

from .networks import NETWORKS, branches, residual
from .plans import cut, cut_and_run, frame_of, made_tensors, run_whole, write


@pytest.fixture(params=NETWORKS, ids=lambda build: build.__name__)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    build: Callable[[], Net] = request.param
    return build().load(tmp_path)


def assert_same(actual: dict[str, Array], expected: dict[str, Array], outputs: set[str]) -> None:
    assert outputs <= actual.keys()
    for name, values in expected.items():
        if name in actual:
            np.testing.assert_array_equal(actual[name], values, err_msg=name)


@pytest.mark.parametrize("delegate", [True, False], ids=["default", "no delegate"])
def test_up_to_three_cuts_anywhere(loaded: LoadedModel, delegate: bool) -> None:
    frame = frame_of(loaded)
    expected = run_whole(loaded, made_tensors(loaded), frame, delegate=delegate)
    assert min(len(np.unique(values)) for values in expected.values()) >= 6  # a dead network would prove nothing
    outputs = {loaded.graph.tensors[t].name for t in loaded.graph.outputs}
    most = 3 if delegate else 1
    for cuts in chain.from_iterable(combinations(loaded.graph.cuts, n) for n in range(most + 1)):
        assert_same(cut_and_run(loaded, cuts, frame, delegate=delegate), expected, outputs)


def test_one_operation_per_segment(loaded: LoadedModel) -> None:
    frame = frame_of(loaded, seed=1)
    actual = cut_and_run(loaded, loaded.graph.cuts, frame)
    expected = run_whole(loaded, made_tensors(loaded), frame)
    crossing = {loaded.graph.tensors[t].name for p in loaded.graph.cuts for t in loaded.graph.crossing(p)}
    assert_same(actual, expected, crossing - frame.keys())


def test_the_product_finds_them_equal_too(loaded: LoadedModel, tmp_path: Path) -> None:
    for cuts in [(), *((p,) for p in loaded.graph.cuts), loaded.graph.cuts]:
        folder = cut(loaded, tmp_path / "plan", cuts)
        done = verify(folder, loaded, inputs=1)
        crossing = {t for p in cuts for t in loaded.graph.crossing(p)} - {*loaded.graph.inputs, *loaded.graph.outputs}
        assert done.crossing_tensors == len(crossing)
        assert done.output_tensors == len(set(loaded.graph.outputs))
        assert done.compared_bytes > 0


def test_stages_of_several_ranges_side_by_side(tmp_path: Path) -> None:
    loaded = branches().load(tmp_path)
    n = len(loaded.graph.ops)
    dag = pipeline_of([[0, 2, 4], [1, 3], [*range(5, n)]])
    folder = write(loaded, tmp_path / "plan", Plan(pipelines=(dag, pipeline_of([range(n)]), dag)))
    assert [s.op_ranges for s in folder.plan.pipelines[0].stages] == [
        [[0, 0], [2, 2], [4, 4]],
        [[1, 1], [3, 3]],
        [[5, n - 1]],
    ]
    assert len(set(folder.segment_paths())) == 4
    assert folder.plan.solution.layout == "2x3+1"
    assert verify(folder, loaded).crossing_tensors == 3  # of five that cross, two are outputs


@pytest.mark.parametrize("path", real_models())
def test_random_cuts_of_real_models(path: Path, tmp_path: Path) -> None:
    loaded = read_model(path)
    rng = np.random.default_rng(len(loaded.graph.ops))
    segments = int(rng.integers(2, 9))
    cuts = sorted(int(c) for c in rng.choice(loaded.graph.cuts, segments - 1, replace=False))
    done = verify(cut(loaded, tmp_path / "plan", cuts), loaded, inputs=1)
    assert done.crossing_tensors >= segments - 1


def test_a_plan_of_a_network_that_may_not_be_cut_is_one_segment(tmp_path: Path) -> None:
    net = residual()
    state = net.tensor("state", (1, 4, 4, 8), isVariable=True)
    first, last = net.graph.operators[3], net.graph.operators[9]
    first.inputs[1] = last.inputs[1] = state
    loaded = net.load(tmp_path)
    assert loaded.graph.cuts == (1, 2, 3, 10)
    frame = frame_of(loaded)
    expected = run_whole(loaded, [loaded.graph.outputs[0]], frame)
    for cuts in ((), (3,), (3, 10)):
        assert_same(cut_and_run(loaded, cuts, frame), expected, set(expected))
