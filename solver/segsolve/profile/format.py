"""The profile file: costs that someone measured, by layer, edge and segment.

Written by ``segsolve profile`` and ``segsolve tune``, and easy to write by hand; README of the solver documents it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

VERSION: Final = 1
STREAM_NS_PER_BYTE: Final = 2.5
"""Assumed where a profile says nothing: a PCIe Edge TPU, by the catalogue's description."""

_MOST_NS = 10**13
_MOST_BYTES = 2**50


def _whole(value: object) -> object:
    """Round a fraction of a ns or byte, which tools that count in ms or MiB may well give."""
    return round(value) if isinstance(value, float) and isfinite(value) else value


_AMOUNT = WithJsonSchema({"type": "number", "minimum": 0})
Ns = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=_MOST_NS), _AMOUNT]
Bytes = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=_MOST_BYTES), _AMOUNT]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="forbid", strict=True, validate_by_name=True, validate_by_alias=True
    )


class Statistics(_Record):
    """How sure a measured time is."""

    runs: Count
    median_ns: Ns
    spread_ns: Ns = Field(description="between the lower and the upper quartile")


class Layer(_Record):
    """One operation; the layers stand in execution order."""

    name: str = Field(min_length=1)
    time_ns: Ns = Field(description="time of one inference with the parameters on chip")
    param_bytes: Bytes = Field(description="parameters as the model file holds them")
    stored_bytes: Bytes | None = Field(default=None, description="as the device stores them; param_bytes unless given")
    streamed_time_ns: Ns | None = Field(
        default=None,
        description="time while the parameters come from the host; "
        "time_ns + stored bytes * device.stream_ns_per_byte unless given",
    )
    cacheable: bool = Field(default=True, description="false: the parameters stream always, even if they would fit")
    cache_rank: Count | None = Field(
        default=None, description="the lowest are kept on chip first; the layer's position unless given"
    )
    scratch_bytes: Bytes = Field(default=0, description="memory that its activations take from the parameters")
    with_previous: bool = Field(default=False, description="true: no segment can begin with this layer")
    cpu_time_ns: Ns | None = Field(default=None, description="time on a CPU core; none: a core cannot run it")
    on_accelerator: bool = Field(default=True, description="false: only a CPU core can run it")
    statistics: Statistics | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.streamed_time_ns is not None and self.streamed_time_ns < self.time_ns:
            raise ValueError(f"layer {self.name!r} is faster while its parameters stream than with them on chip")
        if not self.on_accelerator and self.cpu_time_ns is None:
            raise ValueError(f"layer {self.name!r} runs on no accelerator, and has no time on a CPU core")
        return self


class Edge(_Record):
    """A tensor on its way from one layer to another, or from or to the host."""

    source: str | None = Field(default=None, alias="from", description="the layer that makes it; none: a model's input")
    to: str | None = Field(default=None, description="a layer that reads it; none: an output of the model")
    tensor: str | None = Field(
        default=None, min_length=1, description="tells tensors of one layer apart; without, they are one tensor"
    )
    bytes: Bytes
    time_ns: Ns = Field(default=0, description="to move it over a device's border: both ends of a cut pay it")
    output_ns: Ns | None = Field(default=None, description="out of a device, if that takes another time than in")
    scratch_bytes: Bytes = Field(
        default=0, description="memory that it takes from the parameters of a segment that it comes into"
    )

    @property
    def key(self) -> tuple[str | None, str | None]:
        """What tells the edges of one tensor from those of others."""
        return self.source, self.tensor

    @property
    def costs(self) -> tuple[int | None, ...]:
        """What edges of the same tensor have in common."""
        return self.bytes, self.time_ns, self.output_ns, self.scratch_bytes


class Segment(_Record):
    """A range of layers that was measured as a whole: its time replaces the sum, for exactly this range."""

    first_op: Count = Field(description="position of the first layer, from 0")
    last_op: Count = Field(description="position of the last layer, inclusive")
    time_ns: Ns
    statistics: Statistics | None = None


