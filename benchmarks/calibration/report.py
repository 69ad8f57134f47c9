"""The report of a calibration, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.calibration.memory import EXACT_MIB
from benchmarks.calibration.networks import VENDOR, vendor_key


def markdown(environment: Mapping[str, Any], result: Mapping[str, Any], fitted: Mapping[str, Any]) -> str:
    """Return the report."""
    where = f"{environment['date']}, {environment['machine']}, Python {environment['python']}, " + ", ".join(
        f"{package} {version}" for package, version in environment["versions"].items()
    )
    parts = [
        "# Device model against published measurements",
        f"{where}. Written by `python -m benchmarks.calibration`; formulas in `benchmarks/calibration/README.md`.",
        *_targets(result),
        *_memory(result["memory"]),
        *_latency(result),
        *_sweep(result["sweep"]),
        *_dense(result["dense_pipelines"]),
        *_copies(result["copies"]),
        *_cifar(result["cifar"]),
        *_detectors(result["detectors"]),
        *_layouts(result["sweep"]["ranks"]),
        *_ranges(result),
        "## Rates",
        _table(
            ("fitted to", *(keys := list(dict.fromkeys(k for rates in fitted.values() for k in rates)))),
            ([name, *(f"{r[k]:.4f}" if k in r else "-" for k in keys)] for name, r in fitted.items()),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _targets(result: Mapping[str, Any]) -> list[str]:
    tails, stored, sweep = result["memory"]["tails"], result["memory"]["stored"], result["sweep"]
    exact = sum(abs(row["error"]) <= EXACT_MIB for row in tails)
    sized = sum(abs(row["error"]) <= 0.005 * row["published"] for row in stored)
    usb, pcie = (result["latency"][name] for name in ("edgetpu-usb", "edgetpu-dev-board"))
    right, of = sweep["choices"]["10%"]
    dense = result["dense_pipelines"]
    rows = [
        ("stored bytes within 0.5 %", "all", f"{sized} of {len(stored)}"),
        ("off-chip bytes of the tails exact", "16 of 18", f"{exact} of {len(tails)}"),
        ("latency, network left out, USB", "6 %, worst 25 %", _both(usb)),
        ("latency, network left out, PCIe", "3.5 %, worst 25 %", _both(pcie)),
        ("the same, less than 5 MiB stream, USB", "6 %", _error(usb["little_streams"])),
        ("the same, less than 5 MiB stream, PCIe", "6 %", _error(pcie["little_streams"])),
        ("spilled rows of the convolution sweep, 1 TPU", "15 %", _error(sweep["spilled_alone"])),
        *((f"the same, {n} TPUs", "-", _error(sweep["groups"][f"{n} TPU, spilled"])) for n in (2, 3, 4)),
        ("bottleneck of its pipelines, 2 to 4 TPUs", "10 %", _error(sweep["pipelines"])),
        ("the same on 3 TPUs", "10 %", _error(sweep["on_three"])),
        ("dense pipelines, 2 to 4 TPUs, as many TPUs left out", "15 %", _error(result["dense_pipelines"]["all"])),
        ("the same without rows that contradict themselves", "15 %", _error(dense["without_contradictions"])),
        ("measured best cut among our best two", "-", _ranks(sweep["ranks"])),
        ("right choice of two cuts more than 10 % apart", "98 %", f"{right} of {of}"),
    ]
    return ["## Targets", _table(("", "target", "reached"), rows)]


def _memory(found: Mapping[str, Any]) -> list[str]:
    tails = [*found["tails"], *found["moved_cut"]]
    rows = [
        (r["what"], f"{r['published']:g}", f"{r['predicted']:.3f}", "yes" if abs(r["error"]) <= EXACT_MIB else "no")
        for r in tails
    ]
    capacity = [part[1] for part in found["segments"]]
    wrong = [r for r in found["dense_offchip"] if abs(r["error"]) > EXACT_MIB]
    return [
        "## Memory",
        "What streams of a tail of a network, in MiB. The last row is one of them under the cut that explains it.",
        _table(("tail", "published", "predicted", "exact"), rows),
        "Capacity for weights, in MiB.",
        _table(
            ("segment", "published", "predicted"),
            ((r["what"].split(",")[0], f"{r['published']:.2f}", f"{r['predicted']:.2f}") for r in capacity),
        ),
        f"Dense sweep: {len(found['dense_offchip']) - len(wrong)} of {len(found['dense_offchip'])} rows exact"
        + "".join(f"; {r['what']}: {r['published']:g} published, {r['predicted']:.2f} predicted" for r in wrong)
        + ".",
    ]


def _latency(result: Mapping[str, Any]) -> list[str]:
    parts = ["## Latency on one TPU"]
    for name, found in result["latency"].items():
        parts += [
            f"{name}: family left out {_error(found['family_left_out'])}, "
            f"without Inception-ResNet-v2 {_error(found['family_left_out_without_odd'])}.",
            _table(
                ("network", "ms", "fit", "network left out", "family left out", "note"),
                (
                    (
                        r["network"],
                        f"{r['ms']:g}",
                        *(f"{r[k]:+.1%}" for k in ("fit", "network_left_out", "family_left_out")),
                        VENDOR[vendor_key(r["network"])].note,
                    )
                    for r in found["rows"]
                ),
            ),
        ]
    return [*parts, "Published but not drawn here: " + ", ".join(result["not_drawn"]) + "."]


def _sweep(found: Mapping[str, Any]) -> list[str]:
    groups = [
        (name, g["rows"], f"{g['mean']:.1%}", f"{g['worst']:.0%}", f"{g['without_sharing']:.1%}")
        for name, g in found["groups"].items()
    ]
    parts = [
        "## Convolution sweep",
        "Errors of the slowest stage with a hundred filter counts left out; in the last column the transfers of the "
        "series on two and three TPUs are not lengthened.",
        _table(("rows", "number", "mean error", "worst", "without sharing"), groups),
        "Worst: " + "; ".join(map(_row, found["worst"])) + ".",
        f"What streams is right in {found['right_spills']} of {found['rows']} rows; wrong: "
        + ", ".join(found["wrong_spills"])
        + ".",
        _table(
            ("the two cuts differ by more than", "chosen right", "of"),
            ((limit, *counts) for limit, counts in found["choices"].items()),
        ),
    ]
    if "optima" in found:
        gains = [(o["filters"], o["tpus"], o["cuts"], o["best_published"], f"{o['gain']:.1%}") for o in found["optima"]]
        parts += [
            "Our optimal cut and its predicted gain over the best measured one.",
            _table(("filters", "TPUs", "optimal cut", "best published", "gain"), gains),
        ]
    return parts


def _dense(found: Mapping[str, Any]) -> list[str]:
    return [
        "## Dense pipelines",
        f"Each stage and inference keeps the host busy for {found['serial_ms']:.3f} ms, whatever the network. "
        f"Errors with all rows on as many TPUs left out: {_error(found['host_bound'])} where nothing streams, "
        f"{_error(found['all'])} in all; {found['contradictions']} rows on two TPUs took less than any stream of "
        "the bytes that they name.",
    ]


def _copies(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            f"{r['alone_ms']:.2f}",
            f"{r['queued']:.2f}",
            f"{r['plan']:.2f}",
            *(f"{r[key]:.0%}" for key in ("without_host", "measured", "ours")),
        )
        for r in found
    ]
    header = ("one alone, ms", "queued", "in a plan", "without the host", "with what was measured", "in a plan")
    return [
        "## Copies on one host",
        "How many times faster eight copies of a network for images of 224 x 224 pixels are than one, if they queue at "
        "the host and as a plan says; and by how much, in the mean over 1 to 8 copies, rates differ from those of the "
        "queue. Derived, not measured: others saw 3.8 to 4.8.",
        _table(header, rows),
    ]


def _cifar(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            r["network"],
            *(f"{a:.2f} / {b:.2f}" for a, b in zip(r["published_mib"], r["predicted_mib"], strict=True)),
            f"{r['ms']:.2f}",
            f"{r['predicted_ms']:.2f}",
            f"{r['error']:+.1%}",
            "yes" if r["inside"] else "no",
        )
        for r in found
    ]
    header = ("network", "on chip, MiB", "off chip, MiB", "ms", "predicted", "error", "inside of its range")
    return [
        "## Networks that no figure was fitted to",
        "For images of 32 x 32 pixels, over USB on a Raspberry Pi 4; MiB as published and predicted.",
        _table(header, rows),
    ]


def _detectors(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            *(r[key] for key in ("network", "device", "ms")),
            f"{r['predicted_ms']:.1f}",
            f"{r['error']:+.1%}",
            "yes" if r["inside"] else "no",
        )
        for r in found
    ]
    return [
        "Detectors, whose boxes are put together on the host's CPU.",
        _table(("network", "device", "ms", "predicted", "error", "inside of its range"), rows),
    ]


def _layouts(found: Sequence[Mapping[str, int]]) -> list[str]:
    rows = []
    for tpus in sorted({row["tpus"] for row in found}):
        ranks = sorted(row["rank"] for row in found if row["tpus"] == tpus)
        of = max(row["of"] for row in found if row["tpus"] == tpus)
        first, second = (sum(rank <= n for rank in ranks) for n in (1, 2))
        rows.append((tpus, len(ranks), of, first, second, ranks[len(ranks) // 2], ranks[-1]))
    header = ("TPUs", "networks", "cuts", "best is our best", "among our best two", "median rank", "worst")
    return [
        "## Choice",
        "Of the convolution sweep, for each network and number of TPUs: the predicted rank of the measured best cut "
        "among all cuts. No published measurement at hand compares layouts of several pipelines.",
        _table(header, rows),
    ]


def _ranges(result: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, regime, f"{each['low']:.2f}", f"{each['high']:.2f}", each["source"])
        for name, found in result["ranges"].items()
        for regime, each in found.items()
    ]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in result["inside"].items())
    return [
        "## Ranges",
        "Factors on a predicted time between which 80 % of the measurements lay, by what the time consists of.",
        _table(("devices", "regime", "low", "high", "source"), rows),
        "Rows inside of the ranges that all other families make, "
        f"in the sweep those on other numbers of TPUs: {shares}.",
    ]


def _ranks(found: Sequence[Mapping[str, int]]) -> str:
    best = sum(row["rank"] <= 2 for row in found)
    median = sorted(row["rank"] for row in found)[len(found) // 2]
    return f"{best} of {len(found)} (median rank {median} of {max(row['of'] for row in found)} cuts)"


def _row(row: Mapping[str, Any]) -> str:
    return f"{row['filters']} filters, {row['tpus']} TPUs, {row['split']}: {row['error']:+.0%}"


def _both(found: Mapping[str, Any]) -> str:
    return f"{_error(found['all'])}; without Inception-ResNet-v2 {_error(found['without_odd'])}"


def _error(errors: Mapping[str, float]) -> str:
    return f"{errors['mean']:.1%} (worst {errors['worst']:.0%}, {errors['rows']} rows)"


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
