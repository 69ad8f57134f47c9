"""What the networks of the Inception family have in common: cells of parallel branches of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsolve.zoo.builder import Builder, Pair
from segsolve.zoo.steps import Padding, Value

Layer = tuple[int, Pair]  # filters and kernel of a convolution
Branch = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """Draws the parts of cells; ``norm`` counts the parameters per channel of a batch normalisation."""

    net: Builder
    norm: int

    def conv(self, name: str, x: Value, layer: Layer, *, strides: int = 1, padding: Padding = "SAME") -> Value:
        """Draw a convolution with batch normalisation and ReLU."""
        return self.net.conv(
            name, x, *layer, strides=strides, padding=padding, activation="RELU", bias=False, norm=self.norm
        )

    def branch(self, name: str, x: Value, layers: Branch, *, halve: bool = False) -> Value:
        """Draw convolutions behind each other; the last one may halve height and width."""
        for index, layer in enumerate(layers, start=1):
            last = halve and index == len(layers)
            x = self.conv(f"{name}_{index}", x, layer, strides=2 if last else 1, padding="VALID" if last else "SAME")
        return x

    def branches(self, name: str, x: Value, table: Sequence[Branch], *, halve: bool = False) -> list[Value]:
        """Draw branches beside each other."""
        return [self.branch(f"{name}_branch{i}", x, layers, halve=halve) for i, layers in enumerate(table, start=1)]

    def average(self, name: str, x: Value, filters: int) -> Value:
        """Draw the branch of an average pooling."""
        pool = self.net.avg_pool(f"{name}_pool", x, 3, strides=1, padding="SAME")
        return self.conv(f"{name}_pool_1x1", pool, (filters, 1))

    def reduction(self, name: str, x: Value, table: Sequence[Branch]) -> Value:
        """Draw a cell that halves height and width, one of its branches by a maximum."""
        ends = self.branches(name, x, table, halve=True)
        return self.net.concat(name, [*ends, self.net.max_pool(f"{name}_pool", x, 3, strides=2)])

    def fan(self, name: str, x: Value, filters: int, *kernels: Pair) -> Value:
        """Draw convolutions of the same values with several kernels."""
        ends = [self.conv(f"{name}_{index}", x, (filters, kernel)) for index, kernel in enumerate(kernels, start=1)]
        return self.net.concat(name, ends)

    def stem(self, x: Value) -> Value:
        """Draw the layers in front of the first cell, which Inception-v3 and Inception-ResNet-v2 share."""
        x = self.conv("conv1", x, (32, 3), strides=2, padding="VALID")
        x = self.conv("conv2", x, (32, 3), padding="VALID")
        x = self.conv("conv3", x, (64, 3))
        x = self.net.max_pool("pool1", x, 3, strides=2)
        x = self.conv("conv4", x, (80, 1), padding="VALID")
        x = self.conv("conv5", x, (192, 3), padding="VALID")
        return self.net.max_pool("pool2", x, 3, strides=2)
