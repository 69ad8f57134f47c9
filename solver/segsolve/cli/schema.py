"""``segsolve schema``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from segsolve.cli.console import show_json
from segsolve.cli.guard import guarded
from segsolve.errors import UsageError

Schema = dict[str, Any]
_FOLDER = Path(__file__).parent / "documents"
_NAMES = (
    *("solve", "solve-graph", "compare", "check", "verify", "inspect", "devices", "zoo", "run", "coral", "profile"),
    *("tune", "batch", "doctor", "build", "bench", "diff", "solve-within"),
    *("solve-pool", "compare-pool", "check-pool", "build-pool", "run-pool"),
    *("segsolve-run-run", "segsolve-run-bench", "segsolve-run-doctor", "devices-attached", "devices-guess"),
)
DOCUMENTS = {name: _FOLDER / f"{name}.json" for name in _NAMES}
"""The schemas of what commands print with ``--json``, drawn from what they print (tests/cli/test_documents.py)."""
_OUTPUT = "-output"


@guarded
def command(
    name: Annotated[
        str,
        typer.Argument(help="A kind of file, such as plan, or what a command prints with --json: solve-output."),
    ] = "",
) -> None:
    """Print the JSON Schema of a kind of file or of --json. Without a known name, tells the names."""
    if name in FILES:
        show_json(FILES[name]())
    elif name.endswith(_OUTPUT) and name.removesuffix(_OUTPUT) in DOCUMENTS:
        show_json(document_schema(name.removesuffix(_OUTPUT)))
    else:
        known = ", ".join((*FILES, *(f"{each}{_OUTPUT}" for each in DOCUMENTS)))
        raise UsageError(f"there is no schema {name!r}" if name else "which schema?", f"known: {known}")


def document_schema(name: str) -> Schema:
    """Return the schema of what a command prints with --json."""
    schema: Schema = json.loads(DOCUMENTS[name].read_text(encoding="utf-8"))
    return schema


def _plan() -> Schema:
    from segsolve_runtime.contract.plan import plan_schema

    return plan_schema()


def _certificate() -> Schema:
    from segsolve.checker.document import certificate_schema

    return certificate_schema()


def _compile() -> Schema:
    from segsolve_runtime.contract.compiled import record_schema

    return record_schema()


def _profile() -> Schema:
    from segsolve.profile.format import profile_schema

    return profile_schema()


def _device() -> Schema:
    from segsolve.device.model import DeviceFile

    return DeviceFile.model_json_schema()


def _graph() -> Schema:
    from segsolve.profile.placement import PlacementGraph

    return PlacementGraph.model_json_schema()


def _measurement() -> Schema:
    from segsolve_runtime.observe.measurement import Measurement

    return Measurement.model_json_schema()


def _record() -> Schema:
    from pydantic import TypeAdapter

    from segsolve.batch.record import Record

    return TypeAdapter(Record).json_schema()


def _trace() -> Schema:
    from segsolve_runtime.observe.trace import trace_schema

    return trace_schema()


def _pool() -> Schema:
    from segsolve_runtime.contract.pool import pool_schema

    return pool_schema()


def _bundle() -> Schema:
    from segsolve_runtime.measure.bundle import Bundle

    return Bundle.model_json_schema()


def _times() -> Schema:
    from segsolve_runtime.measure.bundle import Times

    return Times.model_json_schema()


FILES: dict[str, Callable[[], Schema]] = {
    "plan": _plan,
    "certificate": _certificate,
    "compile": _compile,
    "profile": _profile,
    "device": _device,
    "graph": _graph,
    "measurement": _measurement,
    "record": _record,
    "trace": _trace,
    "pool": _pool,
    "bundle": _bundle,
    "times": _times,
}
"""The schemas of files; a device's is that of its TOML, a record's that of a line of results.jsonl."""
