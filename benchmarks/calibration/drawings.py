"""Networks of the measurements that the zoo lacks, drawn layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from segsolve.zoo import inception_resnet, mobilenet
from segsolve.zoo.builder import Builder
from segsolve.zoo.inception import Cells
from segsolve.zoo.steps import Value


def inception_v1(net: Builder) -> Value:
    """Draw GoogLeNet with batch normalisation, as TF-Slim does: 3x3 in place of 5x5."""
    x = net.conv("conv1", net.input(224, 224, 3), 64, 7, strides=2, activation="RELU", norm=3)
    x = net.max_pool("pool1", x, 3, strides=2, padding="SAME")
    x = net.conv("conv2", x, 64, 1, activation="RELU", norm=3)
    x = net.conv("conv3", x, 192, 3, activation="RELU", norm=3)
    x = net.max_pool("pool2", x, 3, strides=2, padding="SAME")
    for name, filters in _CELLS.items():
        if name in ("4a", "5a"):
            x = net.max_pool(f"pool{name[0]}", x, 3 if name == "4a" else 2, strides=2, padding="SAME")
        x = _cell(net, name, x, filters)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


_CELLS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _cell(net: Builder, name: str, x: Value, filters: Sequence[int]) -> Value:
    conv = partial(net.conv, activation="RELU")
    one, in3, out3, in5, out5, pooled = filters
    ends = [
        conv(f"{name}_1x1", x, one, 1),
        conv(f"{name}_3x3", conv(f"{name}_3x3_in", x, in3, 1), out3, 3),
        conv(f"{name}_5x5", conv(f"{name}_5x5_in", x, in5, 1), out5, 3),
        conv(f"{name}_pool_1x1", net.max_pool(f"{name}_pool", x, 3, strides=1, padding="SAME"), pooled, 1),
    ]
    return net.concat(name, ends)


_EDGETPU_STAGES = (  # repetitions, kernel, stride, expansion, filters, expanded by a full convolution, with residuals
    (1, 3, 1, 4, 24, True, False),
    (2, 3, 2, 8, 32, True, True),
    (4, 3, 2, 8, 48, True, True),
    (5, 5, 2, 8, 96, False, True),
    (4, 5, 1, 8, 144, False, True),
    (2, 5, 2, 8, 192, False, True),
)


def efficientnet_edgetpu(net: Builder, size: int, width: float, depth: float) -> Value:
    """Draw EfficientNet-EdgeTPU, after github.com/tensorflow/tpu, efficientnet_edgetpu."""
    conv = partial(net.conv, activation="RELU")
    x = conv("stem", net.input(size, size, 3), _rounded(32 * width), 3, strides=2)
    for stage, (repetitions, kernel, stride, expansion, filters, full, residual) in enumerate(_EDGETPU_STAGES):
        for block in range(math.ceil(repetitions * depth)):
            name, strides = f"stage{stage}_{block}", stride if block == 0 else 1
            if full:
                y = conv(f"{name}_expand", x, expansion * x.shape[3], kernel, strides=strides)
            else:
                y = conv(f"{name}_expand", x, expansion * x.shape[3], 1)
                y = net.depthwise(f"{name}_depthwise", y, kernel, strides=strides, activation="RELU")
            y = net.conv(f"{name}_project", y, _rounded(filters * width), 1)
            x = net.add(f"{name}_add", x, y) if residual and x.shape == y.shape else y
    x = conv("head", x, _rounded(1280 * width), 1)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


def _rounded(filters: float) -> int:
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def mobilenet_v1(net: Builder, size: int, width: float) -> Value:
    """Draw MobileNet of another width."""
    x = net.conv("conv1", net.input(size, size, 3), max(8, int(32 * width)), 3, strides=2, activation="RELU6")
    for index, (filters, strides) in enumerate(mobilenet.V1_BLOCKS):
        x = net.depthwise(f"depthwise{index}", x, 3, strides=strides, activation="RELU6")
        x = net.conv(f"pointwise{index}", x, max(8, int(filters * width)), 1, activation="RELU6")
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


def resnet_v1_slim(net: Builder, depths: Sequence[int], size: int) -> Value:
    """Draw a ResNet as TF-Slim does: a stage halves its map at its end, in the 3x3 convolution."""
    x = net.pad("conv1_pad", net.input(size, size, 3), 3, 3)
    x = net.conv("conv1", x, 64, 7, strides=2, padding="VALID", activation="RELU", norm=3)
    x = net.max_pool("pool1", x, 3, strides=2, padding="SAME")
    for stage, depth in enumerate(depths):
        for block in range(depth):
            strides = 2 if block == depth - 1 and stage < len(depths) - 1 else 1
            x = _bottleneck(net, f"stage{stage}_{block}", x, 64 * 2**stage, strides)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


def _bottleneck(net: Builder, name: str, x: Value, filters: int, strides: int) -> Value:
    if x.shape[3] != 4 * filters:
        shortcut = net.conv(f"{name}_shortcut", x, 4 * filters, 1, strides=strides, norm=3)
    else:
        shortcut = net.max_pool(f"{name}_pool", x, 1, strides=strides) if strides > 1 else x
    y = net.conv(f"{name}_1", x, filters, 1, activation="RELU", norm=3)
    y = net.conv(f"{name}_2", y, filters, 3, strides=strides, activation="RELU", norm=3)
    y = net.conv(f"{name}_3", y, 4 * filters, 1, norm=3)
    return net.add(f"{name}_add", shortcut, y, activation="RELU")


def inception_resnet_v2_auxiliary(net: Builder) -> Value:
    """Draw Inception-ResNet-v2 up to its auxiliary classifier, TF-Slim's AuxLogits."""
    x = inception_resnet.up_to_blocks17(Cells(net, norm=3), net.input(299, 299, 3))
    x = net.avg_pool("aux_pool", x, 5, strides=3)
    x = net.conv("aux_conv1", x, 128, 1, activation="RELU", norm=3)
    x = net.conv("aux_conv2", x, 768, 5, padding="VALID", activation="RELU", norm=3)
    return net.classifier("predictions", net.flatten("aux_flat", x), 1001)


