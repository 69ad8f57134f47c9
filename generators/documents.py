"""Profiles, graphs and devices as a user writes them."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def write(folder: Path, document: Any, name: str = "profile.json") -> Path:
    """Write a document as JSON, or a text as it is; return the path."""
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def by_hand(**changes: Any) -> Document:
    """Four layers of 10 to 40 ns in a row; to cross a cut costs both its stages 5 ns."""
    names = ["a", "b", "c", "d"]
    document: Document = {
        "format": "segsolve-profile",
        "version": 1,
        "layers": [{"name": n, "time_ns": 10 * (i + 1), "param_bytes": 100} for i, n in enumerate(names)],
        "edges": [{"from": a, "to": b, "bytes": 7, "time_ns": 5} for a, b in pairwise(names)],
    }
    return document | changes


def placement(nodes: Sequence[Document], edges: Sequence[Document], **changes: Any) -> Document:
    """A graph in the form of the public placement instances, for two accelerators and no core."""
    document: Document = {"maxSizePerFPGA": 400.0, "maxFPGAs": 2, "maxCPUs": 0}
    return document | {"nodes": list(nodes), "edges": list(edges)} | changes


def random_profile(rng: random.Random, layers: int, *, cpus: int = 0) -> Document:
    """A profile with skips, branches, memory that spills, measured stages, and layers and tensors that cost nothing.

    Half of them have numbers so small that ties are common.
    """
    ns, size = rng.choice(((10, 10), (10, 10), (10**6, 10**6), (10**3, 10**5)))
    names = [f"l{i}" for i in range(layers)]
    made = [_layer(rng, name, ns, size, cpus) for name in names]
    for layer in made[1:]:
        if rng.random() < 0.08:
            layer["with_previous"] = True
    document: Document = {
        "format": "segsolve-profile",
        "version": 1,
        "device": _device(rng, ns, sum(layer["param_bytes"] for layer in made)),
        "layers": made,
        "edges": [edge for source in (None, *names) for edge in _edges(rng, source, names, ns, size)],
    }
    spans = {tuple(sorted((rng.randrange(layers), rng.randrange(layers)))) for _ in range(rng.choice((0, 0, 1, 3)))}
    if spans:
        document["segments"] = [
            {"first_op": first, "last_op": last, "time_ns": _amount(rng, ns * (last - first + 1))}
            for first, last in sorted(spans)
        ]
    if rng.random() < 0.1:
        document["scale"] = rng.choice((0.5, 1.3))
    return document


def random_placement(rng: random.Random, nodes: int) -> Document:
    """A small graph for accelerators and cores: any order of nodes, colours, nodes that only one of the two can run."""
    numbers = rng.sample(range(10 * nodes), nodes)
    unit = rng.choice((1.0, 0.25))
    made = [_node(rng, number, unit) for number in numbers]
    edges = []
    for i, source in enumerate(numbers[:-1]):
        cost = rng.choice((0.0, unit * rng.randint(0, 9)))
        readers = rng.sample(numbers[i + 1 :], min(nodes - i - 1, rng.choice((0, 1, 1, 2))))
        edges += [{"sourceId": source, "destId": reader, "cost": cost} for reader in readers]
    memory = sum(node["size"] for node in made) * rng.choice((0.3, 0.6, 1.0))
    rng.shuffle(made)
    return placement(made, edges, maxSizePerFPGA=memory, maxCPUs=rng.randint(0, 2), maxFPGAs=rng.randint(1, 3))


def device_toml(name: str, changes: dict[str, float]) -> str:
    """Return a device of the catalogue as the text of a description, with other values, such as ``memory.onchip``."""
    from segsolve.device import model

    text = (Path(model.__file__).parent / "catalogue" / f"{name}.toml").read_text(encoding="utf-8")
    units = {"link.bandwidth": "MiB/s", "link.operation": "bytes"}
    figures = {
        f"{section}.{key}": figure
        for section, values in tomllib.loads(text).items()
        if isinstance(values, dict)
        for key, figure in values.items()
    }
    for key, value in changes.items():
        figures[key] = {"unit": units.get(key), **figures.get(key, {}), "value": value} | _GENERATED
    lines = ['name = "generated"', 'title = "Generated for a test"']
    for key, figure in figures.items():
        lines += [f"[{key}]", *(f"{field} = {json.dumps(value)}" for field, value in figure.items())]
    return "\n".join(lines) + "\n"


_GENERATED = {"source": "generated", "error": "none"}


def _layer(rng: random.Random, name: str, ns: int, size: int, cpus: int) -> Document:
    layer: Document = {
        "name": name,
        "time_ns": _amount(rng, ns),
        "param_bytes": rng.choice((0, rng.randint(0, size), rng.randint(0, 3 * size))),
    }
    if rng.random() < 0.15:
        layer["stored_bytes"] = rng.randint(0, 2 * size)
    if rng.random() < 0.25:
        layer["streamed_time_ns"] = layer["time_ns"] + _amount(rng, 2 * ns)
    if rng.random() < 0.12:
        layer["cacheable"] = False
    if rng.random() < 0.2:
        layer["cache_rank"] = rng.randint(0, 3)
    if rng.random() < 0.3:
        layer["scratch_bytes"] = rng.randint(0, size)
    if cpus and rng.random() < 0.85:
        layer["cpu_time_ns"] = _amount(rng, rng.choice((1, 3, 6)) * ns)
        if rng.random() < 0.12:
            layer["on_accelerator"] = False
    return layer


def _device(rng: random.Random, ns: int, weights: int) -> Document:
    device: Document = {"name": "d"}
    if rng.random() < 0.85:
        device["memory_bytes"] = int(weights * rng.choice((0.2, 0.4, 0.6, 1.0, 1.5)))
    if rng.random() < 0.6:
        device["overhead_ns"] = rng.randint(0, ns)
    if rng.random() < 0.5:
        device["stream_ns_per_byte"] = rng.choice((0.0, 0.3, 1.0))
    return device


def _edges(rng: random.Random, source: str | None, names: list[str], ns: int, size: int) -> list[Document]:
    """The tensors of a layer, mostly one that the next layer reads, and later ones too."""
    here = -1 if source is None else names.index(source)
    later = names[here + 1 :]
    readers = set(later[:1] if rng.random() < 0.75 else ())
    readers |= set(rng.sample(later, min(len(later), rng.choice((0, 0, 1, 2)))))
    costs: Document = {"bytes": rng.choice((0, rng.randint(0, size))), "time_ns": _amount(rng, ns)}
    if rng.random() < 0.2:
        costs["output_ns"] = _amount(rng, ns)
    if rng.random() < 0.2:
        costs["scratch_bytes"] = rng.randint(0, size)
    begin = {} if source is None else {"from": source}
    made = [{**begin, "to": reader, **costs} for reader in sorted(readers, key=names.index)]
    if source is not None and (not later or rng.random() < 0.1):
        made.append({**begin, **costs})
    if source is not None and later and rng.random() < 0.1:
        made.append({**begin, "to": rng.choice(later), "tensor": "second", "bytes": 1, "time_ns": _amount(rng, ns)})
    return made


def _node(rng: random.Random, number: int, unit: float) -> Document:
    node: Document = {
        "id": number,
        "supportedOnFpga": 1,
        "fpgaLatency": unit * rng.choice((0, rng.randint(0, 20))),
        "cpuLatency": unit * rng.randint(0, 60),
        "size": float(rng.choice((0, rng.randint(0, 100)))),
    }
    if rng.random() < 0.15:
        node["colorClass"] = rng.randint(0, 2)
    if rng.random() < 0.1:
        node["supportedOnFpga"] = 0
    elif rng.random() < 0.15:
        node["cpuLatency"] = 1e9
    return node


def _amount(rng: random.Random, most: int) -> int:
    return rng.choice((0, rng.randint(0, most), rng.randint(0, most), rng.randint(0, most)))
