"""Classic CNNs, written straight to quantised .tflite with seeded random weights."""

from __future__ import annotations

from segsolve.zoo.builder import Builder
from segsolve.zoo.catalogue import CATALOGUE, Network, get, names

__all__ = ["CATALOGUE", "Network", "build", "get", "names"]


def build(name: str, seed: int = 0) -> bytes:
    """Return the content of the .tflite file for a network; the same for the same name and seed.

    Raises:
        UsageError: the zoo has no such network.
    """
    from segsolve.zoo.writer import write

    network, net = get(name), Builder()
    return write(name, net, network.build(net), seed)
