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
from segsolve.errors import UsageError
from segsolve.values import within
from segsolve_runtime.contract.files import is_file

if TYPE_CHECKING:
    from segsolve_runtime.contract.arrays import Array
    from segsolve_runtime.contract.plan import Plan, TensorSpec
    from segsolve_runtime.contract.result import Result
    from segsolve_runtime.io.detections import Detector
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
    detections: bool = False
    threshold: float | None = None
    pictures: Path | None = None
    raw_tensor: bool = False
    name: str = ""
    """What lines on stdout begin with, where several models run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Frames to run, how many they are if that is known, and what takes each result, in their order.

    `prints` says that results go to stdout as they come, so that nothing else should write on the terminal. Of what is
    `live`, frames that nobody has time for are dropped.
    """

    frames: Iterator[dict[str, Array]]
    count: int | None
    take: Callable[[Result], None]
    fail: Callable[[Exception], None]
    """Takes the error that came instead of a result, in its turn."""
    prints: bool
    live: bool = False


def check_traffic(options: TrafficOptions, *, several: bool = False) -> None:
    """Raise a UsageError if the options make no sense, before a plan is loaded; there may be `several` models."""
    if options.count is not None:
        within("--count", options.count, 1)
    if options.top is not None:
        within("--top", options.top, 1)
    if options.labels is not None and options.top is None and not options.detections:
        raise UsageError("--labels says nothing without --top or --detections", "add e.g. --top 5")
    if options.top is not None and options.detections and not several:
        raise UsageError("--top is for classifiers, --detections for detectors", "leave out one of them")
    for option, given in (("--threshold", options.threshold), ("--pictures", options.pictures)):
        if given is not None and not options.detections:
            raise UsageError(f"{option} says nothing without --detections", "add --detections")
    if options.threshold is not None:
        within("--threshold", options.threshold, 0, 1)
    if options.dequantize and options.output is None:
        raise UsageError("--dequantize is about --output", "name a file: --output FILE.npz or FILE.jsonl")
    reading = "--top" if options.top is not None else "--detections" if options.detections else ""
    if reading and options.output is None and options.as_json:
        raise UsageError(f"{reading} and --json would both print on stdout", "add --output FILE.jsonl")
    _rule(options)


