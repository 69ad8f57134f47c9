"""``segsolve schema``."""

from __future__ import annotations

import json
from inspect import isfunction
from pathlib import Path
from pkgutil import resolve_name
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
    *("solve-pool", "compare-pool", "check-pool", "build-pool", "run-pool", "tune-pool"),
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
        show_json(file_schema(name))
    elif name.endswith(_OUTPUT) and name.removesuffix(_OUTPUT) in DOCUMENTS:
        show_json(document_schema(name.removesuffix(_OUTPUT)))
    else:
        known = ", ".join((*FILES, *(f"{each}{_OUTPUT}" for each in DOCUMENTS)))
        raise UsageError(f"there is no schema {name!r}" if name else "which schema?", f"known: {known}")


def document_schema(name: str) -> Schema:
    """Return the schema of what a command prints with --json."""
    schema: Schema = json.loads(DOCUMENTS[name].read_text(encoding="utf-8"))
    return schema


FILES = {
    "plan": "segsolve_runtime.contract.plan:plan_schema",
    "certificate": "segsolve.checker.document:Certificate",
    "compile": "segsolve_runtime.contract.compiled:record_schema",
    "profile": "segsolve.profile.format:profile_schema",
    "device": "segsolve.device.model:DeviceFile",
    "graph": "segsolve.profile.placement:PlacementGraph",
    "measurement": "segsolve_runtime.observe.measurement:Measurement",
    "record": "segsolve.batch.record:Record",
    "trace": "segsolve_runtime.observe.trace:trace_schema",
    "pool": "segsolve_runtime.contract.pool:pool_schema",
    "bundle": "segsolve_runtime.measure.bundle:Bundle",
    "times": "segsolve_runtime.measure.bundle:Times",
}
"""Of each kind of file, the type of its content, or the function that returns its schema.

A device's is that of its TOML, a record's that of a line of results.jsonl.
"""


def file_schema(kind: str) -> Schema:
    """Return the schema of a kind of file."""
    from pydantic import TypeAdapter

    found = resolve_name(FILES[kind])
    schema: Schema = found() if isfunction(found) else TypeAdapter(found).json_schema()
    return schema
