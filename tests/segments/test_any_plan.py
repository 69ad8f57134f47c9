"""Plans of any shape give the whole model's outputs: DAG stages, replicas, several pipelines, stages on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segsolve.graph.model import Graph
from segsolve.graph.read import LoadedModel
from segsolve.plan.model import Pipeline as PlannedPipeline
from segsolve.plan.model import Plan, Processor, Stage
from segsolve_runtime.pipeline import Pipeline
from tests.models import Net

from .networks import NETWORKS
from .plans import frame_of, run_whole, write


def any_pipeline(graph: Graph, rng: np.random.Generator) -> PlannedPipeline:
    """Draw a stage for each operation, not before those of the operations that it reads from."""
    most = int(rng.integers(1, 6))
    stage_of: list[int] = []
    for op in graph.ops:
        earliest = max((stage_of[made] for t in op.inputs if (made := graph.producer.get(t, -1)) >= 0), default=0)
        stage_of.append(int(rng.integers(earliest, most)))
    groups = [tuple(op for op, k in enumerate(stage_of) if k == stage) for stage in range(most)]
    return PlannedPipeline(
        stages=tuple(
            Stage(ops=ops, replicas=int(rng.integers(1, 4)), processor=Processor(rng.choice(["edgetpu", "cpu"])))
            for ops in groups
            if ops
        )
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_any_plan_gives_the_whole_models_outputs(build: Callable[[], Net], seed: int, tmp_path: Path) -> None:
    loaded: LoadedModel = build().load(tmp_path)
    rng = np.random.default_rng(seed)
    plan = Plan(pipelines=tuple(any_pipeline(loaded.graph, rng) for _ in range(int(rng.integers(1, 4)))))
    folder = write(loaded, tmp_path / "plan", plan)
    frames = [frame_of(loaded, n) for n in range(12)]
    expected = [run_whole(loaded, dict.fromkeys(loaded.graph.outputs), frame) for frame in frames]
    with Pipeline.load(folder) as pipeline:
        results = list(pipeline.map(frames))
        futures = [pipeline.submit(frame) for frame in frames]
        results += [future.result(30) for future in futures]
    assert [result.number for result in results] == [*range(12), *range(12)]
    for result, outputs in zip(results, [*expected, *expected], strict=True):
        assert result.keys() == outputs.keys()
        for name, array in outputs.items():
            np.testing.assert_array_equal(result[name], array, strict=True)
