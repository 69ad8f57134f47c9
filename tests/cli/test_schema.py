"""`segsolve schema` prints what real files keep to."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from generators.documents import placement
from segsolve.cli.schema import FILES
from segsolve.device import model as device_model
from segsolve.device.model import device_names

from .tool import inside

CATALOGUE = Path(device_model.__file__).parent / "catalogue"


@pytest.mark.parametrize("name", ["plan", "certificate"])
def test_real_files_keep_to_their_schema(name: str, dense: Path, tmp_path: Path) -> None:
    assert inside("solve", dense, "--tpus", "2", "--no-verify", "-o", tmp_path / "plan").code == 0
    schema = json.loads(inside("schema", name).stdout)
    jsonschema.validate(json.loads((tmp_path / "plan" / f"{name}.json").read_text()), schema)


@pytest.mark.parametrize("name", FILES)
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(inside("schema", name).stdout))


def test_what_runs_and_batches_write_keeps_to_its_schema(plan: Path, net: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"{kind}.json" for kind in ("trace", "measurement", "profile")}
    options = ("--trace", files["trace"], "--timeline", files["measurement"])
    assert inside("run", plan, "--count", "3", *options).code == 0
    assert inside("profile", net, "--runs", "1", "--warm-up", "0", "-o", files["profile"]).code == 0
    for kind, path in files.items():
        jsonschema.validate(json.loads(path.read_text()), json.loads(inside("schema", kind).stdout))
    done = inside("batch", net, "--tpus", "1..2", "--planners", "dp", "--processes", "1", "-o", tmp_path / "out")
    assert done.code == 0, done.stderr
    schema = json.loads(inside("schema", "record").stdout)
    for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_devices_and_graphs_keep_to_their_schemas() -> None:
    device = json.loads(inside("schema", "device").stdout)
    for name in device_names():
        jsonschema.validate(tomllib.loads((CATALOGUE / f"{name}.toml").read_text()), device)
    graph = placement([{"id": 1, "fpgaLatency": 2.0}], [])
    jsonschema.validate(graph, json.loads(inside("schema", "graph").stdout))


def test_an_unknown_schema_is_refused_with_those_that_there_are() -> None:
    done = inside("schema", "plam")
    assert done.code == 2 and "there is no schema 'plam'" in done.stderr and "solve-output" in done.stderr


def test_without_a_name_it_tells_the_names() -> None:
    done = inside("schema")
    assert done.code == 2 and "which schema?" in done.stderr and "solve-output" in done.stderr
