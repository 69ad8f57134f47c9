"""One segment in LiteRT, timed: CPU time of the calling thread, which with one LiteRT thread does all the work.

CPU time hardly minds what else runs on the machine, which wall time does.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from time import thread_time_ns
from typing import Any

from numpy.typing import NDArray

from segsolve.errors import ModelError
from segsolve.graph.load import died
from segsolve.graph.read import LoadedModel
from segsolve.segments.writer import Segment, segment_bytes, segment_of
from segsolve_runtime.hush import without_notes
from segsolve_runtime.native import NativeCrash
from segsolve_runtime.trial import RefusedError, try_files

Tensors = MutableMapping[int, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One inference in ns: tensors put in and taken out, by their index in the model, and the invocation between."""

    inputs_ns: Mapping[int, int]
    invoke_ns: int
    outputs_ns: Mapping[int, int]


def try_whole(loaded: LoadedModel, frame: Mapping[int, NDArray[Any]]) -> None:
    """Run a model once in a child process.

    Raises:
        ModelError: LiteRT ends its process, or does not load it.
    """
    graph = loaded.graph
    whole = segment_bytes(loaded, segment_of(graph, range(len(graph.ops))))
    try:
        try_files([("the whole model", whole)], {graph.tensors[t].name: array for t, array in frame.items()})
    except RefusedError as error:
        if graph.delegated and not graph.blocked:  # else parts of it may load, or all without the delegate
            raise ModelError(f"LiteRT cannot load {loaded.path}: {error.why}", "convert the model again") from None
    except NativeCrash as crash:
        raise died(loaded.path, loaded.content, crash) from None


class Session:
    """An interpreter that holds one segment."""

    def __init__(self, loaded: LoadedModel, segment: Segment) -> None:
        """Load a segment of a model.

        Raises:
            ModelError: LiteRT cannot run it.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._what = f"operations {segment.ops[0]}-{segment.ops[-1]} of {loaded.path}"
        try:
            with without_notes():
                self._interpreter = Interpreter(model_content=segment_bytes(loaded, segment), num_threads=1)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise self._fault(error) from error
        self._inputs = _indices(segment.inputs, self._interpreter.get_input_details())
        self._outputs = _indices(segment.outputs, self._interpreter.get_output_details())

    def timed_parts(self, tensors: Tensors) -> Timing:
        """Run an inference on `tensors`, put its outputs there, and return the time of each part."""
        inputs_ns, outputs_ns = {}, {}
        try:
            start = thread_time_ns()
            for tensor, index in self._inputs:
                self._interpreter.set_tensor(index, tensors[tensor])
                inputs_ns[tensor] = -start + (start := thread_time_ns())
            self._interpreter.invoke()
            invoke_ns = -start + (start := thread_time_ns())
            for tensor, index in self._outputs:
                tensors[tensor] = self._interpreter.get_tensor(index)
                outputs_ns[tensor] = -start + (start := thread_time_ns())
        except (RuntimeError, ValueError) as error:
            raise self._fault(error) from error
        return Timing(inputs_ns=inputs_ns, invoke_ns=invoke_ns, outputs_ns=outputs_ns)

    def timed(self, tensors: Tensors) -> int:
        """Run an inference on `tensors` as a stage of a pipeline does, and return its time in ns."""
        try:
            start = thread_time_ns()
            for tensor, index in self._inputs:
                self._interpreter.set_tensor(index, tensors[tensor])
            self._interpreter.invoke()
            made = {tensor: self._interpreter.get_tensor(index) for tensor, index in self._outputs}
            elapsed = thread_time_ns() - start
        except (RuntimeError, ValueError) as error:
            raise self._fault(error) from error
        tensors.update(made)
        return elapsed

    def _fault(self, error: Exception) -> ModelError:
        return ModelError(
            f"LiteRT cannot run {self._what} on the CPU, so they cannot be measured: {error}",
            "measure where the model runs, and write the profile by hand",
        )


def _indices(tensors: tuple[int, ...], details: list[dict[str, Any]]) -> tuple[tuple[int, int], ...]:
    """Pair the tensors of the model with the interpreter's, which keeps the order of the segment."""
    return tuple((tensor, int(detail["index"])) for tensor, detail in zip(tensors, details, strict=True))