def densenet_without_bottleneck(net: Builder, depths: Sequence[int] = (6, 12, 24, 16), growth: int = 32) -> Value:
    """Draw a DenseNet whose layers are one 3x3 convolution each; a transition halves the channels."""
    x = net.conv("conv1", net.input(224, 224, 3), 64, 7, strides=2, activation="RELU", norm=3)
    x = net.max_pool("pool1", x, 3, strides=2, padding="SAME")
    for block, depth in enumerate(depths):
        for layer in range(depth):
            name = f"block{block}_{layer}"
            y = net.conv(f"{name}_conv", net.batch_norm(f"{name}_norm", x, activation="RELU"), growth, 3, bias=False)
            x = net.concat(f"{name}_concat", (x, y))
        if block < len(depths) - 1:
            x = net.batch_norm(f"transition{block}_norm", x, activation="RELU")
            x = net.conv(f"transition{block}_conv", x, x.shape[3] // 2, 1, bias=False)
            x = net.avg_pool(f"transition{block}_pool", x, 2)
    x = net.batch_norm("norm", x, activation="RELU")
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


def inception_v2(net: Builder) -> Value:
    """Draw Inception v2 as TF-Slim does; its first convolution is separable there, and plain here."""
    x = net.conv("conv1", net.input(224, 224, 3), 64, 7, strides=2, activation="RELU", norm=3)
    x = net.max_pool("pool1", x, 3, strides=2, padding="SAME")
    x = net.conv("conv2", x, 64, 1, activation="RELU", norm=3)
    x = net.conv("conv3", x, 192, 3, activation="RELU", norm=3)
    x = net.max_pool("pool2", x, 3, strides=2, padding="SAME")
    for name, cell in _V2_CELLS.items():
        x = _v2_cell(net, name, x, *cell)
    return net.classifier("predictions", net.global_mean("avg_pool", x), 1001)


# Filters of the branches 1x1, 1x1-3x3, 1x1-3x3-3x3 and pool-1x1; without first and last, the cell halves its map.
_V2_CELLS: dict[str, tuple[int, tuple[int, int], tuple[int, int], int]] = {
    "3b": (64, (64, 64), (64, 96), 32),
    "3c": (64, (64, 96), (64, 96), 64),
    "4a": (0, (128, 160), (64, 96), 0),
    "4b": (224, (64, 96), (96, 128), 128),
    "4c": (192, (96, 128), (96, 128), 128),
    "4d": (160, (128, 160), (128, 160), 96),
    "4e": (96, (128, 192), (160, 192), 96),
    "5a": (0, (128, 192), (192, 256), 0),
    "5b": (352, (192, 320), (160, 224), 128),
    "5c": (352, (192, 320), (192, 224), 128),
}


def _v2_cell(
    net: Builder, name: str, x: Value, one: int, middle: tuple[int, int], deep: tuple[int, int], pooled: int
) -> Value:
    conv, strides = partial(net.conv, activation="RELU", norm=3), 1 if one else 2
    y = conv(f"{name}_3x3", conv(f"{name}_3x3_in", x, middle[0], 1), middle[1], 3, strides=strides)
    z = conv(f"{name}_deep", conv(f"{name}_deep_in", x, deep[0], 1), deep[1], 3)
    z = conv(f"{name}_deeper", z, deep[1], 3, strides=strides)
    if not one:
        return net.concat(name, [y, z, net.max_pool(f"{name}_pool", x, 3, strides=2, padding="SAME")])
    pool = net.avg_pool(f"{name}_pool", x, 3, strides=1, padding="SAME")
    return net.concat(name, [conv(f"{name}_1x1", x, one, 1), y, z, conv(f"{name}_pool_1x1", pool, pooled, 1)])
