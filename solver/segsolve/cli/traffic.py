"""What goes into a run and what becomes of its results: random frames or files, and an output or the best classes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news, result_lines
from segsolve.cli.options import within
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve_runtime.contract.arrays import Array
    from segsolve_runtime.contract.plan import Plan
    from segsolve_runtime.io.pixels import PixelRule
    from segsolve_runtime.io.top import TopClasses

DEFAULT_COUNT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """The options of ``run`` about inputs and results, as the user gave them."""

    inputs: Sequence[str]
    count: int | None
    seed: int
    fit: str
    mean: str | None
    std: str | None
    output: Path | None
    top: int | None
    labels: Path | None
    dequantize: bool
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Frames to run, how many they are if that is known, and what takes each result, in their order.

    `prints` says that results go to stdout as they come, so that nothing else should write on the terminal.
    """

    frames: Iterator[dict[str, Array]]
    count: int | None
    take: Callable[[Mapping[str, Array]], None]
    prints: bool


def check_traffic(options: TrafficOptions) -> None:
    """Raise a UsageError if the options make no sense, before a plan is loaded."""
    if options.count is not None:
        within("--count", options.count, 1)
    if options.top is not None:
        within("--top", options.top, 1)
    if options.labels is not None and options.top is None:
        raise UsageError("--labels says nothing without --top", "add e.g. --top 5")
    if options.dequantize and options.output is None:
        raise UsageError("--dequantize is about --output", "name a file: --output FILE.npz or FILE.jsonl")
    if options.top is not None and options.output is None and options.as_json:
        raise UsageError("--top and --json would both print on stdout", "add --output FILE.jsonl")
    _rule(options)


@contextmanager
def traffic(plan: Plan, options: TrafficOptions) -> Iterator[Traffic]:
    """Open what goes in and out; at the end, the output is complete, also after an error."""
    from segsolve_runtime.contract.frames import random_frames
    from segsolve_runtime.io.inputs import open_inputs

    origins: deque[str] = deque()
    if options.inputs:
        inputs = open_inputs(plan, options.inputs, _rule(options))
        for doubt in inputs.doubts:
            news(f"warning: {doubt}")
        frames = _noted(islice(inputs.frames(), options.count), origins)
        count = inputs.count if options.count is None or inputs.count is None else min(inputs.count, options.count)
    else:
        count = options.count or DEFAULT_COUNT
        random = random_frames(plan, count, options.seed)
        frames = _noted(((f"random[{i}]", frame) for i, frame in enumerate(random)), origins)
    with ExitStack() as stack:
        take = _taker(plan, options, stack)
        prints = take is not None and options.output is None
        yield Traffic(frames=frames, count=count, prints=prints, take=_with_origin(take, origins))


def _taker(plan: Plan, options: TrafficOptions, stack: ExitStack) -> Callable[[str, Mapping[str, Array]], None] | None:
    from segsolve_runtime.io.outputs import open_output
    from segsolve_runtime.io.top import top_classes

    outputs = [plan.tensor(name) for name in plan.outputs]
    top = None if options.top is None else top_classes(outputs, options.top, options.labels)
    if top is not None and (doubt := top.doubt()):
        news(f"warning: {doubt}")
    if options.output is not None:
        return stack.enter_context(open_output(options.output, outputs, top, real=options.dequantize)).put
    return None if top is None else _printer(top)


def _printer(top: TopClasses) -> Callable[[str, Mapping[str, Array]], None]:
    print_line = result_lines()
    return lambda origin, outputs: print_line(f"{origin}: {', '.join(map(str, top.of(outputs)))}")


def _with_origin(
    take: Callable[[str, Mapping[str, Array]], None] | None, origins: deque[str]
) -> Callable[[Mapping[str, Array]], None]:
    def taken(outputs: Mapping[str, Array]) -> None:
        origin = origins.popleft()
        if take is not None:
            take(origin, outputs)

    return taken


def _noted(frames: Iterable[tuple[str, dict[str, Array]]], origins: deque[str]) -> Iterator[dict[str, Array]]:
    """Yield the frames; note the origins of those that are under way."""
    for origin, frame in frames:
        origins.append(origin)
        yield frame


def _rule(options: TrafficOptions) -> PixelRule:
    from segsolve_runtime.io.pixels import FITS, PixelRule

    fits = [fit for fit in FITS if fit == options.fit]
    if not fits:
        raise UsageError(f"--fit is {options.fit!r}", f"known: {', '.join(FITS)}")
    return PixelRule(fit=fits[0], mean=_numbers("--mean", options.mean), std=_numbers("--std", options.std))


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}", "give a number, or one per channel: 127.5 or 103.9,116.8,123.7"
        ) from None
