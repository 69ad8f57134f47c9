"""Proof by running: the segments, one after the other, give what the whole model gives, byte for byte.

Final outputs alone are a weak oracle (a softmax of random weights has a handful of distinct values), so every tensor
that crosses a cut is compared too, with the whole model's own value of it. All of it runs in a child process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsolve.errors import MismatchError, ModelError
from segsolve.graph.flatbuffer import pack, unpack, with_operators
from segsolve.graph.load import died
from segsolve.graph.model import Graph, Tensor
from segsolve.graph.read import LoadedModel, check_model, unique_names
from segsolve.graph.restrictions import MOVABLE_TYPES
from segsolve.graph.schema import tensor_type
from segsolve.segments.compare import Comparison, Part, Whole
from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder, Stage, load_plan
from segsolve_runtime.errors import PlanError
from segsolve_runtime.native import NativeCrash, call

_COMPARE = "segsolve.segments.compare:compare"
_SEQUENCE = 6  # inputs of a model with state, where nobody says how many
Frames = Sequence[tuple[str, Mapping[str, Array]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared and found equal; `seed` is that of random inputs.

    A model that keeps state is given the inputs as a sequence, twice from the beginning. `left_out` are operations that
    LiteRT cannot run, and those that hang on them; they were not compared.
    """

    inputs: int
    seed: int | None
    output_tensors: int
    crossing_tensors: int
    compared_bytes: int
    left_out: int = 0


