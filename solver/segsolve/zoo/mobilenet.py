"""MobileNet v1 (Howard et al., 2017, table 1) and v2 (Sandler et al., CVPR 2018, table 2), width 1.0."""

from __future__ import annotations

from segsolve.zoo.builder import LOGIT_STD, Builder
from segsolve.zoo.steps import Value

V1_BLOCKS = (  # filters, strides
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
V2_STAGES = (  # expansion, filters, repetitions, strides of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v1(net: Builder) -> Value:
    """Draw MobileNet; its classifier is a convolution."""
    x = net.conv("conv1", net.input(224, 224, 3), 32, 3, strides=2, activation="RELU6", bias=False, norm=4)
    for index, (filters, strides) in enumerate(V1_BLOCKS, start=1):
        x = net.depthwise(f"conv_dw_{index}", x, 3, strides=strides, activation="RELU6", bias=False, norm=4)
        x = net.conv(f"conv_pw_{index}", x, filters, 1, activation="RELU6", bias=False, norm=4)
    x = net.global_mean("avg_pool", x, keep_dims=True)
    x = net.conv("conv_preds", x, 1000, 1, std=LOGIT_STD)
    return net.softmax("predictions", net.flatten("reshape_2", x))


def mobilenet_v2(net: Builder) -> Value:
    """Draw MobileNetV2."""
    x = net.conv("Conv1", net.input(224, 224, 3), 32, 3, strides=2, activation="RELU6", bias=False, norm=4)
    block = 0
    for expansion, filters, repetitions, first_strides in V2_STAGES:
        for repetition in range(repetitions):
            strides = first_strides if repetition == 0 else 1
            x = inverted_residual(net, f"block_{block}", x, expansion, filters=filters, strides=strides)
            block += 1
    x = net.conv("Conv_1", x, 1280, 1, padding="VALID", activation="RELU6", bias=False, norm=4)
    return net.classifier("predictions", net.global_mean("avg_pool", x))


def inverted_residual(net: Builder, name: str, x: Value, expansion: int, *, filters: int, strides: int) -> Value:
    """Draw a block of MobileNetV2."""
    y = x
    if expansion > 1:
        y = net.conv(f"{name}_expand", x, expansion * x.shape[3], 1, activation="RELU6", bias=False, norm=4)
    y = net.depthwise(f"{name}_depthwise", y, 3, strides=strides, activation="RELU6", bias=False, norm=4)
    y = net.conv(f"{name}_project", y, filters, 1, bias=False, norm=4)
    return net.add(f"{name}_add", x, y) if strides == 1 and x.shape == y.shape else y
