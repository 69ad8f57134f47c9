"""Push and pop, for programs written for the vendor's `PipelinedModelRunner` (pycoral, libcoral).

The names and what they do are theirs: https://coral.ai/docs/reference/py/pycoral.pipeline/. What restricts theirs is
gone: any plan runs, also where a tensor passes a stage by, and an inference that fails raises and ends nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from queue import SimpleQueue

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.result import Result
from segsolve_runtime.pipeline import Pipeline


class PipelinedModelRunner:
    """Takes frames by `push`, and gives their results in the same order by `pop`, which another thread may call."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Take a pipeline that nothing else uses meanwhile; it is not closed."""
        self._pipeline = pipeline
        self._under_way: SimpleQueue[Future[Result] | None] = SimpleQueue()
        self._is_ended = False

    def push(self, input_tensors: Mapping[str, Array]) -> bool:
        """Take a frame as soon as there is room, and return True; an empty one says that no more will come.

        Raises:
            RuntimeError: an empty frame was pushed before.
            InputError: the frame does not fit the model's inputs.
        """
        if self._is_ended:
            raise RuntimeError("an empty frame was pushed before; nothing can follow it")
        self._is_ended = not input_tensors
        self._under_way.put(self._pipeline.submit(input_tensors) if input_tensors else None)
        return True

    def pop(self) -> Mapping[str, Array] | None:
        """Wait for the next result and return it; None, from then on, when all are done and no more will come.

        Raises:
            StageError: the frame's inference failed; the next call is about the next frame.
        """
        future = self._under_way.get()
        if future is None:
            self._under_way.put(None)
            return None
        return future.result()
