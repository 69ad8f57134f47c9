"""Writes the tables of README.md from the results, so that no number there is typed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import read_result, read_rows
from segsolve.device.model import ALIASES

README = Path(__file__).parents[1] / "README.md"
SOLVER_README = README.parent / "solver" / "README.md"
FIRST_DAY = README.parent / "docs" / "first-day.md"
SHOWN = (
    "resnet50",
    "resnet101",
    "resnet152",
    "inceptionv3",
    "inceptionv4",
    "densenet201",
    "xception",
    "efficientnet-lite4",
)
STRATEGIES = ("compiler", "balanced", "profiled", "cpsat")
DEVICE, TPUS = "edgetpu-pcie", "8"


def main() -> None:
    for path, blocks in generated().items():
        path.write_text(render(path.read_text(encoding="utf-8"), blocks), encoding="utf-8")
        print(f"wrote {path}")


def generated() -> dict[Path, dict[str, Callable[[], str]]]:
    """Return the documents with generated parts, and what makes each part."""
    return {
        README: {"study": study_table},
        SOLVER_README: {"layouts": proof_table},
        FIRST_DAY: {"tuning": tuning_table},
    }


def render(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """Return a document's text with its generated parts made anew."""
    for name, content in blocks.items():
        block = f"<!-- {name} -->\n{content()}\n<!-- /{name} -->"
        before, rest = text.split(f"<!-- {name} -->", 1)
        text = before + block + rest.split(f"<!-- /{name} -->", 1)[1]
    return text


def study_table() -> str:
    """Predicted time per inference of each strategy on eight TPUs, and the gains over all networks."""
    study, layouts, all_rows = read_result("study"), read_result("layouts"), read_rows("study")
    rows = {(r["network"], r["planner"]): r for r in all_rows if (r["device"], r["tpus"]) == (DEVICE, TPUS)}
    best = {row["network"]: row for row in layouts["rows"] if str(row["tpus"]) == TPUS}
    lines = [
        f"Predicted milliseconds per inference on {TPUS} x {ALIASES[DEVICE]}, by strategy:",
        "",
        "| network | one TPU | vendor's compiler | balanced | vendor's profiler | best pipeline | **best layout** | "
        "layout | over compiler |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|",
        *(_network_line(rows, best[name]) for name in SHOWN),
        "",
        "`best pipeline` and `best layout` are proven. A layout such as `2x4` is two pipelines of four TPUs; in",
        "brackets stand the TPUs that share each stage.",
        _layout_sentence(layouts),
        _gain_sentence(study["gain_of_the_optimum"][DEVICE], len({r["network"] for r in all_rows})),
        f"Made by `python -m benchmarks.study` and `.layouts` on {study['environment']['date']}: predictions of the",
        "device model, not measurements on Edge TPUs.",
    ]
    return "\n".join(lines)


def tuning_table() -> str:
    """How many segments `tune` compiles and measures, beside the vendor's profiling partitioner."""
    found = read_result("tune_devices")
    rows = [row for row in found["rows"] if "partitioner" in row]
    lines = [
        "| network | TPUs | `tune`, one pipeline: segments | of | ms | partitioner: segments, at least | ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['network']} | {row['tpus']} | {row['compilations_and_measurements']} | "
            f"{row['possible_stages']:,} | {row['period_ms']:.2f} | "
            f"{row['partitioner']['at_least']} | {row['partitioner']['period_ms']:.2f} |"
            for row in rows
        ),
        "",
        f"`python -m benchmarks.tune_devices`, {found['environment']['date']}: counts on a simulated device, whose",
        f"operations take up to {100 * found['off']:.0f} % more or less than predicted.",
    ]
    return "\n".join(lines)


def proof_table() -> str:
    """How long the proofs took."""
    found = read_result("layouts")
    study, environment = found["study"], found["environment"]
    lines = [
        "| solved and proven | seconds |",
        "|---|---:|",
        *(f"| {row['what']} | {row['wall_s']:.2f} |" for row in found["targets"] if "wall_s" in row),
        f"| {study['networks']} networks x 2..8 TPUs, all layouts, {study['proven']} of {study['solved']} proven, "
        f"{found['processes']} processes | {study['wall_s']:.1f} |",
        "",
        *(
            f"{row['what']}: dynamic program {row['dp_s'] * 1e3:.1f} ms, CP-SAT {row['cpsat_s']:.2f} s, HiGHS on the "
            f"same program {row['highs_s']:.2f} s."
            for row in found["targets"]
            if "highs_s" in row
        ),
        "",
        f"`benchmarks/layouts.py`, {environment['date']}, {environment['machine']}; costs at hand, certificates made.",
    ]
    return "\n".join(lines)


def _network_line(rows: Mapping[tuple[str, str], Mapping[str, str]], best: Mapping[str, Any]) -> str:
    name = str(best["network"])
    times = [int(rows[name, strategy]["bottleneck_ns"]) / 1e6 for strategy in STRATEGIES]
    one_tpu, layout = int(rows[name, "cpsat"]["one_tpu_ns"]) / 1e6, float(best["ns"]) / 1e6
    cells = [*(f"{t:.1f}" for t in (one_tpu, *times)), f"**{layout:.1f}**", f"`{best['layout']}`"]
    return f"| {name} | {' | '.join(cells)} | {times[0] / layout:.2f}x |"


def _layout_sentence(layouts: Mapping[str, Any]) -> str:
    gains, study = layouts["gains"], layouts["study"]
    most = gains["compiler"]["best"]
    return (
        f"Over the {study['networks']} networks of the research and 2 to 8 TPUs the best layout has "
        f"{gains['compiler']['geometric_mean']}x the throughput of the\ncompiler's cut (geometric mean; best "
        f"{most['gain']:.1f}x, {most['network']} on {most['tpus']} TPUs), {gains['balanced']['geometric_mean']}x that "
        f"of `balanced`,\n{gains['profiled']['geometric_mean']}x that of `profiled`."
    )


def _gain_sentence(gains: Mapping[str, Mapping[str, object]], networks: int) -> str:
    compiler, balanced, profiled = (gains[name] for name in ("compiler", "balanced", "profiled"))
    return (
        f"With one pipeline only, over all {networks} networks of the zoo: {compiler['geometric_mean']}x the "
        f"compiler's (best {compiler['best']}x,\n{compiler['best_case']}), {balanced['geometric_mean']}x `balanced`, "
        f"{profiled['geometric_mean']}x `profiled`."
    )


if __name__ == "__main__":
    main()