class Host(_Record):
    """The host that feeds all devices, and bounds their rate together."""

    cores: Annotated[int, Field(ge=1, le=2**20)] = Field(default=1, description="of its CPU")
    serial_ns: Ns = Field(default=0, description="for a stage of an inference, in which it drives no other")
    work_ns: Ns = Field(default=0, description="of a core for an inference besides, wherever the layers are cut")
    frame_ns: Ns = Field(default=0, description="for an inference, in which it hands over its inputs and outputs only")


class Device(_Record):
    """The identical devices."""

    name: str = Field(default="measured", min_length=1)
    count: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many there are; for solve's --tpus"
    )
    memory_bytes: Bytes | None = Field(
        default=None, description="for parameters and activations of one device; none: everything fits"
    )
    overhead_ns: Ns = Field(default=0, description="fixed cost of an inference of a segment")
    stream_ns_per_byte: float = Field(default=STREAM_NS_PER_BYTE, ge=0, le=1e6, allow_inf_nan=False)
    host: Host | None = Field(default=None, description="none: it is never what limits")


class Model(_Record):
    """The model that was measured, so that the profile is not used for another."""

    name: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Environment(_Record):
    """Where, when and how the times were measured."""

    machine: str = ""
    system: str = ""
    date: str = ""
    backend: str = ""
    clock: str = ""
    threads: Count = 1
    runs: Count = 0
    warm_up: Count = 0
    seed: Count = 0
    versions: dict[str, str] = {}


class Profile(_Record):
    """The content of a profile file."""

    format: Literal["segsolve-profile"] = "segsolve-profile"
    version: Literal[1] = VERSION
    model: Model | None = None
    device: Device = Device()
    scale: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="factor on all times but those of measured segments: how those compare to their sums",
    )
    layers: list[Layer] = Field(min_length=1)
    edges: list[Edge] = []
    segments: list[Segment] = []
    environment: Environment | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if repeated := _first_repeated(layer.name for layer in self.layers):
            raise ValueError(f"two layers are named {repeated!r}")
        _check_edges(self.edges, {layer.name: position for position, layer in enumerate(self.layers)})
        for segment in self.segments:
            if not segment.first_op <= segment.last_op < len(self.layers):
                where = f"segment {segment.first_op}-{segment.last_op}"
                raise ValueError(f"{where} is not a range of the layers 0 to {len(self.layers) - 1}")
        if repeated := _first_repeated(f"{s.first_op}-{s.last_op}" for s in self.segments):
            raise ValueError(f"segment {repeated} is listed twice")
        return self


def profile_json(profile: Profile) -> str:
    """Return a profile as the text of its file, without what says no more than the defaults."""
    document = profile.model_copy(update={"version": VERSION})
    lean = document.model_dump_json(by_alias=True, exclude_defaults=True, indent=1)
    head = f'{{\n "format": "segsolve-profile",\n "version": {VERSION},'
    return head + lean.removeprefix("{") + "\n"


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema of the profile file."""
    schema = Profile.model_json_schema(by_alias=True)
    schema["required"] = ["format", "version", "layers"]
    return schema


def _check_edges(edges: Iterable[Edge], position: dict[str, int]) -> None:
    known: dict[tuple[str | None, str | None], Edge] = {}
    for number, edge in enumerate(edges):
        for name in (edge.source, edge.to):
            if name is not None and name not in position:
                raise ValueError(f"edge {number} names the layer {name!r}, which is not listed")
        if edge.source is None and edge.to is None:
            raise ValueError(f"edge {number} has neither 'from' nor 'to'")
        if edge.source is not None and edge.to is not None and position[edge.source] >= position[edge.to]:
            raise ValueError(
                f"edge {number} goes from {edge.source!r} back to {edge.to!r}: the layers must be listed in an order "
                "in which each comes after all that it reads from, so no cycles"
            )
        first = known.setdefault(edge.key, edge)
        if first.costs != edge.costs:
            raise ValueError(
                f"edge {number} and an earlier one from {edge.source or 'the host'!r} differ in bytes or time: "
                "tell different tensors apart with 'tensor'"
            )


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
