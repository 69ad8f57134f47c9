"""What `inspect --segments` and `devices` explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segsolve.device.model import describe_device, device_names
from segsolve.errors import ExitCode

from .tool import Done, inside


def shown(done: Done) -> str:
    assert done.code == ExitCode.OK, done.stderr
    return " ".join(done.stdout.split())


def test_segments_are_explained_layer_by_layer(dense: Path) -> None:
    text = shown(inside("inspect", dense, "--segments", "0-2,3-4"))
    assert "does not fit: 3.71 MiB are left; it is streamed at every inference and costs 11.05 ms" in text
    assert "Segment 1: all of its weights stay on chip." in text


def test_all_layers_of_a_segment_are_listed_if_asked(dense: Path) -> None:
    text = shown(inside("inspect", dense, "--segments", "0-3", "--ops"))
    assert text.count("do not fit") == 2
    assert text.count(" on chip - -") == 2
    document = json.loads(inside("inspect", dense, "--segments", "0-3,4-4", "--json").stdout)
    first, second = document["segments"]
    assert (first["first_op"], first["last_op"], second["first_op"]) == (0, 3, 4)
    assert [layer["cached"] for layer in first["layers"]] == [True, False, False, True]
    assert sum(layer["cost_ns"] for layer in first["layers"]) == first["stream_ns"]


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [("0-9", "--segments is 9"), ("3-1", "--segments is '3-1'"), ("x", "--segments is 'x'")],
)
def test_ranges_that_are_none(dense: Path, ranges: str, reason: str) -> None:
    done = inside("inspect", dense, "--segments", ranges)
    assert done.code == ExitCode.USAGE
    assert reason in done.stderr


def test_every_figure_of_every_device_is_listed_with_its_origin() -> None:
    listed = shown(inside("devices"))
    for name in device_names():
        assert f" {name} " in listed
        text = shown(inside("devices", name))
        for key, figure in describe_device(name).figures().items():
            assert f" {key} " in text
            for part in (figure.source, figure.error):
                assert " ".join(part.split()) in text, (name, key)


def test_devices_as_a_document() -> None:
    devices = json.loads(inside("devices", "--json").stdout)["devices"]
    assert [device["name"] for device in devices] == list(device_names())
    assert json.loads(inside("devices", "edgetpu-usb", "--json").stdout)["devices"] == [
        device for device in devices if device["name"] == "edgetpu-usb"
    ]
    for device in devices:
        described = describe_device(device["name"]).figures()
        assert {figure.pop("name"): figure for figure in device["figures"]} == {
            name: figure.model_dump() for name, figure in described.items()
        }


def test_a_description_of_the_user_s_is_shown_and_used(tmp_path: Path, net: Path) -> None:
    path = tmp_path / "mine.toml"
    catalogue = Path(__file__).parents[2] / "solver" / "segsolve" / "device" / "catalogue"
    text = (catalogue / "edgetpu-usb.toml").read_text()
    path.write_text(text.replace('name = "edgetpu-usb"', 'name = "mine"'))
    assert "mine: Coral USB Accelerator" in shown(inside("devices", path))
    assert "on one mine" in shown(inside("inspect", net, "--device", path))
    path.write_text("nothing")
    assert inside("devices", path).code == ExitCode.BAD_DEVICE
