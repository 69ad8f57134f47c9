"""Networks for images of 32 x 32 pixels, measured over USB on a Raspberry Pi 4: no row of theirs had a part in a fit.

Drawn as the usual PyTorch implementations for CIFAR-100 have them. GoogLeNet is not: no drawing has its published size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.calibration.measurements import Row
from benchmarks.calibration.networks import drawn
from segsolve.cost.plan import score_cut
from segsolve.device.model import MIB, Device
from segsolve.device.ranges import time_range
from segsolve.profile.analytic import AnalyticCosts
from segsolve.report.ranges import regime_of
from segsolve.zoo import mobilenet
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value

_CLASSES = 100
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def resnet(net: Builder, depths: Sequence[int], *, bottleneck: bool) -> Value:
    """Draw a ResNet whose stem keeps the size of the image."""
    x = net.conv("conv1", net.input(32, 32, 3), 64, 3, activation="RELU")
    for stage, depth in enumerate(depths):
        for block in range(depth):
            strides = 2 if stage and block == 0 else 1
            x = _residual(net, f"stage{stage}_{block}", x, 64 * 2**stage, strides=strides, bottleneck=bottleneck)
    return _classifier(net, x)


def _residual(net: Builder, name: str, x: Value, filters: int, *, strides: int, bottleneck: bool) -> Value:
    outputs = 4 * filters if bottleneck else filters
    keeps = strides == 1 and x.shape[3] == outputs
    shortcut = x if keeps else net.conv(f"{name}_shortcut", x, outputs, 1, strides=strides)
    y = net.conv(f"{name}_1", x, filters, 1, activation="RELU") if bottleneck else x
    y = net.conv(f"{name}_2", y, filters, 3, strides=strides, activation="RELU")
    y = net.conv(f"{name}_3", y, outputs, 1 if bottleneck else 3)
    return net.add(f"{name}_add", shortcut, y, activation="RELU")


def wide_resnet(net: Builder) -> Value:
    """Draw WRN-28-10, which normalises before it convolves."""
    x = net.conv("conv1", net.input(32, 32, 3), 16, 3)
    for stage in range(3):
        for block in range(4):
            filters, strides, name = 160 * 2**stage, 2 if stage and block == 0 else 1, f"stage{stage}_{block}"
            normed = net.batch_norm(f"{name}_norm", x, activation="RELU")
            keeps = x.shape[3] == filters
            shortcut = x if keeps else net.conv(f"{name}_shortcut", normed, filters, 1, strides=strides)
            y = net.conv(f"{name}_1", normed, filters, 3, strides=strides, activation="RELU")
            x = net.add(f"{name}_add", shortcut, net.conv(f"{name}_2", y, filters, 3))
    return _classifier(net, net.batch_norm("norm", x, activation="RELU"))


def vgg19(net: Builder) -> Value:
    """Draw VGG-19 with one dense layer."""
    x = net.input(32, 32, 3)
    for stage, depth in enumerate((2, 2, 4, 4, 4)):
        for layer in range(depth):
            x = net.conv(f"conv{stage}_{layer}", x, min(512, 64 * 2**stage), 3, activation="RELU")
        x = net.max_pool(f"pool{stage}", x, 2, strides=2)
    return _classifier(net, x)


def mobilenet_v2(net: Builder) -> Value:
    """Draw MobileNetV2, whose stem and second stage keep the size of the image."""
    x = net.conv("conv1", net.input(32, 32, 3), 32, 3, activation="RELU6")
    for stage, (expansion, filters, repetitions, first) in enumerate(mobilenet.V2_STAGES):
        for repetition in range(repetitions):
            strides = first if repetition == 0 and stage != 1 else 1
            name = f"stage{stage}_{repetition}"
            x = mobilenet.inverted_residual(net, name, x, expansion, filters=filters, strides=strides)
    return _classifier(net, net.conv("conv2", x, 1280, 1, activation="RELU6"))


def squeezenet(net: Builder) -> Value:
    """Draw SqueezeNet."""
    x = net.conv("conv1", net.input(32, 32, 3), 96, 3, activation="RELU")
    for index, (squeezed, expanded) in enumerate(_FIRES):
        if index in (0, 3, 7):
            x = net.max_pool(f"pool{index}", x, 2, strides=2)
        x = net.conv(f"squeeze{index}", x, squeezed, 1, activation="RELU")
        ends = [net.conv(f"expand{index}_{k}", x, expanded, k, activation="RELU") for k in (1, 3)]
        x = net.concat(f"fire{index}", ends)
    return net.global_mean("avg_pool", net.conv("conv10", x, _CLASSES, 1))


def _classifier(net: Builder, x: Value) -> Value:
    return net.dense("predictions", net.global_mean("avg_pool", x), _CLASSES)


# By the first words of the rows of latency_streaming.csv.
_NETWORKS: dict[str, Callable[[Builder], Value]] = {
    "SqueezeNet 1.1": squeezenet,
    "MobileNetV2": mobilenet_v2,
    "ResNet-18": partial(resnet, depths=(2, 2, 2, 2), bottleneck=False),
    "VGG-19": vgg19,
    "ResNet-50": partial(resnet, depths=(3, 4, 6, 3), bottleneck=True),
    "WRN-28-10": wide_resnet,
}


def check(table: Sequence[Row], device: Device) -> list[dict[str, Any]]:
    """Return bytes on and off chip, in MiB, and times, in ms, as published and as predicted for `device`."""
    rows = ((row, row["model"].removesuffix(" CIFAR-100 32x32 INT8")) for row in table)
    return [_checked(row, name, device) for row, name in rows if name in _NETWORKS and name != row["model"]]


def _checked(row: Row, name: str, device: Device) -> dict[str, Any]:
    problem = AnalyticCosts(graph=drawn(f"cifar-{name}", _NETWORKS[name]), device=device).problem(tpus=1)
    stage = score_cut(problem, ()).stages[0]
    low, high = time_range(device.ranges, regime_of(stage), stage.time_ns) or (0, 0)
    return {
        "network": name,
        "published_mib": [float(row["onchip_mib"]), float(row["offchip_mib"])],
        "predicted_mib": [stage.onchip_bytes / MIB, stage.offchip_bytes / MIB],
        "ms": float(row["ms"]),
        "predicted_ms": stage.time_ns / 1e6,
        "error": stage.time_ns / 1e6 / float(row["ms"]) - 1,
        "inside": low <= float(row["ms"]) * 1e6 <= high,
    }
