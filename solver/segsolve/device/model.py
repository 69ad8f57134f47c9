"""A device description: figures with unit, source and error, read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from segsolve.errors import DeviceError
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.start import Start

MIB = 2**20
MOST_VALUE = 1e9
"""Of any figure, in its unit: no device is near it, and no formula can overflow."""
_CATALOGUE = resources.files("segsolve.device") / "catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a user knows better than a description: the on-chip memory in bytes, the host, the cores of its CPU.

    `host_of` is the device whose description is right about the host. With `optimistic`, what no rule is known for
    takes nothing of the memory, instead of the most that was seen.
    """

    memory_bytes: int | None = None
    host_of: str | None = None
    host_cores: int | None = None
    optimistic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An accelerator, in the units of the formulas: bytes, nanoseconds, and ns per byte or per operation.

    The catalogue's files carry the source and the error of each figure; README of the solver shows the formulas.
    `operation_ns` is the least time of an operation: its instructions come from the host with every inference.
    Weights that do not stay on chip come `stripe_passes` times for each stripe in which their maps go through, but once
    if there is one.
    A tensor takes `transfer_ns`, its rate, and `large_ns_per_byte` for each byte beyond `large_bytes`; one that comes
    in and that the tiles cannot hold whole `again_ns_per_byte` more.
    `link_mib_per_s` is what a link that all devices share carries of everything that goes to or comes from them,
    in MiB/s, with `link_operation_bytes` of instructions for each operation; None where each has a link of its own.
    The host's rates are for operations that fall back to one core of its CPU, `host_cores` is how many there are,
    `host_serial_ns` what `runner` keeps it busy per stage and inference, and `host_frame_ns_per_byte` the same for what
    the mapped part as a whole takes and gives. `also_taken` are kinds of operations that the device takes beyond the
    table of `operations.toml`.
    Images of more than `image_pixels` may leave less memory to the weights than is known: `image_bytes_per_pixel`, at
    most `image_most_bytes`, is the safe end of what they take; `optimistic` ignores it, which
    `is_optimistic` remembers.
    `start` is what it takes before its first result, None where nothing is known.
    `ranges` are the factors on a predicted time between which 80 % of measurements lay, by regime (ranges.py).
    """

    name: str
    title: str
    memory_bytes: int
    reserved_bytes: int
    activation_factor: float
    stripe_bytes: int
    dense_bytes: int
    tiles: int
    input_multiple: int
    output_multiple: int
    map_multiple: int
    scale_bytes: int
    bias_bytes: int
    dense_inputs: int
    invocation_ns: float
    input_ns_per_byte: float
    output_ns_per_byte: float
    conv_ns_per_mac: float
    depthwise_ns_per_mac: float
    activation_ns_per_byte: float
    stream_ns_per_byte: float
    operation_ns: float = 0.0
    stripe_passes: int = 2
    transfer_ns: float = 0.0
    large_ns_per_byte: float = 0.0
    large_bytes: int = 0
    again_ns_per_byte: float = 0.0
    image_pixels: int = 0
    image_bytes_per_pixel: float = 0.0
    image_most_bytes: int = 0
    link_mib_per_s: float | None = None
    link_operation_bytes: int = 0
    input_factor: float = 0.0
    host_ns_per_mac: float = 0.024
    host_ns_per_byte: float = 0.29
    host_cores: int = 1
    host_serial_ns: float = 0.0
    host_frame_ns_per_byte: float = 0.0
    runner: str = ""
    start: Start | None = None
    ranges: tuple[tuple[str, float, float], ...] = ()
    also_taken: tuple[str, ...] = ()
    is_optimistic: bool = False

    def with_memory(self, memory_bytes: int) -> Device:
        """Return the same device with another amount of on-chip memory."""
        return replace(self, memory_bytes=memory_bytes)

    def changed(self, changes: Changes) -> Device:
        """Return the same device with what a user knows better."""
        device = self if changes.memory_bytes is None else self.with_memory(changes.memory_bytes)
        device = device if changes.host_of is None else device.driven_as(load_device(changes.host_of))
        device = device.optimistic() if changes.optimistic else device
        return device if changes.host_cores is None else replace(device, host_cores=changes.host_cores)

    @property
    def machine(self) -> tuple[float, float, int]:
        """What tells one host from another: what an operation and a byte take on its cores, and how many it has."""
        return self.host_ns_per_mac, self.host_ns_per_byte, self.host_cores

    def driven_as(self, other: Device) -> Device:
        """Return the same device on the host of another; of one that is on such a host, nothing changes."""
        if self.machine == other.machine:
            return self
        return replace(
            self,
            host_ns_per_mac=other.host_ns_per_mac,
            host_ns_per_byte=other.host_ns_per_byte,
            host_cores=other.host_cores,
            host_serial_ns=other.host_serial_ns,
            host_frame_ns_per_byte=other.host_frame_ns_per_byte,
            ranges=(*(r for r in self.ranges if r[0] != "host"), *(r for r in other.ranges if r[0] == "host")),
        )

    def optimistic(self) -> Device:
        """Return the same device with the other end of what is not known: large images take no more than small ones."""
        return replace(self, image_bytes_per_pixel=0.0, is_optimistic=True)


class Figure(BaseModel):
    """A number that someone measured, derived or assumed."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)
    value: float = Field(ge=0, le=MOST_VALUE, allow_inf_nan=False)
    unit: str
    source: str = Field(min_length=1)
    error: str = Field(min_length=1)


