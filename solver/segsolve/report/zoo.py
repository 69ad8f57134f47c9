"""The zoo's catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segsolve.report.grid import Grid
from segsolve.report.units import MIB, mib
from segsolve.zoo.catalogue import Network
from segsolve.zoo.facts import Facts
from segsolve_runtime.contract.document import jsonable, members

ONE_TPU = 7.5 * MIB  # about what the weights get of 8 MiB where activations are small


def zoo_document(networks: Sequence[Network], facts: Mapping[str, Facts]) -> dict[str, Any]:
    """Return the networks with their published sizes, and what their files are like, as a JSON document."""
    return {
        "networks": [
            {
                **members(n, "name", "family", "title", "input_shape", "params", "macs", "source"),
                **jsonable(facts[n.name]),
                "fits_one_tpu": _fits_one_tpu(facts[n.name]),
            }
            for n in networks
        ]
    }


def zoo_table(networks: Sequence[Network], facts: Mapping[str, Facts]) -> Grid:
    """Return one row per network."""
    table = Grid(
        "",
        *("name", "network", "input", "million\nparams", "million\nMACs", "file\nMiB", "ops", "1-tensor\ncuts"),
        "fits\n1 TPU",
        left=("network", "input"),
        optional=("network", "input", "1-tensor\ncuts", "ops"),
    )
    for n in networks:
        size = "x".join(map(str, n.input_shape))
        fact = facts[n.name]
        table.add_row(
            *(n.name, n.title, size, f"{n.params / 1e6:.1f}", f"{n.macs / 1e6:,.0f}"),
            *(mib(fact.file_bytes), str(fact.operations), str(fact.single_tensor_cuts)),
            "yes" if _fits_one_tpu(fact) else "no",
        )
    return table


def _fits_one_tpu(facts: Facts) -> bool:
    """Whether the weights alone are less than one TPU's memory; `inspect` says what the activations leave."""
    return facts.weight_bytes < ONE_TPU
