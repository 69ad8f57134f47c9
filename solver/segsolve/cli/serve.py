"""``segsolve serve``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.console import news
from segsolve.cli.guard import guarded
from segsolve.errors import UsageError
from segsolve.values import MOST_THREADS, within

if TYPE_CHECKING:
    from segsolve_runtime.contract.places import Place
    from segsolve_runtime.contract.plan import PlanFolder
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.flow.faults import FaultPolicy
    from segsolve_runtime.pipeline import Pipeline
    from segsolve_runtime.serve.detection import Detector
    from segsolve_runtime.serve.models import ServedModel

TOKEN_VARIABLE = "SEGSOLVE_TOKEN"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@guarded
def command(
    plans: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PLAN/",
            help="Folders that `segsolve solve -o` wrote; a pool's models have names of their own.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to serve at; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of HTTP.")] = 8000,
    grpc: Annotated[bool, typer.Option("--grpc", help="Serve gRPC, too.")] = False,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC.")] = 8001,
    backend: Annotated[str, typer.Option(help="As for `run`: litert, edgetpu, emulated or simulated.")] = "litert",
    threads: Annotated[int, typer.Option(help="LiteRT threads per stage.")] = 1,
    devices: Annotated[
        str | None, typer.Option(help="Edge TPUs in the plans' order, e.g. usb:0,pci:1; needed for several plans.")
    ] = None,
    queue_size: Annotated[int, typer.Option(help="Inferences that may wait between two stages.")] = 2,
    max_queue: Annotated[int, typer.Option(help="Requests of a model under way at most; others are told 429.")] = 256,
    max_body: Annotated[float | None, typer.Option(help="MiB of a request at most; else what the models need.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a request is told 504.")] = None,
    on_fault: Annotated[str, typer.Option(help="After a fault: retry elsewhere, or skip the frame.")] = "retry",
    rejoin: Annotated[bool, typer.Option("--rejoin", help="Open lost devices again until they are back.")] = False,
    stage_timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a stage that has not ended is given up.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="File with a label per line, for detections.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with a token that clients must send; else ${TOKEN_VARIABLE}, if set.")
    ] = None,
    grace: Annotated[float, typer.Option(help="Seconds that requests under way have at the end.")] = 30.0,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="Log every request, not only failures.")] = False,
) -> None:
    """Serve plans over HTTP and gRPC (Open Inference Protocol)."""
    from segsolve_runtime.serve.log import Log
    from segsolve_runtime.serve.models import Models, ServedModel
    from segsolve_runtime.serve.server import MIB, ServerOptions, check_installed, serve

    within("--port", port, 0, 65_535)
    within("--grpc-port", grpc_port, 0, 65_535)
    within("--threads", threads, 1, MOST_THREADS)
    within("--queue-size", queue_size, 1, 100_000)
    within("--max-queue", max_queue, 1, 1_000_000)
    for option, value in (("--timeout", timeout), ("--stage-timeout", stage_timeout), ("--max-body", max_body)):
        if value is not None and not 0 < value < 1e6:
            raise UsageError(f"{option} is {value:g}", "give a positive number")
    if not 0 <= grace < 1e6:
        raise UsageError(f"--grace is {grace:g}", "give a number of seconds")
    how = {
        "backend": backend,
        "threads": threads,
        "queue_size": queue_size,
        "faults": _policy(on_fault, stage_timeout, rejoin),
        "isolate": "all" if rejoin else "auto",
    }
    check_installed(grpc=grpc)
    token = _token(token_file)
    if token is None and host not in _LOOPBACK:
        news(f"warning: anyone who reaches {host} is served; --token-file FILE lets in only those who know a token")
    folders = _folders(plans)
    with ExitStack() as stack:
        served: dict[str, ServedModel] = {}
        named = _shared_out(folders, backend, devices)
        for name, folder in folders.items():
            for one, pipeline, homes in _opened(name, folder, how | {"devices": named[name]}, stack):
                if one in served:
                    raise UsageError(f"two models are called {one!r}", "give their plans other names: NAME=PLAN/")
                served[one] = ServedModel(one, pipeline, most_waiting=max_queue, timeout_s=timeout, homes=homes)
        options = ServerOptions(
            host=host,
            port=port,
            grpc_port=grpc_port if grpc else None,
            max_body=None if max_body is None else round(max_body * MIB),
            token=token,
            grace_s=grace,
        )
        serve(Models(served), options, Log(sys.stderr, all_requests=log_requests), _detector(served, labels))


def _policy(on_fault: str, stage_timeout_s: float | None, rejoin: bool) -> FaultPolicy:
    from segsolve.cli.running import REJOIN_S
    from segsolve_runtime.flow.faults import FaultPolicy

    match on_fault:
        case "retry" | "skip":
            rejoin_s = REJOIN_S if rejoin else None
            return FaultPolicy(on_fault=on_fault, stage_timeout_s=stage_timeout_s, rejoin_s=rejoin_s)
        case _:
            raise UsageError(f"--on-fault is {on_fault!r}", "known: retry, skip")


def _folders(plans: list[str]) -> dict[str, PlanFolder | PoolFolder]:
    """Return what is served by the name that it was given; a pool may have the empty name."""
    from segsolve_runtime.contract.plan import is_pool, load_plan
    from segsolve_runtime.contract.pool import load_pool
    from segsolve_runtime.serve.models import model_name

    named: list[tuple[str, PlanFolder | PoolFolder]] = []
    for text in plans:
        given, separator, rest = text.partition("=")
        path = Path(rest if separator else text)
        if is_pool(path):
            named.append((given if separator else "", load_pool(path)))
        else:
            folder = load_plan(path)
            named.append((given if separator else model_name(folder.plan), folder))
        if separator and (not given or "/" in given):
            raise UsageError(f"{given!r} is no name of a model", "it is a part of a URL")
    again = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if again:
        what = f"two plans are called {again[0]!r}" if again[0] else "two pools have no name"
        raise UsageError(what, "give one another name: NAME=PLAN/")
    return dict(named)


def _shared_out(
    folders: Mapping[str, PlanFolder | PoolFolder], backend: str, devices: str | None
) -> dict[str, tuple[str, ...]]:
    """Return for each plan its part of the devices that are named."""
    from segsolve_runtime.backends.edgetpu.choose import parse_devices

    names = iter(parse_devices(devices) if devices is not None else ())
    if devices is None and backend == "edgetpu" and len(folders) > 1:
        raise UsageError("several plans share the Edge TPUs", "name them in the plans' order: --devices usb:0,...")
    shares = {name: tuple(islice(names, _needed(folder))) for name, folder in folders.items()}
    if (left := [*names]) and backend == "edgetpu":
        raise UsageError(f"{left[0]} is named, but no plan needs it", "name a device for each stage")
    return shares


def _needed(folder: PlanFolder | PoolFolder) -> int:
    """Return how many Edge TPUs something that is served has."""
    from segsolve_runtime.contract.places import places, stage_at
    from segsolve_runtime.contract.pool import PoolFolder

    if isinstance(folder, PoolFolder):
        return len(folder.pool.devices)
    return sum(stage_at(folder.plan, place).processor == "edgetpu" for place in places(folder.plan))


def _opened(
    name: str, folder: PlanFolder | PoolFolder, how: dict[str, Any], stack: ExitStack
) -> Iterator[tuple[str, Pipeline, Mapping[Place, str]]]:
    """Open a plan, or all of a pool's, with the arguments `how`; yield names, pipelines, and their places' devices."""
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.flow.faults import FaultPolicy
    from segsolve_runtime.pipeline import Pipeline
    from segsolve_runtime.pool import Pool
    from segsolve_runtime.serve.models import url_name

    if isinstance(folder, PoolFolder):
        pool = stack.enter_context(Pool.load(folder, **how))
        pool.warm_up()
        for model, pipeline in pool.pipelines.items():
            yield url_name(f"{name}.{model}" if name else model), pipeline, pool.homes(model)
        return
    keeps = folder.plan.model.state
    if keeps is not None:
        news(f"warning: {name} keeps {keeps} from one request to the next, whoever asks; a fault begins it anew")
        how = how | {"faults": FaultPolicy(stage_timeout_s=how["faults"].stage_timeout_s)}
    pipeline = stack.enter_context(Pipeline.load(folder, **how))
    if how["backend"] != "simulated":
        pipeline.warm_up()
    yield name, pipeline, pipeline.devices


def _detector(served: dict[str, ServedModel], labels: Path | None) -> Detector | None:
    from segsolve_runtime.serve.detection import detector_of

    found = [detector for model in served.values() if (detector := detector_of(model, labels)) is not None]
    if not found:
        if labels is not None:
            raise UsageError("--labels are for detections, and no plan ends in them", "leave --labels out")
        return None
    if len(found) > 1:
        news(f"of {len(found)} detectors, {found[0].model.name} answers /v1/vision/detection")
    return found[0]


def _token(file: Path | None) -> str | None:
    from segsolve_runtime.serve.server import read_token

    return read_token(file) if file is not None else os.environ.get(TOKEN_VARIABLE) or None
