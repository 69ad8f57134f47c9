"""Proof by running: the segments, one after the other, give what the whole model gives, byte for byte.

Final outputs alone are a weak oracle (a softmax of random weights has a handful of distinct values), so every tensor
that crosses a cut is compared too, with the whole model's own value of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.errors import MismatchError
from segsolve.graph.flatbuffer import pack
from segsolve.graph.read import LoadedModel
from segsolve_runtime.backends import open_stages
from segsolve_runtime.frames import random_frames
from segsolve_runtime.plan import PlanFolder

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
        MismatchError: the model is not the plan's, or a tensor differs.
        PlanError: a segment cannot be loaded.
    """
    if loaded.graph.sha256 != folder.plan.model.sha256:
        raise MismatchError(
            f"{loaded.path} is not the model that the plan was made for ({folder.plan.model.name})",
            "give the same file that was solved",
        )
    crossing = _crossing(folder, loaded)
    whole, promoted = _Whole(loaded, {}), _Whole(loaded, crossing)
    runners = open_stages("litert", folder, 1).runners
    compared = 0
    for number, frame in enumerate(random_frames(folder.plan, inputs, seed)):
        tensors = dict(frame)
        for runner in runners:
            tensors |= runner.run(tensors)
        for expected in (whole.run(frame), promoted.run(frame)):
            compared += _compare(expected, tensors, number, seed)
    return Verification(
        inputs=inputs,
        seed=seed,
        output_tensors=len(folder.plan.outputs),
        crossing_tensors=len(crossing),
        compared_bytes=compared,
    )


class _Whole:
    """The whole model in one interpreter, with further tensors promoted to outputs."""

    def __init__(self, loaded: LoadedModel, promoted: Mapping[str, int]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        graph = loaded.graph
        self._inputs = [graph.tensors[t].name for t in graph.inputs]
        self._outputs = [*(graph.tensors[t].name for t in graph.outputs), *promoted]
        content = _with_outputs(loaded, [*graph.outputs, *promoted.values()]) if promoted else loaded.content
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()

    def run(self, frame: Mapping[str, Array]) -> dict[str, Array]:
        # Places, not names: a file's own names may repeat, the graph's do not.
        for detail, name in zip(self._interpreter.get_input_details(), self._inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], frame[name])
        self._interpreter.invoke()
        details = self._interpreter.get_output_details()
        return {
            name: self._interpreter.get_tensor(detail["index"])
            for name, detail in zip(self._outputs, details, strict=True)
        }


def _with_outputs(loaded: LoadedModel, outputs: list[int]) -> bytes:
    model, subgraph = copy(loaded.model), copy(loaded.model.subgraphs[0])
    subgraph.outputs = np.array(outputs, dtype=np.int32)
    model.subgraphs = [subgraph]
    return pack(model)


def _crossing(folder: PlanFolder, loaded: LoadedModel) -> dict[str, int]:
    """Return the tensors that a stage hands to another, by name, without the model's outputs."""
    made = {name for stage in folder.plan.stages for name in stage.outputs} - set(folder.plan.outputs)
    return {t.name: t.index for t in loaded.graph.tensors if t.name in made}


def _compare(expected: Mapping[str, Array], actual: Mapping[str, Array], number: int, seed: int) -> int:
    """Return the number of bytes that were found equal."""
    for name, whole in expected.items():
        segment = actual[name]
        if whole.dtype != segment.dtype or whole.shape != segment.shape or whole.tobytes() != segment.tobytes():
            raise MismatchError(
                f"the segments differ from the whole model in tensor {name!r} on random input {number} of seed {seed}",
                "please report this with the model",
            )
    return sum(array.nbytes for array in expected.values())
