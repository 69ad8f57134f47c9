"""What the TFLite converter does to a Keras model on its way in, for networks whose layers need it: order, merge, fuse.

The converter lists a graph in the reverse postorder of a depth-first search, which starts from the constants and the
input and prefers the greatest name wherever it can choose. For most networks that is the order in which they are drawn;
where cells share their inputs with the next cell, as in NASNet, it interleaves them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from segsolve.zoo.steps import Step, Value

RECTIFYING = {"ADD", "CONV_2D"}  # operations that a ReLU is fused into; the schema would allow for more


def imported(steps: Iterable[Step], image: Value) -> list[Step]:
    """Return the steps that the converter makes of the layers of a Keras model, if the steps have their names."""
    return _fused(_merged(_ordered(list(steps), image)))


def _ordered(steps: list[Step], image: Value) -> list[Step]:
    names = _traced_names(steps)
    consumers: defaultdict[Value, list[Step]] = defaultdict(list)
    for step in sorted(steps, key=names.__getitem__):
        for value in set(step.inputs):
            consumers[value].append(step)
    sources = {step for step in steps if step.kernel is not None or step.constants} | set(consumers[image])
    stack = [(step, False) for step in sorted(sources, key=names.__getitem__)]
    visited: set[Step] = set()
    finished: list[Step] = []
    while stack:
        step, leaving = stack.pop()
        if leaving:
            finished.append(step)
        elif step not in visited:
            visited.add(step)
            stack.append((step, True))
            stack += [(consumer, False) for consumer in consumers[step.output]]
    return finished[::-1]


def _traced_names(steps: list[Step]) -> dict[Step, str]:
    """Return the names behind a second trace, which counts names up that the first one has used."""
    taken = {step.output.name for step in steps}
    return {
        step: f"{name}_2/" if name.endswith("_1") and name.removesuffix("_1") in taken else f"{name}_1/"
        for step in steps
        for name in [step.output.name]
    }


def _merged(steps: list[Step]) -> list[Step]:
    """Drop steps without parameters that do the same to the same values as an earlier one."""
    first: dict[object, Value] = {}
    stands_for: dict[Value, Value] = {}
    kept = []
    for step in steps:
        inputs = tuple(stands_for.get(value, value) for value in step.inputs)
        key = step.operator, inputs, tuple(step.options.items())
        if step.kernel is None and not step.constants:
            if key in first:
                stands_for[step.output] = first[key]
                continue
            first[key] = step.output
        kept.append(replace(step, inputs=inputs))
    return kept


def _fused(steps: list[Step]) -> list[Step]:
    """Let steps rectify their output themselves where nothing else needs it as it was."""
    uses = Counter(value for step in steps for value in step.inputs)
    producers: dict[Value, Step] = {}
    stands_for: dict[Value, Value] = {}
    kept: dict[Step, None] = {}
    for original in steps:
        step = replace(original, inputs=tuple(stands_for.get(value, value) for value in original.inputs))
        before = producers.get(step.inputs[0])
        only_use = uses[original.inputs[0]] == 1
        if step.operator == "RELU" and only_use and before is not None and before.operator in RECTIFYING:
            del kept[before]
            output = replace(step.output, name=before.output.name)
            stands_for[step.output] = output
            step = replace(before, output=output, options={**before.options, "fusedActivationFunction": "RELU"})
        producers[step.output] = step
        kept[step] = None
    return list(kept)
