"""The networks of the zoo, with the sizes that were published for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from segsolve.errors import UsageError
from segsolve.zoo import (
    densenet,
    efficientdet_lite,
    efficientnet_lite,
    inception_resnet,
    inception_v3,
    inception_v4,
    mobilenet,
    nasnet,
    resnet,
    resnet_v2,
    squeezenet,
    ssd,
    synthetic,
    vgg,
    xception,
    yolo,
)
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

KERAS = "parameters: Keras Applications, count_params()"
TIMM = "parameters: timm, the trainable ones"
TORCHVISION = "torchvision, table of classification weights"
NASNET = "MACs: Zoph et al. (CVPR 2018), table 2"
COUNTED = "MACs: counted from the layers"
LITE = "MACs: github.com/tensorflow/tpu, EfficientNet-lite (counts normalisations too)"
SWEPT = "Villarrubia et al., arXiv:2503.01025; counted from the layers"
WIDEST = {"conv": 4096, "dense": 8192}  # filters and units; wider ones take several GB of memory to build


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


def _resnets() -> Iterator[Network]:
    for depth, depths, params, macs in (
        (50, (3, 4, 6, 3), 25_636_712, 3_800_000_000),
        (101, (3, 4, 23, 3), 44_707_176, 7_600_000_000),
        (152, (3, 8, 36, 3), 60_419_944, 11_300_000_000),
    ):
        yield Network(
            name=f"resnet{depth}",
            family="ResNet",
            title=f"ResNet-{depth}",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; MACs: He et al. (CVPR 2016), table 1",
            build=partial(resnet.resnet, depths=depths),
        )


def _resnets_v2() -> Iterator[Network]:
    for depth, depths, params, macs in (
        (50, (3, 4, 6, 3), 25_613_800, 3_482_255_360),
        (101, (3, 4, 23, 3), 44_675_560, 7_194_476_544),
        (152, (3, 8, 36, 3), 60_380_648, 10_906_697_728),
    ):
        yield Network(
            name=f"resnet{depth}v2",
            family="ResNet V2",
            title=f"ResNet-{depth} V2",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; {COUNTED}",
            build=partial(resnet_v2.resnet_v2, depths=depths),
        )


def _mobilenets() -> Iterator[Network]:
    for name, title, params, macs, paper, build in (
        ("mobilenet", "MobileNet", 4_253_864, 569_000_000, "Howard et al. (2017)", mobilenet.mobilenet_v1),
        ("mobilenetv2", "MobileNetV2", 3_538_984, 300_000_000, "Sandler et al. (CVPR 2018)", mobilenet.mobilenet_v2),
    ):
        yield Network(
            name=name,
            family="MobileNet",
            title=f"{title} 1.0",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; MACs: {paper}, table 4",
            build=build,
        )


def _inceptions() -> Iterator[Network]:
    v3, v4, residual = inception_v3.inception_v3, inception_v4.inception_v4, inception_resnet.inception_resnet_v2
    slim = f"{TIMM}; MACs: the same; order of operations after TF-Slim, not checked against a converted file"
    for name, title, params, macs, source, build in (
        ("inceptionv3", "Inception-v3", 23_851_784, 5_720_000_000, f"{KERAS}; {NASNET}", v3),
        ("inceptionv4", "Inception-v4", 42_679_816, 12_300_000_000, slim, v4),
        ("inceptionresnetv2", "Inception-ResNet-v2", 55_873_736, 13_200_000_000, f"{KERAS}; {NASNET}", residual),
    ):
        yield Network(
            name=name,
            family="Inception",
            title=title,
            input_shape=(299, 299, 3),
            params=params,
            macs=macs,
            source=source,
            build=build,
        )


def _densenets() -> Iterator[Network]:
    for depth, depths, params, macs in (
        (121, (6, 12, 24, 16), 8_062_504, 2_830_000_000),
        (169, (6, 12, 32, 32), 14_307_880, 3_360_000_000),
        (201, (6, 12, 48, 32), 20_242_984, 4_290_000_000),
    ):
        yield Network(
            name=f"densenet{depth}",
            family="DenseNet",
            title=f"DenseNet-{depth}",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; MACs: {TORCHVISION}",
            build=partial(densenet.densenet, depths=depths),
        )


def _vggs() -> Iterator[Network]:
    for layers, depths, params, macs in (
        (16, (2, 2, 3, 3, 3), 138_357_544, 15_300_000_000),
        (19, (2, 2, 4, 4, 4), 143_667_240, 19_600_000_000),
    ):
        yield Network(
            name=f"vgg{layers}",
            family="VGG",
            title=f"VGG-{layers}",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; MACs: He et al. (CVPR 2016), section 4.1",
            build=partial(vgg.vgg, depths=depths),
        )


def _squeezenets() -> Iterator[Network]:
    for version, params, macs, build in (
        ("1.0", 1_248_424, 820_000_000, squeezenet.squeezenet_1_0),
        ("1.1", 1_235_496, 350_000_000, squeezenet.squeezenet_1_1),
    ):
        yield Network(
            name=f"squeezenet{version}",
            family="SqueezeNet",
            title=f"SqueezeNet {version}",
            input_shape=(224, 224, 3),
            params=params,
            macs=macs,
            source=f"{TORCHVISION}; not in Keras: not checked against a converted file",
            build=build,
        )


def _efficientnets() -> Iterator[Network]:
    for index, (size, width, depth, params, macs) in enumerate(
        (
            (224, 1.0, 1.0, 4_652_008, 407_000_000),
            (240, 1.0, 1.1, 5_416_680, 631_000_000),
            (260, 1.1, 1.2, 6_092_072, 899_000_000),
            (280, 1.2, 1.4, 8_197_096, 1_440_000_000),
            (300, 1.4, 1.8, 13_006_568, 2_640_000_000),
        )
    ):
        yield Network(
            name=f"efficientnet-lite{index}",
            family="EfficientNet-Lite",
            title=f"EfficientNet-Lite{index}",
            input_shape=(size, size, 3),
            params=params,
            macs=macs,
            source=f"{TIMM}; {LITE}; not in Keras: not checked against a converted file",
            build=partial(efficientnet_lite.efficientnet_lite, size=size, width=width, depth=depth),
        )


def _detectors() -> Iterator[Network]:
    config = "object_detection of TensorFlow; counted from the layers"
    for name, title, size, params, macs, source, build in (
        (
            *("ssd-mobilenetv1", "SSD MobileNet v1", 300, 6_845_183, 1_200_000_000),
            "Howard et al. (2017), table 13: 6.8 million parameters, 1.2 billion MACs",
            ssd.ssd_mobilenet_v1,
        ),
        ("ssd-mobilenetv2", "SSD MobileNet v2", 300, 6_103_999, 772_779_056, config, ssd.ssd_mobilenet_v2),
        ("ssdlite-mobiledet", "SSDLite MobileDet", 320, 4_196_095, 1_533_181_504, config, ssd.ssdlite_mobiledet),
    ):
        yield Network(
            name=name,
            family="SSD",
            title=title,
            input_shape=(size, size, 3),
            params=params,
            macs=macs,
            source=source,
            build=build,
        )
    for index, (size, width, depth, filters, cells, params, macs, published) in enumerate(
        (
            (320, 1.0, 1.0, 64, 3, 3_243_470, 973_589_696, 3.2),
            (384, 1.0, 1.1, 88, 4, 4_248_318, 1_966_649_904, 4.2),
            (448, 1.1, 1.2, 112, 5, 5_252_334, 3_371_304_384, 5.3),
        )
    ):
        yield Network(
            name=f"efficientdet-lite{index}",
            family="EfficientDet-Lite",
            title=f"EfficientDet-Lite{index}",
            input_shape=(size, size, 3),
            params=params,
            macs=macs,
            source=f"parameters: github.com/google/automl, {published} million; {COUNTED}",
            build=partial(
                efficientdet_lite.efficientdet_lite, size=size, width=width, depth=depth, filters=filters, cells=cells
            ),
        )
    for name, title, params, macs, flops, draw in (
        ("yolov5s", "YOLOv5s", 7_235_389, 2_062_500_000, "16.5", yolo.yolov5s),
        ("yolov8n", "YOLOv8n", 3_157_200, 1_087_500_000, "8.7", yolo.yolov8n),
    ):
        yield Network(
            name=name,
            family="YOLO",
            title=f"{title} at 320",
            input_shape=(320, 320, 3),
            params=params,
            macs=macs,
            source=f"Ultralytics, summary of {title}: {flops} billion FLOPs at 640, an eighth as many MACs at 320",
            build=partial(draw, size=320),
        )


def _others() -> Iterator[Network]:
    for name, family, title, size, params, macs, build in (
        ("xception", "Xception", "Xception", 299, 22_910_480, 8_380_000_000, xception.xception),
        ("nasnetmobile", "NASNet", "NASNet-A (4 @ 1056)", 224, 5_326_716, 564_000_000, nasnet.nasnet_mobile),
    ):
        yield Network(
            name=name,
            family=family,
            title=title,
            input_shape=(size, size, 3),
            params=params,
            macs=macs,
            source=f"{KERAS}; {NASNET}",
            build=build,
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
        title=f"four dense layers of {units} units and one of 10",
        input_shape=(64,),
        params=weights + 4 * units + 10,
        macs=weights,
        source=SWEPT,
        build=partial(synthetic.dense, units=units),
    )


_NETWORKS = (
    *_resnets(),
    *_resnets_v2(),
    *_mobilenets(),
    *_efficientnets(),
    *_inceptions(),
    *_densenets(),
    *_vggs(),
    *_squeezenets(),
    *_others(),
    *_detectors(),
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
    if not 1 <= width <= WIDEST[kind]:
        raise UsageError(f"synthetic-{kind}-{width} is out of range", f"the width lies between 1 and {WIDEST[kind]}")
    return _synthetic_conv(width) if kind == "conv" else _synthetic_dense(width)
