"""Which questions are about pools, and what only these are asked, or never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsolve.errors import UsageError

_INSTEAD = {
    "tpus": "the pool says how many: --pool edgetpu-m2:2",
    "device": "the pool says which: --pool edgetpu-m2:2",
    "layout": "each model has the layout that is found best; --max-stages MODEL=1 asks for whole models",
    "cuts": "the models of a pool are cut along their execution order",
    "batch": "a pool is asked for rates: --rate MODEL=PER_SECOND",
    "cpus": "what falls back runs on the cores of the host: --host-cores",
    "planner": "segsolve compare --pool holds the plan against simpler ways to use the pool",
    "signature": "the first signature of each file is taken; a model of its own has --signature, without --pool",
    "within": "a pool has one plan; --sharing and constraints ask for others",
    "pick": "a pool has no front; give --objective latency or throughput",
}
"""What to do instead of options that make no sense for a pool."""


def without_pool(
    pool: str | None, tpus: int | None, device: str, *, is_alone: bool, named: bool = False
) -> tuple[str | None, int | None, str]:
    """Return pool, TPUs and device; no pool for a model alone on a pool of one kind: that is the plain question.

    Devices that have names, or a link of their own, stay a pool; so does a question that says something of a model or
    a kind by its name (`names_one`).
    """
    if pool is None or not is_alone or named:
        return pool, tpus, device
    from segsolve.library.named_pools import parse_pool

    asked = parse_pool(pool)
    kind, *others = asked.pool.kinds
    if others or kind.names or kind.link or not asked.is_described:
        return pool, tpus, device
    return None, kind.count, asked.devices[0]


def names_one(models: Sequence[Path], tpu_memory: str | None, constraints: Mapping[str, Any]) -> bool:
    """Whether a memory or a constraint is said of one model or kind by its name: ``edgetpu-m2=6MiB``, ``net=12``."""
    given = (one for value in constraints.values() for one in (value if isinstance(value, list | tuple) else [value]))
    names = tuple(f"{model.stem}=" for model in models)
    by_name = any(isinstance(text, str) and text.startswith(names) for text in given)
    return by_name or any("=" in str(text) for text in (tpu_memory, constraints.get("max_latency")))


def pool_or_error(pool: str | None, models: Sequence[Path], rates: object) -> str:
    """Return the pool that is asked for (UsageError if there is none)."""
    if pool is None:
        what = ", ".join(path.name for path in models) if len(models) > 1 else "--rate" if rates else "--weights"
        raise UsageError(
            f"{what}: several models, and their rates, need a --pool", "name it: --pool edgetpu-m2:2,edgetpu-usb:1"
        )
    return pool


def refuse_without_pool(**options: object) -> None:
    """Raise a UsageError if an option was given that only pools have."""
    for name, value in options.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is of a pool", f"name the TPUs as one: --pool edgetpu-m2:2 {flag} {value}")


def refuse_constraints(constraints: Mapping[str, Any], hint: str) -> None:
    """Raise a UsageError if there is a constraint that only pools have here."""
    if asked := [name for name, value in constraints.items() if value not in (None, [], ())]:
        raise UsageError(f"--{asked[0].replace('_', '-')} is for a --pool", hint)


def refuse_in_questions(**options: object) -> None:
    """Raise a UsageError if an option was given that makes no sense in a question about a pool, with what does."""
    for name, value in options.items():
        refuse_for_pools("in questions about pools", _INSTEAD[name], **{name: value})


def refuse_for_pools(where: str, hint: str, **options: object) -> None:
    """Raise a UsageError if an option was given that pools have not."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise UsageError(f"--{name.replace('_', '-')} is not taken {where}", hint)
