"""Proof by running: the segments, one after the other, give what the whole model gives, byte for byte.

Final outputs alone are a weak oracle (a softmax of random weights has a handful of distinct values), so every tensor
that crosses a cut is compared too, with the whole model's own value of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.errors import MismatchError, ModelError
from segsolve.graph.flatbuffer import pack
from segsolve.graph.read import LoadedModel, check_model
from segsolve_runtime.backends.litert import open_stage
from segsolve_runtime.contract.arrays import array_specs
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder, Stage
from segsolve_runtime.contract.runner import StageRunner

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared and found equal."""

    inputs: int
    seed: int
    output_tensors: int
    crossing_tensors: int
    compared_bytes: int


def verify(folder: PlanFolder, loaded: LoadedModel, *, inputs: int = 2, seed: int = 0) -> Verification:
    """Compare a plan's segments with the model that they were cut from, on seeded random inputs.

    Raises:
        MismatchError: a segment fails, or a tensor differs.
        ModelError: the model is not the plan's, or LiteRT cannot run it, so that there is nothing to compare with.
        PlanError: a segment cannot be loaded.
    """
    check_model(loaded.graph, loaded.path, folder.plan.model)
    crossing = _crossing(folder, loaded)
    wholes = [_Whole(loaded, {}), *([_Whole(loaded, crossing)] if crossing else [])]
    runners = _runners(folder)
    compared = 0
    for number, frame in enumerate(random_frames(folder.plan, inputs, seed)):
        results = [whole.run(frame) for whole in wholes]
        for pipeline in runners:
            compared += _compare_pipeline(pipeline, frame, results, f"random input {number} of seed {seed}")
    return Verification(
        inputs=inputs,
        seed=seed,
        output_tensors=len(folder.plan.outputs),
        crossing_tensors=len(crossing),
        compared_bytes=compared,
    )


def _runners(folder: PlanFolder) -> list[list[tuple[Stage, StageRunner]]]:
    """Open each segment file once; return the stages of each pipeline that differs from the others in its files."""
    specs = array_specs(folder.plan)
    opened = {stage.file: open_stage(folder, stage, specs, 1) for stage in folder.plan.all_stages}
    distinct = {tuple(stage.file for stage in p.stages): p.stages for p in folder.plan.pipelines}
    return [[(stage, opened[stage.file]) for stage in stages] for stages in distinct.values()]


class _Whole:
    """The whole model in one interpreter, with further tensors promoted to outputs."""

    def __init__(self, loaded: LoadedModel, promoted: dict[str, int]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        graph = loaded.graph
        self._path = loaded.path
        # Tensors by their indices in the file, which LiteRT keeps: its own names may repeat, the graph's do not.
        self._inputs = {graph.tensors[t].name: t for t in graph.inputs}
        self._outputs = {graph.tensors[t].name: t for t in graph.outputs} | promoted
        content = _with_outputs(loaded, list(self._outputs.values())) if promoted else loaded.content
        with self._explained():
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()

    def run(self, frame: Mapping[str, Array]) -> dict[str, Array]:
        with self._explained():
            for name, index in self._inputs.items():
                self._interpreter.set_tensor(index, frame[name])
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what LiteRT says against the whole model, an unknown custom operator say, into a ModelError."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"LiteRT cannot run {self._path} on the CPU, so its segments cannot be verified: {error}",
                "make the plan without verification",
            ) from error


def _with_outputs(loaded: LoadedModel, outputs: list[int]) -> bytes:
    model, subgraph = copy(loaded.model), copy(loaded.model.subgraphs[0])
    subgraph.outputs = np.array(outputs, dtype=np.int32)
    model.subgraphs = [subgraph]
    return pack(model)


def _crossing(folder: PlanFolder, loaded: LoadedModel) -> dict[str, int]:
    """Return the tensors that a stage hands to another, by name, without the model's outputs."""
    made = {name for stage in folder.plan.all_stages for name in stage.outputs} - set(folder.plan.outputs)
    return {t.name: t.index for t in loaded.graph.tensors if t.name in made}


def _compare_pipeline(
    stages: Sequence[tuple[Stage, StageRunner]],
    frame: Mapping[str, Array],
    wholes: Iterable[Mapping[str, Array]],
    where: str,
) -> int:
    """Run a pipeline's stages on a frame, one after the other, and return the number of bytes found equal."""
    tensors = dict(frame)
    for k, (_, runner) in enumerate(stages):
        try:
            tensors |= runner.run(tensors)
        except (RuntimeError, ValueError) as error:
            raise MismatchError(
                f"segment {k} fails on {where}, the whole model does not: {error}", "please report this with the model"
            ) from error
    made = set(frame).union(*(stage.outputs for stage, _ in stages))
    return sum(_compare({n: a for n, a in whole.items() if n in made}, tensors, where) for whole in wholes)


def _compare(expected: Mapping[str, Array], actual: Mapping[str, Array], where: str) -> int:
    """Return the number of bytes that were found equal."""
    for name, whole in expected.items():
        segment = actual[name]
        if whole.dtype != segment.dtype or whole.shape != segment.shape or whole.tobytes() != segment.tobytes():
            raise MismatchError(
                f"the segments differ from the whole model in tensor {name!r} on {where}",
                "please report this with the model",
            )
    return sum(array.nbytes for array in expected.values())
