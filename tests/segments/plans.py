"""Plans with given cuts, and the same cuts run by other code than the product's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from generators import plan_folders
from segsolve.device.model import load_device
from segsolve.graph.flatbuffer import pack
from segsolve.graph.read import LoadedModel
from segsolve.plan.model import Plan, cut_at
from segsolve.segments.writer import segment_bytes, segments_of
from segsolve_runtime.contract.plan import PlanFolder
from tests.models import Array, noise

DEVICE = load_device("edgetpu-usb")


def cut(loaded: LoadedModel, folder: Path, cuts: Sequence[int]) -> PlanFolder:
    """Write a plan folder with these cuts."""
    return write(loaded, folder, cut_at(tuple(cuts), len(loaded.graph.ops)))


def write(loaded: LoadedModel, folder: Path, plan: Plan) -> PlanFolder:
    """Write a plan folder of pipelines."""
    return plan_folders.write(loaded, folder, plan.pipelines, DEVICE)


def cut_and_run(
    loaded: LoadedModel, cuts: Sequence[int], frame: dict[str, Array], *, delegate: bool = True
) -> dict[str, Array]:
    """Return all tensors that enter or leave a segment, by name; segments run one after the other."""
    known = dict(frame)
    for segment in segments_of(loaded.graph, tuple(cuts)):
        interpreter = interpret(segment_bytes(loaded, segment), delegate=delegate)
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], known[detail["name"]])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            assert detail["name"] not in known, "a tensor is made once"
            known[detail["name"]] = interpreter.get_tensor(detail["index"])
    return known


def run_whole(
    loaded: LoadedModel, tensors: Iterable[int], frame: dict[str, Array], *, delegate: bool = True
) -> dict[str, Array]:
    """Return `tensors` by name, which the whole model makes on the way or is given."""
    model, subgraph = copy(loaded.model), copy(loaded.model.subgraphs[0])
    subgraph.outputs = np.array(list(tensors), np.int32)
    model.subgraphs = [subgraph]
    interpreter = interpret(pack(model), delegate=delegate)
    for tensor in loaded.graph.inputs:
        interpreter.set_tensor(tensor, frame[loaded.graph.tensors[tensor].name])
    interpreter.invoke()
    return {loaded.graph.tensors[t].name: interpreter.get_tensor(t) for t in tensors}


def made_tensors(loaded: LoadedModel) -> list[int]:
    return [t for op in loaded.graph.ops for t in op.outputs]


def frame_of(loaded: LoadedModel, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    tensors = [loaded.graph.tensors[t] for t in loaded.graph.inputs]
    return {t.name: noise(rng, t.shape, t.dtype.lower()) for t in tensors}


def interpret(content: bytes, *, delegate: bool = True) -> Interpreter:
    types = OpResolverType
    kind = types.AUTO if delegate else types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