def _in(unit: str) -> object:
    def check(figure: Figure) -> Figure:
        if figure.unit != unit:
            raise ValueError(f"the unit must be {unit!r}, not {figure.unit!r}")
        return figure

    return AfterValidator(check)


def _whole(least: int) -> object:
    def check(figure: Figure) -> Figure:
        if figure.value != int(figure.value) or figure.value < least:
            raise ValueError(f"the value must be a whole number from {least} on, not {figure.value:g}")
        return figure

    return AfterValidator(check)


def _at_least(least: float) -> object:
    def check(figure: Figure) -> Figure:
        if figure.value < least:
            raise ValueError(f"the value must be at least {least:g}, not {figure.value:g}")
        return figure

    return AfterValidator(check)


class _Section(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class Memory(_Section):
    """On-chip memory, and what of it the weights do not get."""

    onchip: Annotated[Figure, _in("MiB")]
    reserved: Annotated[Figure, _in("MiB")]
    activation_factor: Annotated[Figure, _in("1")]
    stripe: Annotated[Figure, _in("MiB")]
    dense: Annotated[Figure, _in("MiB")]
    input_factor: Annotated[Figure, _in("1")] | None = None
    image: Annotated[Figure, _in("pixels")] | None = None
    image_pixel: Annotated[Figure, _in("bytes")] | None = None
    image_most: Annotated[Figure, _in("MiB")] | None = None


class Weights(_Section):
    """How the vendor's compiler pads a layer's parameters."""

    input_multiple: Annotated[Figure, _in("channels"), _whole(1)]
    output_multiple: Annotated[Figure, _in("channels"), _whole(1)]
    map_multiple: Annotated[Figure, _in("pixels"), _whole(1)]
    tiles: Annotated[Figure, _in("tiles"), _whole(1)]
    scale: Annotated[Figure, _in("bytes"), _whole(0)] | None = None
    bias: Annotated[Figure, _in("bytes"), _whole(0)] | None = None
    dense_inputs: Annotated[Figure, _in("inputs"), _whole(0)] | None = None
    # Of older descriptions: what a layer takes per channel now follows from the model's own biases and scales.
    narrow_multiple: Annotated[Figure, _in("channels"), _whole(1)] | None = None
    channel_int8_per_channel: Annotated[Figure, _in("bytes"), _whole(0)] | None = None
    channel_int8_per_tensor: Annotated[Figure, _in("bytes"), _whole(0)] | None = None
    channel_uint8: Annotated[Figure, _in("bytes"), _whole(0)] | None = None


class Time(_Section):
    """The latency model's coefficients."""

    invocation: Annotated[Figure, _in("ms")]
    input: Annotated[Figure, _in("ms/MiB")]
    output: Annotated[Figure, _in("ms/MiB")]
    conv: Annotated[Figure, _in("ms/GMAC")]
    depthwise: Annotated[Figure, _in("ms/GMAC")]
    activation: Annotated[Figure, _in("ms/MiB")]
    stream: Annotated[Figure, _in("ms/MiB")]
    stripe_passes: Annotated[Figure, _in("passes"), _whole(1)] | None = None
    operation: Annotated[Figure, _in("ms")] | None = None
    transfer: Annotated[Figure, _in("ms")] | None = None
    large: Annotated[Figure, _in("ms/MiB")] | None = None
    large_from: Annotated[Figure, _in("MiB")] | None = None
    again: Annotated[Figure, _in("ms/MiB")] | None = None
    # Of older descriptions: how often weights stream follows from the stripes in which their maps go through.
    restream: Annotated[Figure, _in("MiB")] | None = None


class Link(_Section):
    """A link that all devices share, such as a card's slot or the cable of a hub."""

    bandwidth: Annotated[Figure, _in("MiB/s"), _at_least(0.001)]
    operation: Annotated[Figure, _in("bytes"), _whole(0)] | None = None


class Host(_Section):
    """What operations cost that fall back to a core of the host's CPU, and what driving the devices costs it."""

    conv: Annotated[Figure, _in("ms/GMAC")]
    activation: Annotated[Figure, _in("ms/MiB")]
    cores: Annotated[Figure, _in("cores"), _whole(1)] | None = None
    serial: Annotated[Figure, _in("ms")] | None = None
    frame: Annotated[Figure, _in("ms/MiB")] | None = None


class Opening(_Section):
    """What a device takes before its first result; what it keeps on chip is loaded at the rate of ``time.stream``."""

    open: Annotated[Figure, _in("ms")]
    load: Annotated[Figure, _in("ms")]
    at_once: Annotated[Figure, _in("devices"), _whole(1)]


class Range(_Section):
    """The factors on a predicted time between which 80 % of the measurements of a regime lay."""

    low: float = Field(gt=0, le=1)
    high: float = Field(ge=1, le=1e6, allow_inf_nan=False)
    source: str = Field(min_length=1)


class Ranges(_Section):
    """How far times may be off, by what they consist of."""

    spilling: Range | None = None
    transfers: Range | None = None
    host: Range | None = None
    small: Range | None = None
    plain: Range | None = None


class Operations(_Section):
    """Kinds of operations that the device takes beyond the documented ones."""

    also: tuple[str, ...]


class DeviceFile(_Section):
    """The content of a device's TOML file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    runner: str = ""
    memory: Memory
    weights: Weights
    time: Time
    link: Link | None = None
    host: Host | None = None
    start: Opening | None = None
    range: Ranges | None = None
    operations: Operations | None = None

    def figures(self) -> dict[str, Figure]:
        """Return every number with its origin, by its name in the file such as ``time.conv``."""
        sections: dict[str, _Section | None] = {
            "memory": self.memory,
            "weights": self.weights,
            "time": self.time,
            "link": self.link,
            "host": self.host,
            "start": self.start,
        }
        return {
            f"{at}.{key}": figure for at, section in sections.items() if section for key, figure in section if figure
        }

    def ranges(self) -> dict[str, Range]:
        """Return what is known of the errors of its times, by regime."""
        return {name: each for name, each in self.range or () if each}

    def device(self) -> Device:
        """Convert to the formulas' units."""
        per_byte = 1e6 / MIB
        return Device(
            name=self.name,
            title=self.title,
            memory_bytes=round(self.memory.onchip.value * MIB),
            reserved_bytes=round(self.memory.reserved.value * MIB),
            activation_factor=self.memory.activation_factor.value,
            stripe_bytes=round(self.memory.stripe.value * MIB),
            dense_bytes=round(self.memory.dense.value * MIB),
            tiles=int(self.weights.tiles.value),
            input_multiple=int(self.weights.input_multiple.value),
            output_multiple=int(self.weights.output_multiple.value),
            map_multiple=int(self.weights.map_multiple.value),
            scale_bytes=int(_value(self.weights.scale, _SCALE_BYTES)),
            bias_bytes=int(_value(self.weights.bias, _BIAS_BYTES)),
            dense_inputs=int(_value(self.weights.dense_inputs, _DENSE_INPUTS)),
            invocation_ns=self.time.invocation.value * 1e6,
            input_ns_per_byte=self.time.input.value * per_byte,
            output_ns_per_byte=self.time.output.value * per_byte,
            conv_ns_per_mac=self.time.conv.value * 1e-3,
            depthwise_ns_per_mac=self.time.depthwise.value * 1e-3,
            activation_ns_per_byte=self.time.activation.value * per_byte,
            stream_ns_per_byte=self.time.stream.value * per_byte,
            stripe_passes=int(_value(self.time.stripe_passes, _STRIPE_PASSES)),
            link_mib_per_s=self.link.bandwidth.value if self.link else None,
            link_operation_bytes=int(_value(self.link.operation)) if self.link else 0,
            input_factor=_value(self.memory.input_factor),
            image_pixels=round(_value(self.memory.image)),
            image_bytes_per_pixel=_value(self.memory.image_pixel),
            image_most_bytes=round(_value(self.memory.image_most) * MIB),
            operation_ns=_value(self.time.operation) * 1e6,
            transfer_ns=_value(self.time.transfer) * 1e6,
            large_ns_per_byte=_value(self.time.large) * per_byte,
            large_bytes=round(_value(self.time.large_from) * MIB),
            again_ns_per_byte=_value(self.time.again) * per_byte,
            runner=self.runner,
            start=self._start(),
            ranges=tuple((name, each.low, each.high) for name, each in self.ranges().items()),
            also_taken=self.operations.also if self.operations else (),
            **self._host(),
        )

    def _start(self) -> Start | None:
        if self.start is None:
            return None
        return Start(
            open_ns=round(self.start.open.value * 1e6),
            load_ns=round(self.start.load.value * 1e6),
            load_ns_per_mib=round(self.time.stream.value * 1e6),
            at_once=int(self.start.at_once.value),
        )

    def _host(self) -> dict[str, Any]:
        """Return the host's figures; a description without them is of a desktop."""
        if self.host is None:
            return {}
        return {
            "host_ns_per_mac": self.host.conv.value * 1e-3,
            "host_ns_per_byte": self.host.activation.value * 1e6 / MIB,
            "host_cores": int(_value(self.host.cores) or 1),
            "host_serial_ns": _value(self.host.serial) * 1e6,
            "host_frame_ns_per_byte": _value(self.host.frame) * 1e6 / MIB,
        }


# What descriptions of earlier releases do not say, from public compiled files: see benchmarks/calibration/README.md.
_SCALE_BYTES = 8
_BIAS_BYTES = 4
_DENSE_INPUTS = 8192
_STRIPE_PASSES = 2


def _value(figure: Figure | None, otherwise: float = 0.0) -> float:
    """Return the value of a figure that a description may leave out."""
    return figure.value if figure else otherwise


# Names of earlier releases, for what is now two devices or has a name that says what it is.
ALIASES = {
    "edgetpu-pcie": "edgetpu-dev-board",
    "edgetpu-usb-pi": "edgetpu-usb-pi4",
    "edgetpu-pcie-card": "edgetpu-card",
}


def device_names() -> tuple[str, ...]:
    """Return the names of the devices in the catalogue."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _CATALOGUE.iterdir() if f.name.endswith(".toml")))


def load_device(name: str) -> Device:
    """Return a device of the catalogue, or one described by a TOML file of the user's.

    Raises:
        DeviceError: there is no such device, or its description is not valid.
    """
    try:
        device = describe_device(name).device()
        return replace(device, name=name) if name in ALIASES else device
    except OverflowError as error:  # finite, but too large for the formulas' units
        raise DeviceError(f"{name} is not a device description: {error}") from None


def describe_device(name: str) -> DeviceFile:
    """Return the description of a device of the catalogue, or of one described by a TOML file of the user's.

    Raises:
        DeviceError: there is no such device, or its description is not valid.
    """
    if name.endswith(".toml"):
        return _parse(Path(name))
    name = ALIASES.get(name, name)
    if name not in device_names():
        near = get_close_matches(name, device_names(), n=2)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        known = f"known: {', '.join(device_names())}; or give a description as FILE.toml"
        raise DeviceError(f"there is no device {name!r}", meant + known)
    with resources.as_file(_CATALOGUE / f"{name}.toml") as path:
        return _parse(path)


def _parse(path: Path) -> DeviceFile:
    try:
        return DeviceFile.model_validate(tomllib.loads(read_bounded_text(path, DOCUMENT)))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}", "check the path of the description") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise DeviceError(f"{path} is not a device description: {where}: {why}") from None
    except (RecursionError, ValueError) as error:  # absurdly deep, not UTF-8, or not TOML
        raise DeviceError(f"{path} is not a device description: {error}") from None
