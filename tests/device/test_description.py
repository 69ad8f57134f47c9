"""Device descriptions: what the catalogue holds, and what is said about a file that is none."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.calibration.networks import vendor_graph
from segsolve.device import model
from segsolve.device.model import ALIASES, MIB, describe_device, device_names, load_device
from segsolve.errors import DeviceError, ExitCode
from segsolve.profile.analytic import AnalyticCosts

CATALOGUE = Path(model.__file__).parent / "catalogue"
TEXT = (CATALOGUE / "edgetpu-usb.toml").read_text(encoding="utf-8")
LINK = '\n[link.bandwidth]\nvalue = 0\nunit = "MiB/s"\nsource = "a test"\nerror = "unknown"\n'
CONV = "[time.conv]\n"


def changed(pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, TEXT, count=1)
    assert count == 1
    return text


def refusal(path: Path | str) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        load_device(str(path))
    assert caught.value.exit_code is ExitCode.BAD_DEVICE
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_catalogue_lists_its_files() -> None:
    assert device_names() == tuple(sorted(path.stem for path in CATALOGUE.glob("*.toml")))
    assert {"edgetpu-usb", "edgetpu-m2", "edgetpu-dev-board", "edgetpu-card"} <= set(device_names())


@pytest.mark.parametrize(("old", "now"), ALIASES.items())
def test_names_of_earlier_releases_stay_and_are_shown_as_they_were_given(old: str, now: str) -> None:
    assert old not in device_names()
    assert load_device(old) == replace(load_device(now), name=old)
    assert describe_device(old) == describe_device(now)


@pytest.mark.parametrize("name", device_names())
def test_a_device_says_what_drives_it_and_what_its_host_is(name: str) -> None:
    device = load_device(name)
    assert device.runner
    assert device.host_cores >= 1
    assert device.host_serial_ns > 0
    assert {regime for regime, _, _ in device.ranges} >= {"spilling", "transfers", "small", "plain"}
    assert all(0 < low <= 1 <= high for _, low, high in device.ranges)


def figures(section: dict[str, Any], where: str = "") -> dict[str, dict[str, Any]]:
    if "value" in section:
        return {where: section}
    parts = [figures(value, f"{where}.{key}") for key, value in section.items() if isinstance(value, dict)]
    return {name: figure for part in parts for name, figure in part.items()}


@pytest.mark.parametrize("name", device_names())
def test_every_figure_of_the_catalogue_has_a_source_and_an_error(name: str) -> None:
    document = tomllib.loads((CATALOGUE / f"{name}.toml").read_text(encoding="utf-8"))
    found = figures(document)
    assert len(found) >= 3 + 6 + 7
    for where, figure in found.items():
        assert figure.keys() == {"value", "unit", "source", "error"}, where
        assert len(figure["source"]) > 10 or figure["source"].startswith("as "), where
        assert len(figure["error"]) > 5, where


@pytest.mark.parametrize("name", device_names())
def test_a_device_of_the_catalogue_loads_under_its_name(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert device.title
    assert device.memory_bytes == 8 * MIB
    assert (device.input_multiple, device.output_multiple, device.map_multiple) == (4, 64, 4)
    assert (device.scale_bytes, device.bias_bytes) == (8, 4)


def test_figures_are_converted_to_the_formulas_units() -> None:
    device = load_device("edgetpu-usb")
    figure = tomllib.loads(TEXT)["time"]
    assert device.invocation_ns == pytest.approx(figure["invocation"]["value"] * 1e6)  # ms
    assert device.stream_ns_per_byte * MIB == pytest.approx(figure["stream"]["value"] * 1e6)  # ms per MiB
    assert device.conv_ns_per_mac * 1e9 == pytest.approx(figure["conv"]["value"] * 1e6)  # ms per GMAC
    assert device.reserved_bytes == round(tomllib.loads(TEXT)["memory"]["reserved"]["value"] * MIB)


def test_a_shared_link_is_part_of_the_problem() -> None:
    graph = vendor_graph("mobilenetv10.25128")
    links = {name: load_device(name).link_mib_per_s for name in device_names()}
    assert {name for name, rate in links.items() if rate is not None} == {
        "edgetpu-card",
        "edgetpu-card-runner",
        "edgetpu-card-threads",
        "edgetpu-m2-pi5",
        "edgetpu-usb-hub",
    }
    for name, rate in links.items():
        link = AnalyticCosts(graph=graph, device=load_device(name)).problem(tpus=2).link
        assert (link is None) == (rate is None)
        if link is not None and rate is not None:
            assert link.load_ns(MIB) * rate == pytest.approx(1e9, rel=1e-4)


def test_memory_can_be_another() -> None:
    device = load_device("edgetpu-usb")
    smaller = device.with_memory(4 * MIB)
    assert smaller.memory_bytes == 4 * MIB
    assert device.memory_bytes == 8 * MIB
    assert smaller.with_memory(8 * MIB) == device


def test_a_description_of_the_user_s_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(changed('name = ".*"', 'name = "mine"'))
    assert load_device(str(path)).name == "mine"


def test_an_unknown_device_is_refused_with_the_known_ones() -> None:
    error = refusal("edgetpu")
    assert "there is no device 'edgetpu'" in str(error)
    assert "edgetpu-usb" in error.hint
    assert refusal("edgetpu-m2-pi").hint.startswith("did you mean edgetpu-m2-pi5 or ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT + "[time.extra]\nvalue = 1\n", "time.extra: Extra inputs are not permitted"),
        (changed(r"\[time\.conv\]\nvalue", "[time.conv]\nvalue2 = 1\nvalue"), "time.conv.value2: Extra inputs"),
        ("colour = 'red'\n" + TEXT, "colour: Extra inputs"),
        (changed('unit = "MiB"', 'unit = "MB"'), "memory.onchip: the unit must be 'MiB', not 'MB'"),
        (changed(r"\[time\.stream\]\n(.*\n){4}", ""), "time.stream: Field required"),
        (changed(r"\[memory\.onchip\]\nvalue = .*\n", "[memory.onchip]\n"), "memory.onchip.value: Field required"),
        (changed('source = ".*"', ""), "source: Field required"),
        (changed('error = ".*"', 'error = ""'), "error: String should have at least 1 character"),
        (changed(r"\[time\.conv\]\nvalue = .*", f"{CONV}value = -1"), "time.conv.value: Input should be greater"),
        (changed(r"\[time\.conv\]\nvalue = .*", f"{CONV}value = inf"), "time.conv.value: Input should be a finite"),
        (changed(r"\[time\.conv\]\nvalue = .*", f"{CONV}value = nan"), "time.conv.value: Input should be"),
        (
            changed(r"\[time\.conv\]\nvalue = .*", f'{CONV}value = "1"'),
            "time.conv.value: Input should be a valid number",
        ),
        (
            changed(r"\[time\.conv\]\nvalue = .*", f"{CONV}value = true"),
            "time.conv.value: Input should be a valid number",
        ),
        (
            changed(r"(\[weights\.input_multiple\]\nvalue = ).*", r"\g<1>0"),
            "weights.input_multiple: the value must be a whole",
        ),
        (
            changed(r"(\[weights\.map_multiple\]\nvalue = ).*", r"\g<1>2.5"),
            "weights.map_multiple: the value must be a whole",
        ),
        (changed(r"(\[memory\.onchip\]\nvalue = ).*", r"\g<1>1e308"), "is not a device description"),
        (changed(r"(\[range\.small\]\nlow = .*\nhigh = ).*", r"\g<1>1e308"), "range.small.high: Input should be less"),
        (TEXT + LINK, "link.bandwidth: the value must be at least 0.001, not 0"),
        (TEXT + LINK.replace("MiB/s", "MB/s"), "link.bandwidth: the unit must be 'MiB/s', not 'MB/s'"),
        (changed('name = ".*"', 'name = "My Device"'), "name: String should match"),
        ("", "name: Field required"),
        ("not = = toml", "is not a device description: Invalid value"),
    ],
)
def test_a_wrong_description_is_refused_with_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    message = str(refusal(path))
    assert message.startswith(f"{path} is not a device description: ")
    assert reason in message


def test_a_missing_description(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert str(refusal(path)) == f"{path} cannot be read: No such file or directory"


def test_a_folder_is_no_description(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    assert "cannot be read: Is a directory" in str(refusal(tmp_path / "mine.toml"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a = " + b"[" * 50_000])
def test_bytes_that_are_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    assert f"{path} is not a device description: " in str(refusal(path))


def test_descriptions_of_the_first_release_load() -> None:
    """What they say of channels by kind of model now follows from the model; what they do not say has a default."""
    old = load_device(str(Path(__file__).parent / "samples" / "description_0_1.toml"))
    now = load_device("edgetpu-dev-board")
    assert (old.scale_bytes, old.bias_bytes, old.dense_inputs) == (now.scale_bytes, now.bias_bytes, now.dense_inputs)
    graph = vendor_graph("mobilenetv1224x224")
    assert AnalyticCosts(graph=graph, device=old).problem(tpus=2).overhead_ns > 0
