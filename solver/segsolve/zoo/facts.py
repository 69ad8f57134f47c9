"""What the written file of a network is like, kept so that listing the zoo need not build it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

FILE = Path(__file__).with_name("facts.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Size of the file, its operations, and how many of its legal cuts a single tensor crosses."""

    file_bytes: int
    operations: int
    cuts: int
    single_tensor_cuts: int
    weight_bytes: int


def measure(path: Path) -> Facts:
    """Read a network's file.

    Raises:
        ModelError: the file cannot be read.
    """
    from segsolve.graph.read import read_graph

    graph = read_graph(path)
    return Facts(
        file_bytes=graph.file_bytes,
        operations=len(graph.ops),
        cuts=len(graph.cuts),
        single_tensor_cuts=sum(len(graph.crossing(position)) == 1 for position in graph.cuts),
        weight_bytes=graph.weight_bytes,
    )


def facts_of(names: Iterable[str]) -> dict[str, Facts]:
    """Return the facts of networks of the catalogue; those of which none are kept are built and read.

    Raises:
        UsageError: the zoo has no such network.
    """
    known = load()
    return {name: known.get(name) or _built(name) for name in names}


def _built(name: str) -> Facts:
    from segsolve.zoo.files import write_network

    with TemporaryDirectory() as folder:
        return measure(write_network(name, Path(folder)))


def load() -> dict[str, Facts]:
    """Return the facts that are kept."""
    return {name: Facts(**values) for name, values in json.loads(FILE.read_text(encoding="utf-8")).items()}


def facts_json(facts: Mapping[str, Facts]) -> str:
    """Return the text of the file that `load` reads."""
    return json.dumps({name: asdict(values) for name, values in facts.items()}, indent=1) + "\n"
