"""The networks of the zoo, with the sizes that were published for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
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
UNCHECKED = "not in Keras: not checked against a converted file"
OBJECT_DETECTION = "object_detection of TensorFlow; counted from the layers"
SWEPT = "Villarrubia et al., arXiv:2503.01025; counted from the layers"
WIDEST = {"conv": 4096, "dense": 8192}  # filters and units; wider ones take several GB of memory to build

Drawing = Callable[[Builder], Value]


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
    build: Drawing


def _family(family: str, size: int, source: str) -> Callable[[str, str, int, int, Drawing], Network]:
    """Return what makes a network of a family, whose images are of one size and whose figures are of one source."""

    def network(name: str, title: str, params: int, macs: int, build: Drawing) -> Network:
        return Network(
            name=name,
            family=family,
            title=title,
            input_shape=(size, size, 3),
            params=params,
            macs=macs,
            source=source,
            build=build,
        )

    return network


def _efficientnet(index: int, size: int, width: float, depth: float, params: int, macs: int) -> Network:
    build = partial(efficientnet_lite.efficientnet_lite, size=size, width=width, depth=depth)
    name, family = f"Lite{index}", _family("EfficientNet-Lite", size, f"{TIMM}; {LITE}; {UNCHECKED}")
    return family(f"efficientnet-{name.lower()}", f"EfficientNet-{name}", params, macs, build)


def _efficientdet(
    index: int, sizes: tuple[int, float, float, int, int], params: int, macs: int, published: str
) -> Network:
    size, width, depth, filters, cells = sizes
    build = partial(
        efficientdet_lite.efficientdet_lite, size=size, width=width, depth=depth, filters=filters, cells=cells
    )
    source = f"parameters: github.com/google/automl, {published} million; {COUNTED}"
    name, family = f"Lite{index}", _family("EfficientDet-Lite", size, source)
    return family(f"efficientdet-{name.lower()}", f"EfficientDet-{name}", params, macs, build)


def _yolo(name: str, params: int, macs: int, flops: str, draw: Callable[..., Value]) -> Network:
    size = 320
    source = f"Ultralytics, summary of {name}: {flops} billion FLOPs at 640, an eighth as many MACs at {size}"
    return _family("YOLO", size, source)(name.lower(), f"{name} at {size}", params, macs, partial(draw, size=size))


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


_resnet = _family("ResNet", 224, f"{KERAS}; MACs: He et al. (CVPR 2016), table 1")
_resnet_v2 = _family("ResNet V2", 224, f"{KERAS}; {COUNTED}")
_mobilenet_v1 = _family("MobileNet", 224, f"{KERAS}; MACs: Howard et al. (2017), table 4")
_mobilenet_v2 = _family("MobileNet", 224, f"{KERAS}; MACs: Sandler et al. (CVPR 2018), table 4")
_inception = _family("Inception", 299, f"{KERAS}; {NASNET}")
_inception_slim = _family(
    "Inception", 299, f"{TIMM}; MACs: the same; order of operations after TF-Slim, not checked against a converted file"
)
_densenet = _family("DenseNet", 224, f"{KERAS}; MACs: {TORCHVISION}")
_vgg = _family("VGG", 224, f"{KERAS}; MACs: He et al. (CVPR 2016), section 4.1")
_squeezenet = _family("SqueezeNet", 224, f"{TORCHVISION}; {UNCHECKED}")
_xception = _family("Xception", 299, f"{KERAS}; {NASNET}")
_nasnet = _family("NASNet", 224, f"{KERAS}; {NASNET}")
_ssd = _family("SSD", 300, OBJECT_DETECTION)
_ssd_v1 = _family("SSD", 300, "Howard et al. (2017), table 13: 6.8 million parameters, 1.2 billion MACs")
_ssdlite = _family("SSD", 320, OBJECT_DETECTION)

_NETWORKS = (
    _resnet("resnet50", "ResNet-50", 25_636_712, 3_800_000_000, partial(resnet.resnet, depths=(3, 4, 6, 3))),
    _resnet("resnet101", "ResNet-101", 44_707_176, 7_600_000_000, partial(resnet.resnet, depths=(3, 4, 23, 3))),
    _resnet("resnet152", "ResNet-152", 60_419_944, 11_300_000_000, partial(resnet.resnet, depths=(3, 8, 36, 3))),
    _resnet_v2(
        "resnet50v2", "ResNet-50 V2", 25_613_800, 3_482_255_360, partial(resnet_v2.resnet_v2, depths=(3, 4, 6, 3))
    ),
    _resnet_v2(
        "resnet101v2", "ResNet-101 V2", 44_675_560, 7_194_476_544, partial(resnet_v2.resnet_v2, depths=(3, 4, 23, 3))
    ),
    _resnet_v2(
        "resnet152v2", "ResNet-152 V2", 60_380_648, 10_906_697_728, partial(resnet_v2.resnet_v2, depths=(3, 8, 36, 3))
    ),
    _mobilenet_v1("mobilenet", "MobileNet 1.0", 4_253_864, 569_000_000, mobilenet.mobilenet_v1),
    _mobilenet_v2("mobilenetv2", "MobileNetV2 1.0", 3_538_984, 300_000_000, mobilenet.mobilenet_v2),
    _efficientnet(0, 224, 1.0, 1.0, 4_652_008, 407_000_000),
    _efficientnet(1, 240, 1.0, 1.1, 5_416_680, 631_000_000),
    _efficientnet(2, 260, 1.1, 1.2, 6_092_072, 899_000_000),
    _efficientnet(3, 280, 1.2, 1.4, 8_197_096, 1_440_000_000),
    _efficientnet(4, 300, 1.4, 1.8, 13_006_568, 2_640_000_000),
    _inception("inceptionv3", "Inception-v3", 23_851_784, 5_720_000_000, inception_v3.inception_v3),
    _inception_slim("inceptionv4", "Inception-v4", 42_679_816, 12_300_000_000, inception_v4.inception_v4),
    _inception(
        *("inceptionresnetv2", "Inception-ResNet-v2", 55_873_736, 13_200_000_000), inception_resnet.inception_resnet_v2
    ),
    _densenet(
        "densenet121", "DenseNet-121", 8_062_504, 2_830_000_000, partial(densenet.densenet, depths=(6, 12, 24, 16))
    ),
    _densenet(
        "densenet169", "DenseNet-169", 14_307_880, 3_360_000_000, partial(densenet.densenet, depths=(6, 12, 32, 32))
    ),
    _densenet(
        "densenet201", "DenseNet-201", 20_242_984, 4_290_000_000, partial(densenet.densenet, depths=(6, 12, 48, 32))
    ),
    _vgg("vgg16", "VGG-16", 138_357_544, 15_300_000_000, partial(vgg.vgg, depths=(2, 2, 3, 3, 3))),
    _vgg("vgg19", "VGG-19", 143_667_240, 19_600_000_000, partial(vgg.vgg, depths=(2, 2, 4, 4, 4))),
    _squeezenet("squeezenet1.0", "SqueezeNet 1.0", 1_248_424, 820_000_000, squeezenet.squeezenet_1_0),
    _squeezenet("squeezenet1.1", "SqueezeNet 1.1", 1_235_496, 350_000_000, squeezenet.squeezenet_1_1),
    _xception("xception", "Xception", 22_910_480, 8_380_000_000, xception.xception),
    _nasnet("nasnetmobile", "NASNet-A (4 @ 1056)", 5_326_716, 564_000_000, nasnet.nasnet_mobile),
    _ssd_v1("ssd-mobilenetv1", "SSD MobileNet v1", 6_845_183, 1_200_000_000, ssd.ssd_mobilenet_v1),
    _ssd("ssd-mobilenetv2", "SSD MobileNet v2", 6_103_999, 772_779_056, ssd.ssd_mobilenet_v2),
    _ssdlite("ssdlite-mobiledet", "SSDLite MobileDet", 4_196_095, 1_533_181_504, ssd.ssdlite_mobiledet),
    _efficientdet(0, (320, 1.0, 1.0, 64, 3), 3_243_470, 973_589_696, "3.2"),
    _efficientdet(1, (384, 1.0, 1.1, 88, 4), 4_248_318, 1_966_649_904, "4.2"),
    _efficientdet(2, (448, 1.1, 1.2, 112, 5), 5_252_334, 3_371_304_384, "5.3"),
    _yolo("YOLOv5s", 7_235_389, 2_062_500_000, "16.5", yolo.yolov5s),
    _yolo("YOLOv8n", 3_157_200, 1_087_500_000, "8.7", yolo.yolov8n),
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
