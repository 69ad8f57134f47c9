"""Segments on the CPU with LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segsolve_runtime.backends import BackendOptions, OpenStages
from segsolve_runtime.backends.isolated.child import Recipe
from segsolve_runtime.backends.isolated.runner import IsolatedRunner
from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.contract.plan import PlanFolder, Stage
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import PlanError
from segsolve_runtime.hush import without_notes
from segsolve_runtime.native import NativeCrash
from segsolve_runtime.trial import RefusedError, try_files

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


class LiteRTRunner:
    """One interpreter, with its tensors known by name."""

    def __init__(
        self,
        path: Path,
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        threads: int,
        interpreter: Interpreter | None = None,
    ) -> None:
        """Load the segment at `path`, unless an `interpreter` for it is given, whose tensors are allocated."""
        self._interpreter = interpreter or interpret(path, threads)
        self._inputs = _indices(path, "takes", self._interpreter.get_input_details(), inputs)
        self._outputs = _indices(path, "makes", self._interpreter.get_output_details(), outputs)

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return copies of the segment's outputs by name (RuntimeError or ValueError from LiteRT)."""
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, tensors[name])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}

    def reset(self) -> None:
        """Give all variables the value that they have when the segment is loaded."""
        self._interpreter.reset_all_variables()

    def close(self) -> None:
        """Free the interpreter's memory."""
        del self._interpreter


def open_stages(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    """Load a segment for every place of a plan, with as many threads for each; before, try them in a child process.

    With ``isolate="all"`` each place has a process of its own, also for a frame on which LiteRT dies later.

    Raises:
        PlanError: a segment cannot be loaded, LiteRT dies of it, or its inputs or outputs are not those of the plan.
    """
    specs = array_specs(folder.plan)
    _try(folder)
    with ExitStack() as opened:
        runners: list[StageRunner] = []
        for place in places(folder.plan):
            runners.append(on_cpu(folder, stage_at(folder.plan, place), specs, options))
            opened.callback(runners[-1].close)
        for runner in runners:  # their processes got ready meanwhile
            if isinstance(runner, IsolatedRunner):
                runner.open()
        opened.pop_all()
    return OpenStages(runners=tuple(runners), clocks="wall")


def on_cpu(
    folder: PlanFolder, stage: Stage, specs: Mapping[str, ArraySpec], options: BackendOptions
) -> LiteRTRunner | IsolatedRunner:
    """Return a stage on the CPU, loaded; or, if asked for, in a process of its own, to be opened (PlanError)."""
    if not options.isolates("cpu"):
        return open_stage(folder, stage, specs, options.threads)
    recipe = Recipe(function=f"{__name__}:open_stage", arguments=(folder, stage, dict(specs), options.threads))
    inputs, outputs = select(specs, stage.inputs), select(specs, stage.outputs)
    return IsolatedRunner(recipe, inputs, outputs, what=f"LiteRT with {stage.file}", restarts=True)


def _try(folder: PlanFolder) -> None:
    stages = {stage.file: stage for stage in folder.plan.all_stages}
    files = [(f"the plan's segment {file}", folder.root / file) for file in stages]
    frame = next(random_frames(folder.plan, 1, 0))
    try:
        try_files(files, frame, [stage.sha256 for stage in stages.values()])
    except RefusedError as error:
        if not folder.plan.model.plain_kernels:  # with plain kernels, which were not tried, it may load
            raise PlanError(f"LiteRT cannot load {error.name}: {error.why}") from None
    except NativeCrash as crash:
        raise PlanError(f"LiteRT {crash}; segsolve verify tells in which operation") from None


def open_stage(folder: PlanFolder, stage: Stage, specs: Mapping[str, ArraySpec], threads: int) -> LiteRTRunner:
    """Load the segment of one stage.

    Raises:
        PlanError: it cannot be loaded, or its inputs or outputs are not those of the plan.
    """
    path = folder.root / stage.file
    interpreter = interpret(path, threads, plain=folder.plan.model.plain_kernels)
    return LiteRTRunner(path, select(specs, stage.inputs), select(specs, stage.outputs), threads, interpreter)


def interpret(path: Path, threads: int, *, content: bytes | None = None, plain: bool = False) -> Interpreter:
    """Return an interpreter of a segment, or of the `content` that stands for it; `plain` without default delegates.

    Raises:
        PlanError: it cannot be loaded.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    source = {"model_path": str(path)} if content is None else {"model_content": content}
    try:
        with without_notes():
            interpreter = Interpreter(**source, num_threads=threads, experimental_op_resolver_type=resolver)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise PlanError(f"LiteRT cannot load the plan's segment {path}: {error}") from error
    return interpreter


def _indices(
    path: Path, verb: str, details: Sequence[Mapping[str, Any]], expected: Sequence[ArraySpec]
) -> dict[str, int]:
    found = {detail["name"]: detail for detail in details}
    names = [spec.name for spec in expected]
    if sorted(found) != sorted(names):
        raise PlanError(f"the plan's segment {path} {verb} {sorted(found)}, but the plan says {sorted(names)}")
    for spec in expected:
        actual = _array_spec(found[spec.name])
        if actual != spec:
            raise PlanError(f"the plan's segment {path} {verb} {spec.name!r} as {actual}, not {spec}")
    return {name: int(found[name]["index"]) for name in names}


def _array_spec(detail: Mapping[str, Any]) -> ArraySpec:
    shape = tuple(int(size) for size in detail["shape"])
    return ArraySpec(name=detail["name"], dtype=np.dtype(detail["dtype"]), shape=shape)
