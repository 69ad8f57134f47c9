"""A thousand clients at once, through HTTP, of a plan whose stages raise, hang and lose their devices.

Every request must be answered with the outputs of its own frame, byte for byte those of the whole model, however often
it was told to come again; the server's memory must stay the same. The server is a process of its own, with two
pipelines of replicas, as the soak has them; the clients are coroutines of this one, each with its own connection.

    python -m benchmarks.serve [SECONDS [CLIENTS [AT_LEAST]]]
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from benchmarks.common import write_result, zoo_file
from benchmarks.faulty import FaultPlan, faulty
from benchmarks.memory import growth_mib, resident_mib
from generators.plan_folders import even_stages, write
from segsolve.graph.read import read_model
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.pipeline import Pipeline
from segsolve_runtime.serve.log import Log
from segsolve_runtime.serve.messages import LENGTH_HEADER
from segsolve_runtime.serve.models import Models, ServedModel
from segsolve_runtime.serve.server import ServerOptions, serve
from segsolve_runtime.serve.tensors import DATATYPES, to_bytes

MODEL = "synthetic-dense-8"
SECONDS, CLIENTS = 600.0, 1_000
MOST_WAITING = 700
RAISE_CHANCE = 1e-3
LOST_AFTER, HANGS_AT, TIMEOUT_S = 1_500, 3_000, 5.0
FRAMES = 16
SAMPLES = 100


def main(seconds: float = SECONDS, clients: int = CLIENTS, at_least: int = 0) -> None:
    write_result("serve", {"model": MODEL, "raise_chance": RAISE_CHANCE, "seed": 0, **load(seconds, clients, at_least)})


def load(
    seconds: float, clients: int, at_least: int = 0, *, most_waiting: int = MOST_WAITING, lost_after: int = LOST_AFTER
) -> dict[str, Any]:
    """Ask for so long, and until so many are answered; an AssertionError is what must not happen."""
    with zoo_file(MODEL) as path, TemporaryDirectory() as scratch:
        loaded, root = read_model(path), Path(scratch)
        plan = write(loaded, root / "plan", [even_stages(loaded, 3, [2, 1, 2]), even_stages(loaded, 2, [1, 2])])
        whole = write(loaded, root / "whole", [even_stages(loaded, 1)])
        frames = list(random_frames(plan.plan, FRAMES, seed=0))
        runner = open_stages("litert", whole).runners[0]
        expected = [b"".join(to_bytes(runner.run(frame)[name]) for name in plan.plan.outputs) for frame in frames]
        command = [sys.executable, "-m", "benchmarks.serve", "--server", str(root / "plan")]
        with subprocess.Popen(
            [*command, str(most_waiting), str(lost_after)], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                port = json.loads(server.stdout.readline())["http"]
                attack = _Attack(port, server.pid, frames, expected, seconds, at_least)
                done = asyncio.run(attack.run(clients))
            finally:
                server.send_signal(signal.SIGTERM)
                ended = json.loads((server.communicate(timeout=60)[0].splitlines() or ["{}"])[-1])
        assert server.returncode == 0
        return {**done, **ended}


class _Attack:
    """Clients that ask one after the other, and check each answer."""

    def __init__(
        self,
        port: int,
        pid: int,
        frames: Sequence[dict[str, Array]],
        expected: Sequence[bytes],
        seconds: float,
        at_least: int,
    ) -> None:
        self._url, self._pid = f"http://127.0.0.1:{port}/v2/models/model/infer", pid
        self._asked = [_body(frame) for frame in frames]
        self._expected, self._seconds, self._at_least = expected, seconds, at_least
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.memory: list[float] = []

    async def run(self, clients: int) -> dict[str, Any]:
        """Return what the clients saw."""
        begin = time.monotonic()
        self._deadline = begin + self._seconds
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(300)) as session:
            watching = asyncio.ensure_future(self._watch())
            await asyncio.gather(*(self._ask(session, random.Random(n)) for n in range(clients)))
            watching.cancel()
        seconds = time.monotonic() - begin
        answered = self.statuses[200]
        cuts = quantiles(self.latencies, n=100)
        return {
            "clients": clients,
            "seconds": round(seconds, 1),
            "answered": answered,
            "per_second": round(answered / seconds),
            "told_to_come_again": self.statuses[429],
            "latency_ms": {"p50": round(1e3 * cuts[49], 1), "p99": round(1e3 * cuts[98], 1)},
            "memory_mib": [round(m, 1) for m in self.memory[:: max(1, len(self.memory) // 10)]],
            "memory_growth_mib": round(growth_mib(self.memory), 2),
        }

    async def _ask(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        while time.monotonic() < self._deadline or self.statuses[200] < self._at_least:
            k = rng.randrange(FRAMES)
            body, length = self._asked[k]
            begin = time.monotonic()
            while True:
                headers = {LENGTH_HEADER: str(length)}
                async with session.post(self._url, data=body, headers=headers) as answer:
                    content, status = await answer.read(), answer.status
                self.statuses[status] += 1
                if status != 429:
                    break
                assert int(answer.headers["Retry-After"]) >= 1
                await asyncio.sleep(rng.uniform(0.1, 1.0))
            assert status == 200, f"a request was lost: {status} {content!r}"
            assert content[int(answer.headers[LENGTH_HEADER]) :] == self._expected[k], "the result is another's"
            if len(self.latencies) < 1_000_000:
                self.latencies.append(time.monotonic() - begin)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(max(0.05, self._seconds / SAMPLES))
            self.memory.append(resident_mib(self._pid))


def _body(frame: dict[str, Array]) -> tuple[bytes, int]:
    inputs, blobs = [], []
    for name, array in frame.items():
        blobs.append(to_bytes(array))
        described = {"name": name, "datatype": DATATYPES[array.dtype], "shape": list(array.shape)}
        inputs.append({**described, "parameters": {"binary_data_size": len(blobs[-1])}})
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return b"".join([text, *blobs]), len(text)


def _serve(folder: Path, most_waiting: int, lost_after: int) -> None:
    """Serve a plan whose devices fail, and say at the end what failed."""
    opened = open_stages("litert", plan := load_plan(folder))
    plans = {k: FaultPlan(raise_chance=RAISE_CHANCE, seed=k) for k in range(len(opened.runners))}
    plans[1] = FaultPlan(raise_chance=RAISE_CHANCE, lost_from=lost_after, seed=1)
    plans[4] = FaultPlan(raise_chance=RAISE_CHANCE, hangs=frozenset({2 * lost_after}), seed=4)
    runners = faulty(opened.runners, plans)
    policy = FaultPolicy(on_fault="retry", attempts=8, stage_timeout_s=TIMEOUT_S)
    with Pipeline(plan.plan, runners, faults=policy) as pipeline:
        model = ServedModel("model", pipeline, most_waiting=most_waiting, timeout_s=None)
        serve(Models({"model": model}), ServerOptions(port=0), Log(sys.stdout))
        metrics, lost = pipeline.metrics(), sorted(pipeline.lost.values())
        for runner in runners:
            runner.let_go()
    assert sum(metrics.fault_counts.values()) == sum(runner.faults for runner in runners), "a fault was not noticed"
    print(json.dumps({"faults": metrics.fault_counts, "lost": lost}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--server"]:
        _serve(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        given = [*sys.argv[1:], *(str(each) for each in (SECONDS, CLIENTS, 0)[len(sys.argv) - 1 :])]
        main(float(given[0]), int(given[1]), int(given[2]))
