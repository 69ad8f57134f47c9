"""What ``--json`` prints keeps to the schemas that ship; SEGSOLVE_SCHEMAS=rewrite writes down what is new."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generators.command import light
from generators.contracts import open_where_null, strict, together
from generators.contracts import schema_of as drawn
from generators.documents import by_hand, placement, write
from segsolve.cli.schema import DOCUMENTS, document_schema
from segsolve_runtime.backends.edgetpu import system

from ..device.test_guess import board, pci, usb
from .tool import inside

COMMANDS: dict[str, list[str]] = {
    "solve": [
        "solve MODEL --tpus 2",
        "solve MODEL --tpus 3 --layout pipeline",
        "solve MODEL --tpus 2 --objective latency",
        "solve MODEL --tpus 2 --objective batch --batch 5",
        "solve MODEL --tpus 3 --objective devices --min-fps 10",
        "solve MODEL --tpus 3 --objective pareto",
        "solve MODEL --tpus 2 --planner uniform",
        "solve profile.json --tpus 2",
        "solve wide.json --tpus 2 --objective latency",
        "solve DENSE --tpus 1 --no-spill",
        "solve MODEL --tpus 2 --device edgetpu-card --max-latency 1s",
    ],
    "solve-graph": ["solve graph.json --tpus 2 --cpus 1", "solve graph.json --tpus 1 --cpus 0"],
    "compare": ["compare MODEL --tpus 2", "compare MODEL --tpus 2..3 --batch 4", "compare DENSE --tpus 2 --no-spill"],
    "check": ["check plan"],
    "verify": ["verify plan MODEL", "verify plan MODEL --inputs 1"],
    "inspect": ["inspect MODEL", "inspect MODEL --ops", "inspect MODEL --segments 0-3,4-10", "inspect DENSE"],
    "devices": ["devices", "devices edgetpu-card"],
    "zoo": ["zoo list"],
    "run": ["run plan --count 2", "run plan --count 2 --backend simulated", "run plan --count 2 --backend emulated"],
    "coral": ["build plan --check-coral"],
    "profile": ["profile MODEL --runs 1 --warm-up 0 -o made.json"],
    "tune": ["tune MODEL --tpus 2 --runs 1 --warm-up 0 --iterations 2"],
    "doctor": ["doctor"],
    "build": ["build compiled --compile --compiler COMPILER --rounds 1"],
    "bench": ["bench plan compiled --count 2 --warm-up 0 --rounds 2 --backend simulated"],
    "diff": ["diff plan compiled", "diff plan plan"],
    "solve-within": ["solve MODEL --tpus 3 --within 20%"],
    "solve-pool": [
        "solve MODEL --pool edgetpu-m2:1,edgetpu-usb:1",
        "solve MODEL DENSE --pool edgetpu-m2:2 --rate MODEL=5 --rate DENSE=5 --time-limit 2",
        "solve MODEL DENSE --pool edgetpu-m2:1",
        "solve MODEL DENSE --pool edgetpu-card:2 --objective latency --rate MODEL=5 --rate DENSE=5 --time-limit 2",
    ],
    "compare-pool": ["compare MODEL DENSE --pool edgetpu-m2:2 --time-limit 2", "compare MODEL --pool edgetpu-m2:1"],
    "check-pool": ["check pool"],
    "build-pool": ["build pool --compile --compiler COMPILER"],
    "tune-pool": [
        "tune MODEL DENSE --pool edgetpu-m2:2 --periods 1 --iterations 1 --time-limit 2",
        "tune MODEL DENSE --pool edgetpu-m2:2 --objective latency --rate MODEL=1 --rate DENSE=1 --periods 1",
        "tune MODEL --pool edgetpu-m2:1,edgetpu-usb:1 --max-latency 1us --periods 1 --time-limit 2",
    ],
    "run-pool": ["run pool --count 2 --backend simulated", "run pool --count 2"],
    "segsolve-run-run": [
        "segsolve-run run plan --count 2 --backend litert",
        "segsolve-run run plan --count 2 --backend simulated",
        "segsolve-run run plan --count 2 --backend emulated",
    ],
    "segsolve-run-bench": ["segsolve-run bench plan compiled --count 2 --warm-up 0 --rounds 2 --backend simulated"],
    "segsolve-run-doctor": ["segsolve-run doctor"],
    "devices-attached": ["devices --attached", "segsolve-run devices"],
    "devices-guess": ["devices --guess"],
    "batch": ["batch MODEL --tpus 1..2 --planners uniform,dp --processes 1 -o batch"],
}


@pytest.fixture(scope="module")
def here(net: Path, standin_compiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    write(folder, by_hand())
    write(folder, _branches(13), "wide.json")
    nodes = [{"id": k, "fpgaLatency": 2.0, "cpuLatency": 3.0, "size": 5.0} for k in range(4)]
    edges = [{"sourceId": k, "destId": k + 1, "cost": 0.5} for k in range(3)]
    write(folder, placement(nodes, edges), "graph.json")
    for options in (
        ("--tpus", "2", "-o", "plan"),
        ("--tpus", "3", "-o", "compiled"),
        ("--pool", "edgetpu-m2:1,edgetpu-usb:1", "-o", "pool"),
    ):
        assert inside("solve", net, "--no-verify", *options[:-1], folder / options[-1]).code == 0
    built = inside("build", folder / "compiled", "--compile", "--compiler", standin_compiler, "--rounds", "1")
    assert built.code == 0, built.stderr
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_prints_keeps_to_its_schema(
    name: str,
    here: Path,
    net: Path,
    dense: Path,
    standin_compiler: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(here)
    if name == "devices-attached":
        request.getfixturevalue("standin")
    if name == "devices-guess":
        usb(tmp_path, "2-1", "2-3", speed=480)
        pci(tmp_path, "0000:00:01.0/0000:01:00.0/0000:02:00.0")
        board(tmp_path, "Raspberry Pi 5 Model B")
        monkeypatch.setattr(system, "ROOT", tmp_path)
    made: list[Any] = []
    for command in COMMANDS[name]:
        words = [
            _filled(word, {"MODEL": net, "DENSE": dense, "COMPILER": standin_compiler}) for word in command.split()
        ]
        done = light(*words[1:], "--json") if words[0] == "segsolve-run" else inside(*words, "--json")
        assert done.stdout, (command, done.stderr)
        made.append(json.loads(done.stdout))
    if os.environ.get("SEGSOLVE_SCHEMAS") == "rewrite":
        _rewrite(name, made)
    schema = strict(document_schema(name))
    for document in made:
        jsonschema.validate(document, schema)


def test_every_document_has_a_schema_that_is_one() -> None:
    assert set(DOCUMENTS) == set(COMMANDS)
    for name in DOCUMENTS:
        jsonschema.Draft202012Validator.check_schema(json.loads(inside("schema", f"{name}-output").stdout))


def _branches(count: int) -> dict[str, Any]:
    """A layer, so many beside each other that read it, and one that reads these: too many cuts to list."""
    middle = [f"m{k}" for k in range(count)]
    layers = [{"name": name, "time_ns": 1000, "param_bytes": 10} for name in ("first", *middle, "last")]
    edges = [edge for name in middle for edge in ({"from": "first", "to": name}, {"from": name, "to": "last"})]
    device = {"memory_bytes": 80}
    return by_hand(device=device, layers=layers, edges=[edge | {"bytes": 1, "time_ns": 1} for edge in edges])


def _filled(word: str, paths: Mapping[str, Path]) -> str:
    name, sign, rest = word.partition("=")
    if sign:
        return f"{paths[name].stem}={rest}" if name in paths else word
    return str(paths.get(word, word))


def _rewrite(name: str, documents: list[Any]) -> None:
    """Write a schema down that allows what it allowed, if there was one, and these documents."""
    path = DOCUMENTS[name]
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    head = {key: known.pop(key) for key in ("$schema", "$id", "title") if key in known} or {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:segsolve:{name}-output:1",
        "title": f"what {name if name.startswith('segsolve-run') else COMMANDS[name][0].split()[0]} --json prints",
    }
    path.write_text(
        json.dumps(head | open_where_null(together([known, *map(drawn, documents)])), indent=1) + "\n", encoding="utf-8"
    )
