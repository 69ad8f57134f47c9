"""One stream of frames through the stages: its channels, its threads and its records."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from segsolve_runtime.arrays import Array
from segsolve_runtime.backends import StageRunner
from segsolve_runtime.channel import Channel
from segsolve_runtime.clock import Clocks
from segsolve_runtime.metrics import FlowRecord, Metrics, StageRecord
from segsolve_runtime.routes import Route
from segsolve_runtime.worker import Message, Parcel, Worker

THREAD_NAME = "segsolve-stage-"


class Run:
    """The stages' threads while they serve one iterator; made for one use."""

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        outputs: Sequence[str],
        runners: Sequence[StageRunner],
        clocks: Clocks,
        queue_size: int,
        record: bool,
    ) -> None:
        # A frame is put only while no more than one per stage and place is under way; so the last channel
        # never fills up, and no stage waits for the caller.
        sizes = [queue_size] * len(routes) + [len(routes) * (queue_size + 1) + 1]
        self._channels: list[Channel[Parcel]] = [Channel(size) for size in sizes]
        self._source, self._flow = clocks.source, FlowRecord()
        self._records = [StageRecord(k, record=record) for k in range(len(routes))]
        self._workers = [
            Worker(
                stage=k,
                route=routes[k],
                runner=runners[k],
                clock=clocks.stages[k],
                record=self._records[k],
                inbox=self._channels[k],
                outbox=self._channels[k + 1],
            )
            for k in range(len(routes))
        ]
        self._threads: list[threading.Thread] = []
        self._outputs = tuple(outputs)
        self._number = 0

    def results(self, frames: Iterable[dict[str, Array] | Exception]) -> Iterator[dict[str, Array]]:
        """Yield the outputs by name for each frame, in order; start and end the run.

        Frames are taken one by one and only while the pipeline has room for them.

        Raises:
            ClosedError: the run was closed meanwhile.
            StageError: a stage raised; the results of all frames before were yielded.
            Exception: one among `frames`, when its turn has come.
        """
        try:
            self._start()
            for frame in frames:
                self._put(frame)
                if self._channels[-1].has_item():
                    yield self._get()
            while self._flow.in_flight:
                yield self._get()
        finally:
            self.close()

    def close(self) -> None:
        """Wake up every worker, wait for the end of its current inference, and join it."""
        for channel in self._channels:
            channel.close()
        for thread in self._threads:
            # The garbage collector may close an abandoned run from within a worker.
            if thread is not threading.current_thread():
                thread.join()

    def metrics(self) -> Metrics:
        """Return what was measured so far."""
        return self._flow.metrics(self._records)

    def _start(self) -> None:
        for worker in self._workers:
            # As a daemon, it cannot keep a program alive that never closed its pipeline.
            thread = threading.Thread(target=worker.loop, name=f"{THREAD_NAME}{worker.stage}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _put(self, frame: dict[str, Array] | Exception) -> None:
        parcel = frame if isinstance(frame, Exception) else Message(inference=self._number, tensors=frame)
        self._number += 1
        self._flow.accept(self._channels[0].put(parcel, self._source.at_least(0)))

    def _get(self) -> dict[str, Array]:
        parcel, ready_ns = self._channels[-1].get()
        self._channels[-1].free(ready_ns)
        if isinstance(parcel, Exception):
            raise parcel
        self._flow.receive(ready_ns)
        return {name: parcel.tensors[name] for name in self._outputs}
