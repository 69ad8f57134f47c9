"""The main job on real models: proven plans, segments that equal the model, a pipeline that gives its outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsolve.comparison import compare
from segsolve.device.model import load_device
from segsolve.graph.read import LoadedModel, read_model
from segsolve.plan.folder import write_plan
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.single import certified
from segsolve.segments.verify import verify
from segsolve.solvers.base import Status
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.pipeline import Pipeline
from tests.shared import real_models


@pytest.fixture(scope="module", params=real_models())
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return read_model(request.param)


@pytest.mark.parametrize("device", ["edgetpu-pcie", "edgetpu-usb"])
@pytest.mark.parametrize("tpus", [2, 3, 4, 8])
def test_the_main_job(loaded: LoadedModel, tpus: int, device: str, tmp_path: Path) -> None:
    costs = AnalyticCosts(graph=loaded.graph, device=load_device(device))
    problem = costs.problem(tpus=tpus)

    comparison = compare(problem)
    best = comparison.best
    assert best is not None
    assert best.answer.status is Status.OPTIMAL
    assert best.answer.planner == "cpsat"
    assert best.answer.proof is not None
    for strategy in comparison.strategies:
        assert strategy.answer.objective_ns is not None
        assert strategy.answer.objective_ns >= comparison.bound_ns == best.answer.objective_ns

    folder = write_plan(
        tmp_path / "plan", loaded=loaded, device=costs.device, problem=problem, answer=certified(problem, best.answer)
    )
    assert verify(folder, loaded, inputs=1).compared_bytes > 0

    with Pipeline.load(tmp_path / "plan") as pipeline:
        frames = list(random_frames(pipeline.plan, 4, seed=1))
        results = list(pipeline.map(frames))
    assert len(results) == 4
    for frame, result in zip(frames, results, strict=True):
        for expected, actual in zip(whole_model(loaded, frame), result.values(), strict=True):
            np.testing.assert_array_equal(expected, actual)


def whole_model(loaded: LoadedModel, frame: dict[str, Array]) -> list[Array]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=loaded.content)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), frame.values(), strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
