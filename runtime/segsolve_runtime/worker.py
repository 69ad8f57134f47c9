"""One stage at work: what comes in is run and handed on, until the channels are closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from segsolve_runtime.arrays import Array
from segsolve_runtime.backends import StageRunner
from segsolve_runtime.channel import Channel
from segsolve_runtime.clock import Clock
from segsolve_runtime.errors import ClosedError, StageError
from segsolve_runtime.metrics import StageRecord
from segsolve_runtime.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The tensors of one inference that are still needed, by name."""

    inference: int
    tensors: dict[str, Array]


Parcel: TypeAlias = Message | Exception
"""An exception takes the place of the inference that it spoiled, so that it reaches the caller in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One stage between its two channels."""

    stage: int
    route: Route
    runner: StageRunner
    clock: Clock
    record: StageRecord
    inbox: Channel[Parcel]
    outbox: Channel[Parcel]

    def loop(self) -> None:
        """Work until a channel is closed; whatever the runner raises is handed on."""
        try:
            while True:
                self._step()
        except ClosedError:
            return

    def _step(self) -> None:
        parcel, arrived_ns = self.inbox.get()
        start_ns = self.clock.at_least(arrived_ns)
        self.inbox.free(start_ns)
        if isinstance(parcel, Exception):
            self.clock.at_least(self.outbox.put(parcel, start_ns))
            return
        result = self._infer(parcel)
        end_ns = self.clock.finish()
        put_ns = self.outbox.put(result, end_ns)
        self.clock.at_least(put_ns)
        self.record.add(parcel.inference, start_ns, end_ns, put_ns)

    def _infer(self, message: Message) -> Parcel:
        try:
            made = self.runner.run({name: message.tensors[name] for name in self.route.takes})
            live = {**message.tensors, **made}
            kept = {name: live[name] for name in self.route.keeps}
        except BaseException as cause:  # a thread that died silently would leave the caller waiting
            return StageError(self.stage, message.inference, cause)
        return Message(inference=message.inference, tensors=kept)
