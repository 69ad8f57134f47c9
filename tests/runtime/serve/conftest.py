"""A server in a thread of its own, with plans whose stages add 1, and a faulty or slow stage where a test wants one."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest

from generators.runtime_plans import lanes_plan
from segsolve_runtime import FaultPolicy, Pipeline
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.flow.schedule import Lane
from segsolve_runtime.serve.detection import Detector
from segsolve_runtime.serve.log import Log
from segsolve_runtime.serve.models import Models, ServedModel
from segsolve_runtime.serve.server import Server, ServerOptions
from tests.runtime.runners import PATIENCE_S, ReturningRunner

CHAIN = Lane(stage_ns=(1, 1, 1), replicas=(1, 1, 1))


@dataclass
class Running:
    """A server that answers at `http` and `grpc`, host and port."""

    server: Server
    models: Mapping[str, ServedModel]
    log: io.StringIO
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.server.ports['http']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.server.ports['grpc']}"

    def end(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.server.end)


def served(
    name: str,
    before: Callable[[int], object] = lambda number: None,
    *,
    faults: FaultPolicy | None = None,
    most_waiting: int = 256,
    timeout_s: float | None = None,
    lanes: tuple[Lane, ...] = (CHAIN,),
    reopen: Callable[[], object] = lambda: None,
) -> ServedModel:
    """Return a model that adds 3 to two numbers."""
    plan = lanes_plan(lanes)
    runners = [
        ReturningRunner(stage_at(plan, place).outputs[0], before if place.stage == 1 else lambda number: None, reopen)
        for place in places(plan)
    ]
    pipeline = Pipeline(plan, runners, faults=faults or FaultPolicy(on_fault="retry"))
    return ServedModel(name, pipeline, most_waiting=most_waiting, timeout_s=timeout_s)


@contextmanager
def running(
    *models: ServedModel, options: ServerOptions | None = None, detector: Detector | None = None
) -> Iterator[Running]:
    """Serve models while the context lasts."""
    log = io.StringIO()
    options = options or ServerOptions(port=0, grpc_port=0, grace_s=5)
    started = threading.Event()
    found: list[Running] = []

    def run() -> None:
        async def main() -> None:
            known = Models({model.name: model for model in models})
            server = Server(known, options, Log(log, all_requests=True), detector)
            loop = asyncio.get_running_loop()
            found.append(Running(server, {m.name: m for m in models}, log, loop, threading.current_thread()))
            waiting = asyncio.ensure_future(server.is_up.wait())
            waiting.add_done_callback(lambda _: started.set())
            await server.run()

        try:
            asyncio.run(main())
        finally:
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(PATIENCE_S)
    with ExitStack() as stack:
        for model in models:
            stack.callback(model.pipeline.close)
        stack.callback(thread.join, PATIENCE_S)
        if thread.is_alive():
            stack.callback(found[0].end)
        yield found[0]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Two models, ``adds`` and ``other``."""
    with running(served("adds"), served("other")) as up:
        yield up
