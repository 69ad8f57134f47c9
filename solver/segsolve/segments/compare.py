"""Runs a model and its segments on the same frames, and compares what they make. Runs in a child process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsolve.errors import MismatchError, ModelError
from segsolve_runtime.backends.litert import LiteRTRunner, interpret
from segsolve_runtime.contract.arrays import Array, ArraySpec
from segsolve_runtime.native import note

_REPORT = "please report this with the model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A model's file, and the tensors to put in and to take out: their names, and their indices in the file."""

    content: bytes
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A segment's file, and what it takes and makes; `content` is what to run of it if that is not the whole file."""

    path: Path
    inputs: Sequence[ArraySpec]
    outputs: Sequence[ArraySpec]
    content: bytes | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What to run on which frames. `pipelines` name their parts in order.

    The sequence of frames is run `rounds` times, each from the state that a model has when it is loaded.
    """

    model: Path
    wholes: Sequence[Whole]
    parts: Mapping[str, Part]
    pipelines: Sequence[Sequence[str]]
    frames: Sequence[tuple[str, Mapping[str, Array]]]
    rounds: int


def compare(job: Comparison) -> int:
    """Return the number of bytes that were compared and found equal, of the first round.

    Raises:
        MismatchError: a segment fails, or a tensor differs.
        ModelError: LiteRT cannot run the whole model.
        PlanError: a segment cannot be loaded.
    """
    note("preparing the whole model")
    wholes = [_Interpreted(whole, job.model) for whole in job.wholes]
    runners = {}
    for name, part in job.parts.items():
        note(f"preparing the segment {part.path.name}")
        runners[name] = _runner(part)
    compared = 0
    for turn in range(job.rounds):
        if turn:
            _reset(wholes, runners.values())
        for where, frame in job.frames:
            note(f"in the whole model on {where}")
            results = [whole.run(frame, where) for whole in wholes]
            for pipeline in job.pipelines:
                equal = _compare_pipeline({name: runners[name] for name in pipeline}, job.parts, frame, results, where)
                compared += equal if turn == 0 else 0
    return compared


def _reset(wholes: Iterable[_Interpreted], runners: Iterable[LiteRTRunner]) -> None:
    try:
        for reset in (*(whole.reset for whole in wholes), *(runner.reset for runner in runners)):
            reset()
    except RuntimeError as error:
        raise ModelError(f"LiteRT cannot reset the variables of the model: {error}", "export it again") from error


class _Interpreted:
    """A whole model in one interpreter."""

    def __init__(self, whole: Whole, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._whole, self._path = whole, path
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if whole.plain else OpResolverType.AUTO
        try:
            self._interpreter = Interpreter(
                model_content=whole.content, num_threads=1, experimental_op_resolver_type=resolver
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise self._refused(error, "") from error

    def reset(self) -> None:
        self._interpreter.reset_all_variables()

    def run(self, frame: Mapping[str, Array], where: str) -> dict[str, Array]:
        try:
            for name, index in self._whole.inputs.items():
                self._interpreter.set_tensor(index, frame[name])
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(index) for name, index in self._whole.outputs.items()}
        except (RuntimeError, ValueError) as error:
            raise self._refused(error, f" on {where}") from error

    def _refused(self, error: Exception, where: str) -> ModelError:
        return ModelError(
            f"LiteRT does not run {self._path} on the CPU{where}, so its segments cannot be verified: {error}",
            "give inputs that it takes: `segsolve verify --input FILE`; or do without: `segsolve solve --no-verify`",
        )


def _runner(part: Part) -> LiteRTRunner:
    interpreter = interpret(part.path, 1, content=part.content, plain=part.plain)
    return LiteRTRunner(part.path, part.inputs, part.outputs, 1, interpreter)


def _compare_pipeline(
    runners: Mapping[str, LiteRTRunner],
    parts: Mapping[str, Part],
    frame: Mapping[str, Array],
    wholes: Iterable[Mapping[str, Array]],
    where: str,
) -> int:
    """Run a pipeline's stages on a frame, one after the other, and return the number of bytes found equal."""
    tensors = dict(frame)
    for name, runner in runners.items():
        note(f"in the segment {parts[name].path.name} on {where}")
        try:
            tensors |= runner.run(tensors)
        except (RuntimeError, ValueError) as error:
            raise MismatchError(
                f"the segment {parts[name].path.name} fails on {where}, the whole model does not: {error}", _REPORT
            ) from error
    made = set(frame) | {spec.name for name in runners for spec in parts[name].outputs}
    return sum(_equal({n: a for n, a in whole.items() if n in made}, tensors, where) for whole in wholes)


def _equal(expected: Mapping[str, Array], actual: Mapping[str, Any], where: str) -> int:
    """Return the number of bytes that were found equal."""
    for name, whole in expected.items():
        segment = actual[name]
        if whole.dtype != segment.dtype or whole.shape != segment.shape or whole.tobytes() != segment.tobytes():
            raise MismatchError(f"the segments differ from the whole model in tensor {name!r} on {where}", _REPORT)
    return sum(array.nbytes for array in expected.values())