def verify(
    folder: PlanFolder, loaded: LoadedModel, *, inputs: int | None = None, seed: int = 0, frames: Frames | None = None
) -> Verification:
    """Compare a plan's segments with the model that they were cut from, on `frames` or seeded random inputs.

    Of random inputs there are two by themselves, and more if the model keeps state.

    Raises:
        MismatchError: a segment fails, or a tensor differs.
        ModelError: the model is not the plan's, or LiteRT does not run it, so that there is nothing to compare with.
        PlanError: a segment cannot be loaded, or the folder holds another plan by now.
    """
    graph = loaded.graph
    check_model(graph, loaded.path, folder.plan.model)
    if frames is None:
        count = inputs or (_SEQUENCE if graph.state else 2)
        noise = random_frames(folder.plan, count, seed)
        frames = [(f"random input {i} of seed {seed}", frame) for i, frame in enumerate(noise)]
        used: int | None = seed
    else:
        used = None
    runs = _Runnable.of(graph)
    if not runs.ops:
        raise ModelError(
            f"LiteRT knows nothing of {loaded.path} to run: {next(iter(graph.blocked.values()))}",
            "solve with --no-verify",
        )
    crossing = _crossing(folder, loaded, runs)
    job = Comparison(
        model=loaded.path,
        wholes=_wholes(loaded, runs, crossing),
        parts=_parts(folder, graph, runs),
        pipelines=list(dict.fromkeys(tuple(stage.file for stage in p.stages) for p in folder.plan.pipelines)),
        frames=frames,
        rounds=2 if graph.state else 1,
    )
    job = _without_empty(job)
    try:
        compared = call(_COMPARE, job)
    except NativeCrash as crash:
        raise _crashed(crash, loaded) from None
    except (MismatchError, PlanError):
        if _is_replaced(folder):
            raise PlanError(
                f"another command wrote {folder.root} anew while this one compared its segments; they were not compared"
            ) from None
        raise
    return Verification(
        inputs=len(frames),
        seed=used,
        output_tensors=sum(t in runs.tensors for t in graph.outputs),
        crossing_tensors=len(crossing),
        compared_bytes=compared,
        left_out=len(graph.ops) - len(runs.ops),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runnable:
    """The operations that LiteRT can run, by position, and the tensors that are known then."""

    ops: frozenset[int]
    tensors: frozenset[int]

    @staticmethod
    def of(graph: Graph) -> _Runnable:
        lost: set[int] = set()
        ops = set()
        for op in graph.ops:
            if op.position in graph.blocked or lost & set(op.inputs):
                lost |= set(op.outputs)
            else:
                ops.add(op.position)
        return _Runnable(ops=frozenset(ops), tensors=frozenset(range(len(graph.tensors))) - lost)


def _is_replaced(folder: PlanFolder) -> bool:
    """Whether the folder holds another plan by now."""
    try:
        return load_plan(folder.root).plan != folder.plan
    except PlanError:
        return False


def _crossing(folder: PlanFolder, loaded: LoadedModel, runs: _Runnable) -> dict[str, int]:
    """Return the tensors that a stage hands to another, by name, without the model's outputs.

    Those that an operation reads which LiteRT cannot run are among them: nothing else shows that they are right.
    """
    graph = loaded.graph
    made = {name for stage in folder.plan.all_stages for name in stage.outputs}
    made |= {graph.tensors[t].name for op in graph.ops if op.position not in runs.ops for t in op.inputs}
    made -= {*folder.plan.outputs, *folder.plan.inputs}
    known = (t for t in graph.tensors if t.index in runs.tensors and t.dtype in MOVABLE_TYPES)
    return {t.name: t.index for t in known if t.name in made}


def _wholes(loaded: LoadedModel, runs: _Runnable, crossing: dict[str, int]) -> list[Whole]:
    """Return the whole model, and, where tensors cross, the model with these as outputs too.

    Tensors by their indices in the file, which LiteRT keeps: its own names may repeat, the graph's do not.
    """
    graph = loaded.graph
    inputs = {graph.tensors[t].name: t for t in graph.inputs}
    outputs = {graph.tensors[t].name: t for t in graph.outputs if t in runs.tensors}
    found = []
    if len(runs.ops) == len(graph.ops):
        found.append(Whole(content=loaded.content, inputs=inputs, outputs=outputs, plain=not graph.delegated))
    if crossing or not found:
        promoted = outputs | crossing
        kept = _operators(graph, runs)
        operators = [o for i, o in enumerate(loaded.model.subgraphs[0].operators) if i in kept]
        content = pack(with_operators(loaded.model, operators, list(promoted.values())))
        found.append(Whole(content=content, inputs=inputs, outputs=promoted, plain=not graph.delegated))
    return found


def _operators(graph: Graph, runs: _Runnable) -> set[int]:
    """Return the file's operators behind the operations that LiteRT can run."""
    return {i for p in runs.ops for i in (graph.ops[p].file_index, *graph.ops[p].constant_operators)}


def _parts(folder: PlanFolder, graph: Graph, runs: _Runnable) -> dict[str, Part]:
    specs = array_specs(folder.plan)
    return {stage.file: _part(folder.root / stage.file, stage, graph, runs, specs) for stage in folder.plan.all_stages}


def _part(path: Path, stage: Stage, graph: Graph, runs: _Runnable, specs: Mapping[str, ArraySpec]) -> Part:
    inputs, outputs = select(specs, stage.inputs), select(specs, stage.outputs)
    if runs.ops.issuperset(stage.ops):
        return Part(path=path, inputs=inputs, outputs=outputs, plain=not graph.delegated)
    content, takes, makes = _cut_down(path, {graph.tensors[t].name for t in runs.tensors})
    known = {t.name: t for t in graph.tensors}
    return Part(
        path=path,
        inputs=[_spec(known[name]) for name in takes],
        outputs=[_spec(known[name]) for name in makes],
        content=content,
        plain=not graph.delegated,
    )


def _cut_down(path: Path, known: set[str]) -> tuple[bytes, list[str], list[str]]:
    """Return what LiteRT can run of a segment's file: what makes tensors of `known` names; and its ends by name."""
    model = unpack(path.read_bytes(), path)
    subgraph = model.subgraphs[0]
    names = unique_names([tensor.name for tensor in subgraph.tensors])
    kept = [o for o in subgraph.operators if all(names[t] in known for t in o.outputs)]
    made = [int(t) for o in kept for t in o.outputs if tensor_type(subgraph.tensors[t]) in MOVABLE_TYPES]
    read = {int(t) for o in kept for t in o.inputs}
    inputs = [int(t) for t in subgraph.inputs if int(t) in read]
    content = pack(with_operators(model, kept, made, inputs)) if kept else b""
    return content, [names[t] for t in inputs], [names[t] for t in made]


def _without_empty(job: Comparison) -> Comparison:
    """Leave out the segments of which nothing can be run."""
    parts = {name: part for name, part in job.parts.items() if part.content != b""}
    pipelines = [[name for name in pipeline if name in parts] for pipeline in job.pipelines]
    return Comparison(
        model=job.model,
        wholes=job.wholes,
        parts=parts,
        pipelines=[pipeline for pipeline in pipelines if pipeline],
        frames=job.frames,
        rounds=job.rounds,
    )


def _spec(tensor: Tensor) -> ArraySpec:
    return ArraySpec(name=tensor.name, dtype=np.dtype(tensor.dtype.lower()), shape=tensor.shape)


def _crashed(crash: NativeCrash, loaded: LoadedModel) -> Exception:
    if "segment" in crash.where:
        return MismatchError(
            f"LiteRT {crash.how} {crash.where}, and not in the whole model", "please report this with the model"
        )
    return died(loaded.path, loaded.content, crash)