@contextmanager
def traffic(plan: Plan, options: TrafficOptions) -> Iterator[Traffic]:
    """Open what goes in and out; at the end, the output is complete, also after an error."""
    from segsolve_runtime.contract.frames import random_frames
    from segsolve_runtime.io.inputs import open_inputs

    given: deque[_Given] = deque()
    keeps = options.pictures is not None
    live = False
    if options.inputs:
        inputs = open_inputs(plan, options.inputs, _rule(options))
        for doubt in inputs.doubts:
            news(f"warning: {doubt}")
        for note in inputs.notes:
            news(note)
        frames, live = _noted(islice(inputs.frames(), options.count), given, keeps=keeps), inputs.is_live
        count = inputs.count if options.count is None or inputs.count is None else min(inputs.count, options.count)
    else:
        count = options.count or DEFAULT_COUNT
        random = random_frames(plan, count, options.seed)
        frames = _noted(((f"random[{i}]", frame) for i, frame in enumerate(random)), given, keeps=keeps)
    with ExitStack() as stack:
        takers = _takers(plan, options, stack)
        prints = options.output is None and (options.top is not None or options.detections)
        yield Traffic(
            frames=frames,
            count=count,
            prints=prints,
            take=_with_origin(takers, given, live),
            fail=lambda error: news(f"{given.popleft().origin}: {error}"),
            live=live,
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """A frame under way: its number, where it is from, and its tensors if they are still needed."""

    number: int
    origin: str
    frame: Mapping[str, Array] | None


Taker = Callable[["_Given", Mapping[str, "Array"]], None]


def _takers(plan: Plan, options: TrafficOptions, stack: ExitStack) -> list[Taker]:
    """Return all that a result is given to."""
    from segsolve_runtime.io.outputs import open_output

    outputs = [plan.tensor(name) for name in plan.outputs]
    found = _detector(plan, options) if options.detections else None
    reading = found or _top(outputs, options)
    if reading is not None and (doubt := reading.doubt()):
        news(f"warning: {doubt}")
    takers: list[Taker] = []
    if options.output is not None:
        sink = stack.enter_context(open_output(options.output, outputs, reading, real=options.dequantize))
        takers.append(lambda given, made: sink.put(given.origin, made))
    elif reading is not None:
        print_line = result_lines()
        before = options.name and f"{options.name} "
        takers.append(lambda given, made: print_line(f"{before}{given.origin}: {reading.text(given.origin, made)}"))
    if found is not None and options.pictures is not None:
        takers.append(_painter(plan, options, found, options.pictures))
    return takers


def _top(outputs: Sequence[TensorSpec], options: TrafficOptions) -> TopClasses | None:
    from segsolve_runtime.io.top import top_classes

    return None if options.top is None else top_classes(outputs, options.top, options.labels)


def _detector(plan: Plan, options: TrafficOptions) -> Detector:
    from segsolve_runtime.io.detections import DEFAULT_THRESHOLD, detector
    from segsolve_runtime.io.pixels import canvas_of

    threshold = DEFAULT_THRESHOLD if options.threshold is None else options.threshold
    image, outputs = plan.tensor(plan.inputs[0]), [plan.tensor(name) for name in plan.outputs]
    found = detector(outputs, canvas_of(image), threshold, options.labels, _rule(options).fit)
    news(f"detections are read as those of {found.way}")
    return found


def _painter(plan: Plan, options: TrafficOptions, found: Detector, folder: Path) -> Taker:
    """Return what writes a picture of each frame, with the boxes of its detections."""
    from segsolve_runtime.io.pictures import draw_on_file, draw_on_pixels, open_folder, save
    from segsolve_runtime.io.pixels import pixels_of

    open_folder(folder)
    image, rule = plan.tensor(plan.inputs[0]), _rule(options)

    def paint(given: _Given, outputs: Mapping[str, Array]) -> None:
        if is_file(Path(given.origin)):
            picture = draw_on_file(Path(given.origin), found.of(given.origin, outputs))
        else:
            assert given.frame is not None
            pixels = pixels_of(given.frame[image.name], image, rule)
            picture = draw_on_pixels(pixels, found.of(given.origin, outputs, on_canvas=True))
        save(picture, folder, given.number, given.origin)

    return paint


def _with_origin(takers: Sequence[Taker], under_way: deque[_Given], live: bool) -> Callable[[Result], None]:
    done = -1  # the number of the latest result in its run

    def taken(result: Result) -> None:
        nonlocal done
        if live:  # frames that were dropped have no result
            for _ in range(result.number - done - 1 if result.number > done else 0):
                under_way.popleft()
            done = result.number
        given = under_way.popleft()
        for take in takers:
            take(given, result)

    return taken


def _noted(
    frames: Iterable[tuple[str, dict[str, Array]]], under_way: deque[_Given], *, keeps: bool
) -> Iterator[dict[str, Array]]:
    """Yield the frames; note which ones are under way."""
    for number, (origin, frame) in enumerate(frames):
        under_way.append(_Given(number, origin, frame if keeps else None))
        yield frame


def _rule(options: TrafficOptions) -> PixelRule:
    from segsolve_runtime.io.pixels import FITS, PixelRule

    fits = [fit for fit in FITS if fit == options.fit]
    if not fits:
        raise UsageError(f"--fit is {options.fit!r}", f"known: {', '.join(FITS)}")
    return PixelRule(
        fit=fits[0],
        mean=_numbers("--mean", options.mean),
        std=_numbers("--std", options.std),
        raw_tensor=options.raw_tensor,
    )


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}", "give a number, or one per channel: 127.5 or 103.9,116.8,123.7"
        ) from None
