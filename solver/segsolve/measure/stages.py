"""The times of whole segments, measured as a stage of a pipeline runs them: repeated, with all copies that it makes."""

from __future__ import annotations

from segsolve.graph.read import LoadedModel
from segsolve.measure.inputs import segment_of
from segsolve.measure.operations import Effort
from segsolve.measure.samples import Summary, summarise
from segsolve.measure.session import Session, Tensors


class StageMeter:
    """Measures ranges of operations of one model, and remembers what it measured."""

    def __init__(self, loaded: LoadedModel, tensors: Tensors, effort: Effort) -> None:
        """Take the tensors that can cross a cut."""
        self._loaded, self.tensors, self._effort = loaded, tensors, effort
        self.measured: dict[tuple[int, int], Summary] = {}

    def __call__(self, first: int, end: int) -> int:
        """Cut out the operations `first` to `end` (exclusive), run them, and return the time of an inference in ns.

        Raises:
            ModelError: LiteRT cannot run them.
        """
        session = Session(self._loaded, segment_of(self._loaded.graph, first, end))
        for _ in range(self._effort.warm_up):
            session.timed(dict(self.tensors))
        times: list[int] = []
        while not self._effort.is_enough(times):
            times.append(session.timed(dict(self.tensors)))
        self.measured[first, end] = summarise(times)
        return self.measured[first, end].time_ns
