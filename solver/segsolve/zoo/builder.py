"""The vocabulary in which the papers describe their networks, as steps of a quantised .tflite model.

Names and defaults follow Keras. A batch normalisation behind a convolution is no step of its own: the TFLite converter
folds it into weights and bias, so ``conv`` only takes the number of parameters per channel that it would have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from segsolve.zoo.spread import Range, Spread
from segsolve.zoo.steps import Activation, ChannelConstant, Integers, Kernel, Padding, Reals, Step, Value, Window

IMAGE = Spread(mean=0.0, std=3**-0.5, floor=-1.0, ceiling=1.0)  # pixels scaled to [-1, 1], uniform
PROBABILITY = Range(0.0, 255 / 256)  # the output range that TFLite prescribes for SOFTMAX
LOGIT_STD = 3.0  # wide enough for several classes to get a probability above the resolution of 1/256

Pair = int | tuple[int, int]


class Builder:
    """Collects the steps of one network, with the number of its parameters as Keras counts them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.parameters = 0
        self.macs = 0
        self.image: Value | None = None

    def input(self, *shape: int) -> Value:
        """Return the network's input, without the batch dimension in ``shape``."""
        self.image = Value("image", (1, *shape), IMAGE, Range.covering(IMAGE))
        return self.image

    def conv(
        self,
        name: str,
        x: Value,
        filters: int,
        kernel: Pair,
        *,
        strides: int = 1,
        padding: Padding = "SAME",
        activation: Activation = "NONE",
        bias: bool = True,
        norm: int = 0,
        std: float = 1.0,
    ) -> Value:
        """Add a convolution; ``norm`` counts the parameters per channel of the batch normalisation behind it."""
        height, width = _pair(kernel)
        self.parameters += filters * (x.shape[3] * height * width + bias + norm)
        shape = filters, height, width, x.shape[3]
        weights = Kernel(shape, channel_axis=0, std=std, bias=bias or norm > 0, normalised=norm > 0)
        return self._convolve("CONV_2D", name, x, weights, Window((height, width), strides, padding, activation))

    def depthwise(
        self,
        name: str,
        x: Value,
        kernel: Pair,
        *,
        strides: int = 1,
        padding: Padding = "SAME",
        activation: Activation = "NONE",
        bias: bool = True,
        norm: int = 0,
    ) -> Value:
        """Add a convolution of every channel with a filter of its own."""
        (height, width), channels = _pair(kernel), x.shape[3]
        self.parameters += channels * (height * width + bias + norm)
        weights = Kernel((1, height, width, channels), channel_axis=3, bias=bias or norm > 0, normalised=norm > 0)
        window = Window((height, width), strides, padding, activation)
        return self._convolve("DEPTHWISE_CONV_2D", name, x, weights, window, depthMultiplier=1)

    def dense(self, name: str, x: Value, units: int, *, activation: Activation = "NONE", std: float = 1.0) -> Value:
        """Add a fully connected layer with bias."""
        self.parameters += (x.shape[-1] + 1) * units
        self.macs += x.shape[-1] * units
        return self._step(
            "FULLY_CONNECTED",
            name,
            (x,),
            shape=(1, units),
            spread=Spread(0.0, std).activated(activation),
            options={"fusedActivationFunction": activation},
            kernel=Kernel((units, x.shape[-1]), channel_axis=0, std=std),
        )

    def add(self, name: str, x: Value, y: Value, *, activation: Activation = "NONE") -> Value:
        """Add the sum of two tensors of the same shape."""
        spread = x.spread.plus(y.spread).activated(activation)
        options = {"fusedActivationFunction": activation}
        return self._step("ADD", name, (x, y), shape=x.shape, spread=spread, options=options)

    def batch_norm(self, name: str, x: Value, *, activation: Activation = "NONE") -> Value:
        """Add a batch normalisation that no convolution can absorb: a product and a sum with constants per channel."""
        self.parameters += 4 * x.shape[3]
        gain, shift = 1 / x.spread.std, -x.spread.mean / x.spread.std
        factor = ChannelConstant(f"{name}/factor", (x.shape[3],), 0.8 * gain, 1.2 * gain)
        summand = ChannelConstant(f"{name}/summand", (x.shape[3],), shift - 0.2, shift + 0.2)
        y = self._step(
            "MUL",
            f"{name}_mul",
            (x,),
            shape=x.shape,
            spread=Spread(-shift, 1.0),
            options={"fusedActivationFunction": "NONE"},
            constants=(factor,),
        )
        return self._step(
            "ADD",
            name,
            (y,),
            shape=x.shape,
            spread=Spread(0.0, 1.0).activated(activation),
            options={"fusedActivationFunction": activation},
            constants=(summand,),
        )

    def relu(self, name: str, x: Value) -> Value:
        """Add a ReLU that is not fused, because its input is needed elsewhere."""
        return self._step("RELU", name, (x,), shape=x.shape, spread=x.spread.activated("RELU"))

    def concat(self, name: str, values: Sequence[Value], axis: int = 3) -> Value:
        """Add the concatenation along an axis, by default the channels; TFLite wants one quantisation for all."""
        spread, size, shape = values[0].spread, values[0].shape[axis], values[0].shape
        for value in values[1:]:
            size += value.shape[axis]
            spread = spread.joined(value.spread, value.shape[axis] / size)
            values[0].range.tie(value.range)
        return self._step(
            "CONCATENATION",
            name,
            tuple(values),
            shape=(*shape[:axis], size, *shape[axis + 1 :]),
            spread=spread,
            covers=values[0].range,
            options={"axis": axis, "fusedActivationFunction": "NONE"},
        )

    def max_pool(
        self, name: str, x: Value, size: int, *, strides: int | None = None, padding: Padding = "VALID"
    ) -> Value:
        """Add a maximum over windows."""
        window = Window((size, size), strides or size, padding)
        return self._pool("MAX_POOL_2D", name, x, window, x.spread.maximum(size * size))

    def avg_pool(
        self, name: str, x: Value, size: int, *, strides: int | None = None, padding: Padding = "VALID"
    ) -> Value:
        """Add a mean over windows."""
        window = Window((size, size), strides or size, padding)
        return self._pool("AVERAGE_POOL_2D", name, x, window, x.spread.averaged(size * size))

    def global_mean(self, name: str, x: Value, *, keep_dims: bool = False) -> Value:
        """Add the mean over all positions."""
        return self._step(
            "MEAN",
            name,
            (x,),
            shape=(1, 1, 1, x.shape[3]) if keep_dims else (1, x.shape[3]),
            spread=x.spread.averaged(x.shape[1] * x.shape[2]),
            options={"keepDims": keep_dims},
            constants=(Integers(f"{name}/axes", (1, 2), (2,)),),
        )

    def pad(self, name: str, x: Value, top: int, bottom: int) -> Value:
        """Add ``top`` rows before and ``bottom`` rows after the image, and as many columns."""
        widths = Integers(f"{name}/paddings", (0, 0, top, bottom, top, bottom, 0, 0), (4, 2))
        shape = (1, x.shape[1] + top + bottom, x.shape[2] + top + bottom, x.shape[3])
        return self._step("PAD", name, (x,), shape=shape, spread=x.spread, covers=x.range, constants=(widths,))

    def crop(self, name: str, x: Value, top: int) -> Value:
        """Cut off the first ``top`` rows and columns."""
        slices = {"begin": (0, top, top, 0), "end": (0, 0, 0, 0), "strides": (1, 1, 1, 1)}
        return self._step(
            "STRIDED_SLICE",
            name,
            (x,),
            shape=(1, x.shape[1] - top, x.shape[2] - top, x.shape[3]),
            spread=x.spread,
            covers=x.range,
            options={"beginMask": 0b1001, "endMask": 0b1111},  # batch and channels whole, and all up to the end
            constants=tuple(Integers(f"{name}/{part}", values, (4,)) for part, values in slices.items()),
        )

    def flatten(self, name: str, x: Value) -> Value:
        """Add a reshape to a vector."""
        return self.reshape(name, x, (1, math.prod(x.shape)))

    def reshape(self, name: str, x: Value, shape: tuple[int, ...]) -> Value:
        """Add a reshape."""
        target = Integers(f"{name}/shape", shape, (len(shape),))
        return self._step("RESHAPE", name, (x,), shape=shape, spread=x.spread, covers=x.range, constants=(target,))

    def softmax(self, name: str, x: Value) -> Value:
        """Add class probabilities."""
        options = {"beta": 1.0}
        return self._step("SOFTMAX", name, (x,), shape=x.shape, spread=x.spread, covers=PROBABILITY, options=options)

    def logistic(self, name: str, x: Value) -> Value:
        """Add the logistic function of every element."""
        spread = Spread(0.5, 0.2, 0.0, 1.0)
        return self._step("LOGISTIC", name, (x,), shape=x.shape, spread=spread, covers=PROBABILITY)

    def silu(self, name: str, x: Value) -> Value:
        """Add x times its logistic function, as the converter writes the SiLU of PyTorch."""
        return self.multiply(name, x, self.logistic(f"{name}_gate", x), Spread(0.2, 0.6, -0.2785))

    def multiply(self, name: str, x: Value, y: Value, spread: Spread) -> Value:
        """Add the product of two tensors of the same shape, whose values have the given spread."""
        options = {"fusedActivationFunction": "NONE"}
        return self._step("MUL", name, (x, y), shape=x.shape, spread=spread, options=options)

    def scaled(self, name: str, x: Value, shape: tuple[int, ...], low: float, high: float) -> Value:
        """Add the product with a constant that broadcasts, of numbers between two bounds: strides, sizes of anchors."""
        constant, mean = ChannelConstant(f"{name}/factor", shape, low, high), (low + high) / 2
        spread = Spread(x.spread.mean * mean, x.spread.std * max(abs(low), abs(high)))
        options = {"fusedActivationFunction": "NONE"}
        return self._step("MUL", name, (x,), shape=x.shape, spread=spread, options=options, constants=(constant,))

    def shifted(self, name: str, x: Value, shape: tuple[int, ...], low: float, high: float) -> Value:
        """Add the sum with a constant that broadcasts, of numbers between two bounds: places of anchors."""
        constant = ChannelConstant(f"{name}/summand", shape, low, high)
        spread = x.spread.plus(Spread((low + high) / 2, (high - low) / math.sqrt(12)))
        options = {"fusedActivationFunction": "NONE"}
        return self._step("ADD", name, (x,), shape=x.shape, spread=spread, options=options, constants=(constant,))

    def subtract(self, name: str, x: Value, y: Value) -> Value:
        """Add the difference of two tensors of the same shape."""
        options = {"fusedActivationFunction": "NONE"}
        spread = x.spread.plus(Spread(-y.spread.mean, y.spread.std))
        return self._step("SUB", name, (x, y), shape=x.shape, spread=spread, options=options)

    def upsample(self, name: str, x: Value, height: int, width: int) -> Value:
        """Add an enlargement to a size by repeating the nearest element."""
        size = Integers(f"{name}/size", (height, width), (2,))
        shape, options = (1, height, width, x.shape[3]), {"alignCorners": False, "halfPixelCenters": True}
        return self._step(
            "RESIZE_NEAREST_NEIGHBOR",
            name,
            (x,),
            shape=shape,
            spread=x.spread,
            covers=x.range,
            options=options,
            constants=(size,),
        )

    def part(self, name: str, x: Value, first: int, end: int) -> Value:
        """Take the elements ``first`` to ``end`` (exclusive) of the last axis."""
        rank = len(x.shape)
        slices = {"begin": (0,) * (rank - 1) + (first,), "end": (0,) * (rank - 1) + (end,), "strides": (1,) * rank}
        whole = 2 ** (rank - 1) - 1
        return self._step(
            "STRIDED_SLICE",
            name,
            (x,),
            shape=(*x.shape[:-1], end - first),
            spread=x.spread,
            covers=x.range,
            options={"beginMask": whole, "endMask": whole},
            constants=tuple(Integers(f"{name}/{part}", values, (rank,)) for part, values in slices.items()),
        )

    def transpose(self, name: str, x: Value, order: tuple[int, ...]) -> Value:
        """Add a permutation of the axes."""
        places = Integers(f"{name}/order", order, (len(order),))
        shape = tuple(x.shape[axis] for axis in order)
        return self._step("TRANSPOSE", name, (x,), shape=shape, spread=x.spread, covers=x.range, constants=(places,))

    def requantize(self, name: str, x: Value) -> Value:
        """Add a change of the integers' scale, where an operation prescribes one that its reader must not have."""
        return self._step("QUANTIZE", name, (x,), shape=x.shape, spread=x.spread)

    def dequantize(self, name: str, x: Value) -> Value:
        """Add the conversion to real numbers."""
        return self._step("DEQUANTIZE", name, (x,), shape=x.shape, spread=x.spread, covers=x.range, is_real=True)

    def detections(
        self,
        name: str,
        boxes: Value,
        scores: Value,
        anchors: Sequence[float],
        *,
        most: int,
        options: Mapping[str, object],
    ) -> Value:
        """Add TFLite_Detection_PostProcess: boxes, classes, scores and number of the `most` best detections."""
        spread = Spread(0.5, 0.3, 0.0)
        shapes = ((1, most, 4), (1, most), (1, most), (1,))
        first, *further = (
            Value(f"{name}:{i}" if i else name, shape, spread, Range.covering(spread), is_real=True)
            for i, shape in enumerate(shapes)
        )
        constant = Reals(f"{name}/anchors", tuple(anchors), (len(anchors) // 4, 4))
        known = {"max_detections": most, "max_classes_per_detection": 1, **options}
        operator = "TFLite_Detection_PostProcess"
        self.steps.append(Step(operator, (boxes, scores), first, known, None, (constant,), tuple(further)))
        return first

    def classifier(self, name: str, x: Value, classes: int = 1000) -> Value:
        """Add a dense layer and its softmax."""
        return self.softmax(name, self.dense(f"{name}_logits", x, classes, std=LOGIT_STD))

    def _convolve(self, operator: str, name: str, x: Value, kernel: Kernel, window: Window, **options: object) -> Value:
        height, width = window.positions(x)
        self.macs += height * width * math.prod(kernel.shape)
        return self._step(
            operator,
            name,
            (x,),
            shape=(1, height, width, kernel.shape[kernel.channel_axis]),
            spread=Spread(0.0, kernel.std).activated(window.activation),
            options={**window.options(), "dilationHFactor": 1, "dilationWFactor": 1, **options},
            kernel=kernel,
        )

    def _pool(self, operator: str, name: str, x: Value, window: Window, spread: Spread) -> Value:
        shape = (1, *window.positions(x), x.shape[3])
        options = {**window.options(), "filterHeight": window.size[0], "filterWidth": window.size[1]}
        return self._step(operator, name, (x,), shape=shape, spread=spread, covers=x.range, options=options)

    def _step(
        self,
        operator: str,
        name: str,
        inputs: tuple[Value, ...],
        *,
        shape: tuple[int, ...],
        spread: Spread,
        covers: Range | None = None,
        options: Mapping[str, object] | None = None,
        kernel: Kernel | None = None,
        constants: tuple[ChannelConstant | Integers, ...] = (),
        is_real: bool = False,
    ) -> Value:
        output = Value(name, shape, spread, covers or Range.covering(spread), is_real)
        self.steps.append(Step(operator, inputs, output, options or {}, kernel, constants))
        return output


def _pair(kernel: Pair) -> tuple[int, int]:
    return (kernel, kernel) if isinstance(kernel, int) else kernel
