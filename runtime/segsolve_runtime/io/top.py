"""The best classes of a result, with their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.quantise import dequantise


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One class. `score` is what the model says of it, in real numbers: a probability if the model ends in one."""

    index: int
    label: str | None
    score: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, with the score in as many digits as it has."""
        named = {} if self.label is None else {"label": self.label}
        return {"index": self.index, **named, "score": float(f"{self.score:.7g}")}

    def __str__(self) -> str:
        return f"{self.label if self.label is not None else self.index} {self.score:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopClasses:
    """Picks the `count` best classes of the output `spec`; of equal ones, those of the least index."""

    spec: TensorSpec
    count: int
    labels: Mapping[int, str]

    def of(self, outputs: Mapping[str, Array]) -> tuple[Scored, ...]:
        """Return the best classes of a result, the best first."""
        scores = dequantise(outputs[self.spec.name], self.spec).reshape(-1)
        best = np.argsort(-scores.astype(np.float64), kind="stable")[: self.count]
        return tuple(Scored(index=int(i), label=self.labels.get(int(i)), score=float(scores[i])) for i in best)

    def record(self, origin: str, outputs: Mapping[str, Array]) -> dict[str, Any]:
        """Return the best classes as members of a JSON object."""
        return {"top": [scored.as_dict() for scored in self.of(outputs)]}

    def text(self, origin: str, outputs: Mapping[str, Array]) -> str:
        """Return the best classes in a line."""
        return ", ".join(map(str, self.of(outputs)))

    def doubt(self) -> str | None:
        """Return a sentence if the labels are not as many as the classes."""
        classes = int(np.prod(self.spec.shape))
        if not self.labels or max(self.labels) + 1 == classes:
            return None
        return f"there are {max(self.labels) + 1} labels, but {self.spec.name!r} has {classes} classes"


def top_classes(outputs: Sequence[TensorSpec], count: int, labels: Path | None) -> TopClasses:
    """Return the picker for a model's scores: its only output that is a vector.

    Raises:
        InputError: there is no such output, or several; or the labels cannot be read.
    """
    vectors = [spec for spec in outputs if spec.shape and np.prod(spec.shape) == max(spec.shape) > 1]
    if len(vectors) != 1:
        found = ", ".join(f"{spec.name} {spec.shape}" for spec in outputs)
        raise InputError(f"--top needs one output that is a vector of scores (a detector: --detections); found {found}")
    return TopClasses(spec=vectors[0], count=count, labels=read_labels(labels) if labels else {})


def read_labels(path: Path) -> dict[int, str]:
    """Return the labels of a file by class: a label a line, or each behind its class, as in ``3 cat`` or ``3: cat``.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    try:
        lines = read_bounded_text(path, DOCUMENT).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"the labels {path} cannot be read: {reason}") from None
    numbered = [re.fullmatch(r"\s*(\d+)(?:\s*:\s*|\s+)(\S.*?)\s*", line) for line in lines if line.strip()]
    if not numbered:
        raise InputError(f"the labels {path} are empty")
    if all(numbered):
        return {int(match[1]): match[2] for match in numbered if match}
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
