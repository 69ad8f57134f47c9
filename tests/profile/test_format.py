"""The profile file: what may be written, by hand or by tools, and what is refused in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generators.documents import by_hand, write
from segsolve.errors import DeviceError
from segsolve.profile.format import Profile, profile_json, profile_schema
from segsolve.profile.load import load_profile

FULL = by_hand(
    model={"name": "net", "sha256": "0" * 64},
    device={"name": "mine", "memory_bytes": 8_000_000, "overhead_ns": 3, "stream_ns_per_byte": 1.5},
    scale=1.02,
    segments=[{"first_op": 0, "last_op": 2, "time_ns": 70, "statistics": {"runs": 9, "median_ns": 71, "spread_ns": 2}}],
    environment={"machine": "a desk", "date": "2025-01-01", "versions": {"tool": "3"}},
    notes="by hand",
)


@pytest.mark.parametrize("document", [by_hand(), FULL])
def test_a_profile_is_read_back_as_it_was_written(tmp_path: Path, document: dict[str, Any]) -> None:
    profile = load_profile(write(tmp_path, document))
    written = profile_json(profile)
    assert load_profile(write(tmp_path, written, "again.json")) == profile
    assert profile_json(load_profile(tmp_path / "again.json")) == written
    assert json.loads(written) == document


def test_fractions_are_rounded(tmp_path: Path) -> None:
    layers = [{"name": "a", "time_ns": 1500.6, "param_bytes": 2.0}]
    profile = load_profile(write(tmp_path, by_hand(layers=layers, edges=[])))
    assert (profile.layers[0].time_ns, profile.layers[0].param_bytes) == (1501, 2)


def _layer(document: dict[str, Any], position: int = 0, **values: Any) -> None:
    document["layers"][position].update(values)


def _edge(document: dict[str, Any], **values: Any) -> None:
    document["edges"].append({"from": "a", "to": "d", "tensor": "t", "bytes": 1, "time_ns": 1} | values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("layers"), "layers"),
        (lambda d: d.update(layers=[]), "layers"),
        (lambda d: _layer(d, time_ns=-1), "layers.0.time_ns: Input should be greater than or equal to 0"),
        (lambda d: _layer(d, time_ns=float("nan")), "layers.0.time_ns"),
        (lambda d: _layer(d, time_ns=float("inf")), "layers.0.time_ns"),
        (lambda d: _layer(d, time_ns=10**30), "layers.0.time_ns"),
        (lambda d: _layer(d, time_ns="5"), "layers.0.time_ns"),
        (lambda d: _layer(d, time_ns=True), "layers.0.time_ns"),
        (lambda d: _layer(d, param_bytes=-3), "layers.0.param_bytes"),
        (lambda d: d["layers"][1].pop("param_bytes"), "layers.1.param_bytes: Field required"),
        (lambda d: _layer(d, name="b"), "two layers are named 'b'"),
        (lambda d: _layer(d, name=""), "layers.0.name"),
        (lambda d: _layer(d, streamed_time_ns=9), "layer 'a' is faster while its parameters stream"),
        (lambda d: _layer(d, speed=9), "layers.0.speed"),
        (lambda d: _edge(d, to="x"), "edge 3 names the layer 'x', which is not listed"),
        (lambda d: _edge(d, **{"from": "x"}), "edge 3 names the layer 'x', which is not listed"),
        (lambda d: _edge(d, **{"from": "c", "to": "b"}), "edge 3 goes from 'c' back to 'b'"),
        (lambda d: _edge(d, **{"from": "c", "to": "c"}), "edge 3 goes from 'c' back to 'c'"),
        (lambda d: _edge(d, bytes=-1), "edges.3.bytes"),
        (lambda d: _edge(d, time_ns=-1), "edges.3.time_ns"),
        (lambda d: _edge(d, tensor=None), "edge 3 and an earlier one from 'a' differ in bytes or time"),
        (lambda d: d["edges"].append({"bytes": 1}), "edge 3 has neither 'from' nor 'to'"),
        (lambda d: d.update(segments=[{"first_op": 2, "last_op": 1, "time_ns": 1}]), "segment 2-1 is not a range"),
        (lambda d: d.update(segments=[{"first_op": 0, "last_op": 4, "time_ns": 1}]), "of the layers 0 to 3"),
        (lambda d: d.update(segments=[{"first_op": 0, "last_op": 1, "time_ns": 1}] * 2), "segment 0-1 is listed twice"),
        (lambda d: d.update(device={"memory_bytes": -1}), "device.memory_bytes"),
        (lambda d: d.update(scale=0), "scale"),
        (lambda d: d.update(model={"name": "n", "sha256": "x"}), "model.sha256"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    document = by_hand()
    change(document)
    _refused(write(tmp_path, document), "is not a valid profile", words)


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_another_version_is_refused(tmp_path: Path, version: object) -> None:
    path = write(tmp_path, by_hand(version=version))
    _refused(path, f"version {json.dumps(version)}", "reads version 1")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "3", "{}", '{"format": "segsolve-plan"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    _refused(write(tmp_path, text), "is not a profile")


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    _refused(tmp_path / "none.json", "cannot be read")
    _refused(tmp_path, "cannot be read")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    _refused(tmp_path / "bytes.json", "is not a profile")


def test_the_published_schema_is_that_of_the_code() -> None:
    published = files("segsolve.profile").joinpath("profile.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(profile_schema(), indent=2) + "\n"


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = profile_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for document in (by_hand(), FULL, json.loads(profile_json(Profile.model_validate(FULL)))):
        validator.validate(document)
    for member in ("format", "version", "layers"):
        assert not validator.is_valid({k: v for k, v in FULL.items() if k != member})
    assert not validator.is_valid(by_hand(extra=1))


def _refused(path: Path, *words: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_profile(path)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
