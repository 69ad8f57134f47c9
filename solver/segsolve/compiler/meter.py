"""Measures segments of a model on an Edge TPU: cut, compiled, and run as a stage of a pipeline runs them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsolve.compiler.build import CompiledStages
from segsolve.compiler.run import Compiled
from segsolve.errors import UsageError
from segsolve.graph.read import LoadedModel
from segsolve.plan.folder import tensor_spec
from segsolve.segments.writer import Segment, segment_bytes, segment_of
from segsolve_runtime.contract.changes import Change, changing
from segsolve_runtime.measure.bundle import BUNDLE_FILE, Bundle, BundledSegment, SegmentTimes, Times, record_text
from segsolve_runtime.measure.stopwatch import Bench, Effort

Range = tuple[int, int]


@dataclass(kw_only=True)
class DeviceMeter:
    """Measures ranges of operations (half-open), and remembers what it measured."""

    loaded: LoadedModel
    stages: CompiledStages
    bench: Bench
    effort: Effort
    tell: Callable[[Range, SegmentTimes], object] = lambda stage, times: None
    measured: dict[Range, SegmentTimes] = field(default_factory=dict)
    prepared: set[Range] = field(default_factory=set)

    def prepare(self, ranges: Sequence[Range]) -> None:
        """Compile the first of some ranges, and as many after it as fit side by side, as they may not all be needed.

        Raises:
            CompilerError: one cannot be compiled.
        """
        if ranges and ranges[0] not in self.prepared:
            first = [stage for stage in ranges if stage not in self.prepared][: max(1, self.stages.compiler.jobs)]
            self.stages.compile_ops(self.loaded, [tuple(range(*stage)) for stage in first])
            self.prepared |= {*first}

    def __call__(self, first: int, end: int) -> int:
        """Return the time of an inference in ns, the median of several.

        Raises:
            CompilerError: the operations cannot be compiled.
            HardwareError: the device fails.
        """
        segment = segment_of(self.loaded.graph, range(first, end))
        (made,) = self.stages.compile_ops(self.loaded, [segment.ops])
        bundled = bundled_segment(self.loaded, segment, made, "segment.tflite")
        with tempfile.TemporaryDirectory(prefix="segsolve-measure-") as folder:
            file = Path(folder) / f"segment_{first}_to_{end - 1}_edgetpu.tflite"
            file.write_bytes(made.content)
            times = self.bench.time(file, bundled.inputs, bundled.outputs, bundled.sha256, self.effort)
        self.measured[first, end] = times
        self.tell((first, end), times)
        return times.median_ns


def bundled_segment(loaded: LoadedModel, segment: Segment, made: Compiled | None, file: str) -> BundledSegment:
    """Return a segment as bundles describe it; `file` is that of the segment, from which the compiled one's follows."""
    graph = loaded.graph
    return BundledSegment(
        ops=list(segment.ops),
        file=file,
        sha256=hashlib.sha256(segment_bytes(loaded, segment)).hexdigest(),
        compiled=None if made is None else f"{file.removesuffix('.tflite')}_edgetpu.tflite",
        compiled_sha256=None if made is None else hashlib.sha256(made.content).hexdigest(),
        inputs=[tensor_spec(graph, graph.tensors[t]) for t in segment.inputs],
        outputs=[tensor_spec(graph, graph.tensors[t]) for t in segment.outputs],
    )


def write_bundle(
    root: Path,
    loaded: LoadedModel,
    ranges: Sequence[Range],
    made: Sequence[Compiled] | None,
    device: str,
    effort: Effort,
) -> Bundle:
    """Write segments and their compiled files, if there are such, to be measured on another machine (OSError)."""
    with changing(root) as change:
        return _put_bundle(change, loaded, ranges, made, device, effort)


def _put_bundle(
    change: Change,
    loaded: LoadedModel,
    ranges: Sequence[Range],
    made: Sequence[Compiled] | None,
    device: str,
    effort: Effort,
) -> Bundle:
    segments = []
    for k, stage in enumerate(ranges):
        segment = segment_of(loaded.graph, range(*stage))
        compiled = None if made is None else made[k]
        bundled = bundled_segment(loaded, segment, compiled, f"{stage[0]}_to_{stage[1] - 1}.tflite")
        change.put(bundled.file, segment_bytes(loaded, segment))
        if compiled is not None and bundled.compiled is not None:
            change.put(bundled.compiled, compiled.content)
        segments.append(bundled)
    bundle = Bundle(
        model=loaded.graph.name,
        model_sha256=loaded.graph.sha256,
        device=device,
        runs=effort.runs,
        warm_up=effort.warm_up,
        seed=effort.seed,
        segments=segments,
    )
    change.put(BUNDLE_FILE, record_text(bundle).encode())
    return bundle


def times_of(loaded: LoadedModel, bundle: Bundle, times: Times) -> Mapping[Range, SegmentTimes]:
    """Return what was measured of a bundle by range of operations.

    Raises:
        UsageError: bundle and times are of another model.
    """
    if {bundle.model_sha256, times.model_sha256} != {loaded.graph.sha256}:
        raise UsageError(
            f"the bundle was measured for {bundle.model}, which is not the same file as {loaded.graph.name}"
        )
    known = {each.sha256: each for each in times.times}
    return {(s.ops[0], s.ops[-1] + 1): known[s.sha256] for s in bundle.segments if s.sha256 in known}
