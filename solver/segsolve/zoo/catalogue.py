"""The networks of the zoo, with the sizes that were published for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from segsolve.errors import UsageError
from segsolve.zoo import inception_v3, mobilenet, resnet, synthetic
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

KERAS = "parameters: keras.io/api/applications"
NASNET = "Zoph et al. (CVPR 2018), table 2"
SWEPT = "Villarrubia et al., arXiv:2503.01025; counted from the layers"
LARGEST_SWEPT = 10_000  # filters or units: a file of some 4 GB would be beyond what FlatBuffers can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network: what was published about it, and how it is drawn.

    ``params`` counts as the source does: with the batch normalisations, which are folded into the weights of the file.
    """

    name: str
    family: str
    title: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    source: str
    build: Callable[[Builder], Value]


def _resnet(depth: int, depths: tuple[int, int, int, int], params: int, macs: int) -> Network:
    return Network(
        name=f"resnet{depth}",
        family="ResNet",
        title=f"ResNet-{depth}",
        input_shape=(224, 224, 3),
        params=params,
        macs=macs,
        source=f"{KERAS}; MACs: He et al. (CVPR 2016), table 1",
        build=partial(resnet.resnet, depths=depths),
    )


def _synthetic_conv(filters: int) -> Network:
    weights = 27 * filters + 4 * 9 * filters**2
    return Network(
        name=f"synthetic-conv-{filters}",
        family="Synthetic",
        title=f"five 3x3 convolutions of {filters} filters",
        input_shape=(64, 64, 3),
        params=weights + 5 * filters,
        macs=64 * 64 * weights,
        source=SWEPT,
        build=partial(synthetic.conv, filters=filters),
    )


def _synthetic_dense(units: int) -> Network:
    weights = 64 * units + 3 * units**2 + 10 * units
    return Network(
        name=f"synthetic-dense-{units}",
        family="Synthetic",
        title=f"five dense layers of {units} units",
        input_shape=(64,),
        params=weights + 4 * units + 10,
        macs=weights,
        source=SWEPT,
        build=partial(synthetic.dense, units=units),
    )


_NETWORKS = (
    _resnet(50, (3, 4, 6, 3), 25_636_712, 3_800_000_000),
    _resnet(101, (3, 4, 23, 3), 44_707_176, 7_600_000_000),
    _resnet(152, (3, 8, 36, 3), 60_419_944, 11_300_000_000),
    Network(
        name="mobilenet",
        family="MobileNet",
        title="MobileNet 1.0",
        input_shape=(224, 224, 3),
        params=4_253_864,
        macs=569_000_000,
        source=f"{KERAS}; MACs: Howard et al. (2017), table 4",
        build=mobilenet.mobilenet_v1,
    ),
    Network(
        name="mobilenetv2",
        family="MobileNet",
        title="MobileNetV2 1.0",
        input_shape=(224, 224, 3),
        params=3_538_984,
        macs=300_000_000,
        source=f"{KERAS}; MACs: Sandler et al. (CVPR 2018), table 4",
        build=mobilenet.mobilenet_v2,
    ),
    Network(
        name="inceptionv3",
        family="Inception",
        title="Inception-v3",
        input_shape=(299, 299, 3),
        params=23_851_784,
        macs=5_720_000_000,
        source=f"{KERAS}; MACs: {NASNET}",
        build=inception_v3.inception_v3,
    ),
    _synthetic_conv(512),
    _synthetic_dense(2048),
)

CATALOGUE: Mapping[str, Network] = MappingProxyType({network.name: network for network in _NETWORKS})


def names() -> tuple[str, ...]:
    """Return the names of all networks, in the order of the catalogue."""
    return tuple(CATALOGUE)


def get(name: str) -> Network:
    """Return the network of that name; the synthetic ones exist for any number of filters or units.

    Raises:
        UsageError: there is none.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    if swept := re.fullmatch(r"synthetic-(conv|dense)-(\d{1,9})", name):
        return _sweep(swept[1], int(swept[2]))
    near = difflib.get_close_matches(name.lower(), CATALOGUE, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known networks: {', '.join(CATALOGUE)}"
    raise UsageError(f"the zoo has no network {name!r}", hint)


def _sweep(kind: str, width: int) -> Network:
    if not 1 <= width <= LARGEST_SWEPT:
        raise UsageError(f"synthetic-{kind}-{width} is out of range", f"the width lies between 1 and {LARGEST_SWEPT}")
    return _synthetic_conv(width) if kind == "conv" else _synthetic_dense(width)
