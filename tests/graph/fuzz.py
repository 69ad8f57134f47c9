"""Reads damaged variants of a model, for `test_fuzz`: in a process of its own, because LiteRT may end it.

Every variant is read, or refused with a ModelError; what was read can be priced and cut. Prints how many were read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from segsolve.device.model import load_device
from segsolve.errors import ModelError
from segsolve.graph.read import read_model
from segsolve.profile.analytic import AnalyticCosts
from segsolve.segments.writer import segment_bytes, segments_of


def main(model: Path, variants: int) -> None:
    content = np.frombuffer(model.read_bytes(), np.uint8)
    device = load_device("edgetpu-usb")
    damaged = model.with_name("damaged.tflite")
    read = 0
    for seed in range(variants):
        print(seed, file=sys.stderr)  # the last one is the culprit
        damaged.write_bytes(_damage(content, np.random.default_rng(seed)))
        try:
            loaded = read_model(damaged)
        except ModelError:
            continue
        read += 1
        AnalyticCosts(graph=loaded.graph, device=device).problem(tpus=2)
        for segment in segments_of(loaded.graph, loaded.graph.cuts):
            segment_bytes(loaded, segment)
    print(read)


def _damage(content: np.typing.NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    result = content.copy()
    places = rng.integers(8, len(result), size=rng.integers(1, 9))
    result[places] = np.where(rng.random(len(places)) < 0.5, rng.integers(0, 256, len(places)), rng.choice([0, 255]))
    return result.tobytes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
