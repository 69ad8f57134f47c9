"""Writes device descriptions: one text for all, with the figures of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        "exact on 18 of 19 public pairs; reports of Keras networks show none",
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
    "time.restream": Figure(
        1, "MiB", "convolution sweep: weights come again per MiB of input and output map", "27 % of a layer's stream"
    ),
}

# What devices of one kind share, on the two interfaces where they do.
LINKS: Mapping[str, Figure] = {
    "edgetpu-pcie-card": Figure(
        15020,
        "MiB/s",
        "ASUS AI Accelerator CRL-G18U-P3DF: one PCI Express 3.0 slot of 16 lanes, 8 GT/s each, 128 of 130 bits data",
        "an upper bound, never measured: packet headers take a part; a slot of 4 lanes carries a quarter",
    ),
    "edgetpu-usb-hub": Figure(
        477,
        "MiB/s",
        "USB 3.1 Gen 1, as in Google's USB Accelerator datasheet: 5 Gbit/s, 8 of 10 bits data",
        "an upper bound: one accelerator alone was measured at 440; the two directions are separate, here they share",
    ),
}

_DESKTOP: Mapping[str, Figure] = {
    "conv": Figure(
        24, "ms/GMAC", "segsolve profile of DeepLab v3, LiteRT on one core of an AMD EPYC", "another CPU: a factor of 2"
    ),
    "activation": Figure(0.29, "ms/MiB", "the same: RESIZE_BILINEAR and ARG_MAX", "0.06 to 0.4 by operation"),
}
_EMBEDDED: Mapping[str, Figure] = {
    "conv": Figure(
        280,
        "ms/GMAC",
        "TensorFlow Lite's page of hosted models: MobileNet v1, 160 ms on one core of a phone",
        "in float; int8 up to 3 times faster",
    ),
    "activation": Figure(3.4, "ms/MiB", "as on a desktop, slower in proportion to host.conv", "unknown"),
}
# What runs the operations that fall back.
HOSTS: Mapping[str, Mapping[str, Figure]] = {"edgetpu-pcie": _EMBEDDED, "edgetpu-usb-pi": _EMBEDDED}


def write(name: str, title: str, times: Mapping[str, Figure], folder: Path = CATALOGUE) -> Path:
    """Write a device description and return its path."""
    figures = {**COMMON, **{f"time.{key}": figure for key, figure in times.items()}}
    figures |= {"link.bandwidth": LINKS[name]} if name in LINKS else {}
    figures |= {f"host.{key}": figure for key, figure in HOSTS.get(name, _DESKTOP).items()}
    sections = ("memory", "weights", "time", "link", "host")
    order = sorted(figures, key=lambda key: sections.index(key.split(".")[0]))
    lines = [
        "# Every figure carries its unit, where it comes from and how far it may be off.",
        "# Written by `python -m benchmarks.calibration`.",
        "",
        f'name = "{name}"',
        f'title = "{title}"',
    ]
    for key in order:
        figure = figures[key]
        lines += ["", f"[{key}]", f"value = {figure.value:g}"]
        lines += [f'{field} = "{getattr(figure, field)}"' for field in ("unit", "source", "error")]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
