"""Writes device descriptions: the figures that all share, and the form of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segsolve.device import model

CATALOGUE = Path(model.__file__).parent / "catalogue"
LOGS = "edgetpu_compiler reports"
EXACT = "byte-exact where the report is"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what a reader must know about it."""

    value: float
    unit: str
    source: str
    error: str


# What the compiler does is the same for every interface.
COMMON: Mapping[str, Figure] = {
    "memory.onchip": Figure(8, "MiB", "Google, Edge TPU compiler documentation: about 8 MB of SRAM", "exact as a size"),
    "memory.reserved": Figure(
        0.13, "MiB", f"{LOGS}: used plus remaining memory", "0.13 MiB: networks without dense layers report up to 7.98"
    ),
    "memory.activation_factor": Figure(
        1.3, "1", f"{LOGS}: used plus remaining memory against the largest map", "0.2 MiB of the capacity"
    ),
    "memory.stripe": Figure(
        0.7, "MiB", f"{LOGS}: maps of 0.8 to 5 MiB leave 7.0 to 7.4 MiB to the weights", "0.2 MiB of the capacity"
    ),
    "memory.input_factor": Figure(
        0.67,
        "1",
        "convolution sweep: segments that take a map of 1.9 MiB or more from the host",
        "0.64 to 0.70 explain the same rows; whether several tensors add up is unknown, the largest counts",
    ),
    "memory.image": Figure(
        307200,
        "pixels",
        f"{LOGS}: images of 480 x 640 and of 512 x 512 leave 7.0 MiB to the weights, as smaller ones do",
        "no rule is known for larger images",
    ),
    "memory.image_pixel": Figure(
        7.05,
        "bytes",
        "one published figure: 3.91 MiB for the weights of a network of 768 x 768 pixels",
        "the safe end of what is not known; nothing at the other end",
    ),
    "memory.image_most": Figure(
        6.14, "MiB", f"{LOGS}: 1.73 MiB left to the weights at 1920 x 1058 pixels", "as memory.image_pixel"
    ),
    "memory.dense": Figure(0.135, "MiB", f"{LOGS} of dense networks: 7.735 MiB of weights fit", "0.01 MiB"),
    "weights.input_multiple": Figure(
        4, "channels", f"{LOGS}: kh*kw*ceil4(Cin)*ceil64(Cout) reproduces the stored size", EXACT
    ),
    "weights.output_multiple": Figure(64, "channels", "as input_multiple", EXACT),
    "weights.map_multiple": Figure(
        4, "pixels", "fitted with the time figures: padded multiply-accumulates", "part of the latency model's error"
    ),
    "weights.tiles": Figure(
        16, "tiles", f"{LOGS} of DenseNet-201: constants of MUL and ADD stream 16-fold", "exact on 7 segments"
    ),
    "weights.scale": Figure(
        8,
        "bytes",
        "public compiled files: of each output, where the outputs' scales differ",
        "exact on 19 of 19 public pairs; reports of Keras networks show none",
    ),
    "weights.bias": Figure(
        4, "bytes", "public compiled files: of each output, unless all biases are zero", "as weights.scale"
    ),
    "weights.dense_inputs": Figure(
        8192,
        "inputs",
        "public compiled files: dense layers of 9,504 inputs and more always stream, of 5,904 and fewer do not",
        "5,904 to 9,503",
    ),
    "time.stripe_passes": Figure(
        2,
        "passes",
        "convolution sweep: 4 passes where maps take 2 stripes of 196,608 bytes a tile, 6 where they take 3; public "
        "compiled files whose maps take one stream once",
        "4 % of such times on one TPU; a segment that takes a large map from the host streams up to half more",
    ),
}


@dataclass(frozen=True, slots=True)
class Range:
    """The factors on a predicted time between which 80 % of the measurements of a regime lay."""

    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Description:
    """A device as its file has it: figures by section and key; `runner` is what drives it."""

    name: str
    title: str
    runner: str
    figures: Mapping[str, Figure]
    ranges: Mapping[str, Range] = field(default_factory=dict)


def write(device: Description, folder: Path = CATALOGUE) -> Path:
    """Write a device description and return its path."""
    figures = {**COMMON, **device.figures}
    sections = ("memory", "weights", "time", "link", "host", "start")
    lines = [
        "# Every figure carries its unit, where it comes from and how far it may be off.",
        "# Written by `python -m benchmarks.calibration`.",
        "",
        f'name = "{device.name}"',
        f'title = "{device.title}"',
        f'runner = "{device.runner}"',
    ]
    for key in sorted(figures, key=lambda key: sections.index(key.split(".")[0])):
        figure = figures[key]
        lines += ["", f"[{key}]", f"value = {figure.value:g}"]
        lines += [f'{name} = "{getattr(figure, name)}"' for name in ("unit", "source", "error")]
    for key, each in device.ranges.items():
        lines += ["", f"[range.{key}]", f"low = {each.low:.2f}", f"high = {each.high:.2f}", f'source = "{each.source}"']
    path = folder / f"{device.name}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
