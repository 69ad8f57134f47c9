"""Writes the tables of README.md from the results, so that no number there is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.common import read_result, read_rows

README = Path(__file__).parents[1] / "README.md"
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
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {README}")


def render(text: str) -> str:
    """Return README's text with its generated parts made anew."""
    for name, content in {"study": study_table()}.items():
        block = f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
        before, rest = text.split(f"<!-- {name} -->", 1)
        text = before + block + rest.split(f"<!-- /{name} -->", 1)[1]
    return text


def study_table() -> str:
    """Predicted bottleneck of each strategy on eight TPUs, and the gains over the whole zoo."""
    study, all_rows = read_result("study"), read_rows("study")
    rows = {(r["network"], r["planner"]): r for r in all_rows if (r["device"], r["tpus"]) == (DEVICE, TPUS)}
    lines = [
        f"Predicted milliseconds per inference on {TPUS} x {DEVICE}, by strategy:",
        "",
        "| network | one TPU | vendor's compiler | balanced | vendor's profiler | **segsolve** | over compiler |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_network_line(rows, name) for name in SHOWN),
        "",
        _gain_sentence(study["gain_of_the_optimum"][DEVICE], len({r["network"] for r in all_rows})),
        f"Made by `python -m benchmarks.study` on {study['environment']['date']}: predictions of the device model, not",
        "measurements on Edge TPUs.",
    ]
    return "\n".join(lines)


def _network_line(rows: Mapping[tuple[str, str], Mapping[str, str]], name: str) -> str:
    times = [int(rows[name, strategy]["bottleneck_ns"]) / 1e6 for strategy in STRATEGIES]
    one_tpu = int(rows[name, "cpsat"]["one_tpu_ns"]) / 1e6
    cells = [f"{t:.1f}" for t in (one_tpu, *times[:-1])] + [f"**{times[-1]:.1f}**", f"{times[0] / times[-1]:.2f}x"]
    return f"| {name} | {' | '.join(cells)} |"


def _gain_sentence(gains: Mapping[str, Mapping[str, object]], networks: int) -> str:
    compiler, balanced, profiled = (gains[name] for name in ("compiler", "balanced", "profiled"))
    return (
        f"Over all {networks} networks of the zoo and 2 to 8 TPUs the proven optimum has {compiler['geometric_mean']}x "
        f"the throughput of the\ncompiler's cut (geometric mean; best {compiler['best']}x, {compiler['best_case']}), "
        f"{balanced['geometric_mean']}x that of `balanced`, {profiled['geometric_mean']}x that of\n`profiled`."
    )


if __name__ == "__main__":
    main()
