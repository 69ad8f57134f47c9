"""Fit the device model to published measurements, report how far it is off, and write the device descriptions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.calibration import devices, latency, memory, report, sweeps
from benchmarks.calibration.fit import Array, mean_error, worst_error
from benchmarks.calibration.measurements import Measurements, default_folder
from segsolve.device.model import Device, load_device

UNIT = {"invocation": "ms", "conv": "ms/GMAC", "depthwise": "ms/GMAC"}
ODD = "inception-resnet"  # the row whose network is not the one that its name says
NAMES = {"USB": "edgetpu-usb", "PCIe": "edgetpu-pcie"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measurements", type=Path, default=default_folder(), help="folder of the CSV files")
    parser.add_argument("--dry-run", action="store_true", help="report without writing device descriptions")
    arguments = parser.parse_args()
    found = Measurements(arguments.measurements)
    device = load_device("edgetpu-usb")
    tables = {name: found.table(name) for name in ("compiler_logs", "conv_sweep", "dense_sweep")}
    vendor = found.table("latency_vendor_tables")
    result: dict[str, Any] = {"memory": check_memory(tables, device)}
    rows = sweeps.pipelines(tables["conv_sweep"], device)
    dense = dense_rates(tables["dense_sweep"])
    card = {**latency.HELD["USB"], **latency.START, "invocation": dense["resident_ms"], "stream": dense["stream"]}
    known = {"invocation": dense["resident_ms"], "conv": sweeps.fit_card(rows, card)["conv"]}
    samples = [s for interface in NAMES for s in latency.vendor_samples(vendor, device, interface)]
    fitted, result["latency"] = check_latency(samples, known)
    result["not_drawn"] = latency.not_drawn(vendor)
    start = fitted["edgetpu-usb"] | {"invocation": dense["resident_ms"], "stream": dense["stream"]}
    fitted["edgetpu-pcie-card"], result["sweep"] = check_sweep(rows, start)
    result["sweep"]["dense"] = dense
    if not arguments.dry_run:
        write_devices(fitted, result)
        result["sweep"]["optima"] = sweeps.optima(rows, load_device("edgetpu-pcie-card"))
    common.write_result("calibration", json.loads(json.dumps(result, default=float)))
    path = common.RESULTS / "calibration.md"
    path.write_text(report.markdown(common.environment(), result, fitted), encoding="utf-8")
    print(f"wrote {path}")


def check_memory(tables: Mapping[str, Sequence[dict[str, str]]], device: Device) -> dict[str, Any]:
    """Compare sizes, capacities and spills with the compiler's reports."""
    logs = tables["compiler_logs"]
    return {
        "tails": memory.as_rows(memory.tails(logs, device)),
        "moved_cut": memory.as_rows(memory.moved_cut(logs, device)),
        "segments": [memory.as_rows(part) for part in memory.segments(logs, device)],
        "stored": memory.as_rows(memory.stored(logs, tables["conv_sweep"], tables["dense_sweep"], device)),
        "dense_offchip": memory.as_rows(memory.dense_offchip(tables["dense_sweep"], device)),
    }


def check_latency(
    samples: Sequence[latency.Sample], known: latency.Rates
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Fit both interfaces; report errors with rows left out by network, and by family, on both at once."""
    x = latency.fit(samples, known)
    found = {
        "fit": latency.errors(samples, x, known),
        "network_left_out": latency.left_out(samples, known),
        "family_left_out": latency.left_out(samples, known, family),
    }
    rates = {name: latency.rates_of(x, interface, known) for interface, name in NAMES.items()}
    return rates, {name: _latency_of(samples, interface, found) for interface, name in NAMES.items()}


def family(sample: latency.Sample) -> str:
    """Return the family of a row's network, such as all ResNets."""
    return sample.family.split("-")[0].rstrip("0123456789.v")


def _latency_of(samples: Sequence[latency.Sample], interface: str, found: Mapping[str, Array]) -> dict[str, Any]:
    here = np.array([s.interface == interface for s in samples])
    kept = here & np.array([ODD not in s.family for s in samples])
    little = here & np.array([s.features.stream.sum() + s.features.wait < 5 for s in samples])
    rows = [
        {"network": s.name, "ms": s.ms, **{key: errors[i] for key, errors in found.items()}}
        for i, s in enumerate(samples)
        if here[i]
    ]
    networks, families = found["network_left_out"], found["family_left_out"]
    return {
        "rows": rows,
        "all": _errors(networks[here]),
        "without_odd": _errors(networks[kept]),
        "little_streams": _errors(networks[little]),
        "family_left_out": _errors(families[here]),
        "family_left_out_without_odd": _errors(families[kept]),
    }


def dense_rates(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Fit a line to the dense sweep: what streaming costs per MiB, and what an inference costs without."""
    off = np.array([float(row["offchip_mib"]) for row in rows])
    ms = np.array([float(row["ms_per_inference"]) for row in rows])
    streams = off > 0
    a = np.stack([np.ones(streams.sum()), off[streams]], axis=1) / ms[streams][:, None]
    intercept, slope = np.linalg.lstsq(a, np.ones(len(a)), rcond=None)[0]
    return {
        "resident_ms": round(float(np.median(ms[~streams])), 3),
        "first_stream_ms": float(intercept),
        "stream": float(slope),
        "worst": float(np.abs((intercept + slope * off[streams]) / ms[streams] - 1).max()),
    }


def check_sweep(rows: Sequence[sweeps.Pipeline], start: latency.Rates) -> tuple[dict[str, float], dict[str, Any]]:
    """Fit the card to the convolution sweep; report errors by number of TPUs, and the choices between cuts."""
    rates = sweeps.fit_card(rows, start)
    held = sweeps.left_out(rows, start)
    alone = sweeps.errors(rows, rates | {"shared": 1.0})
    groups = {}
    for tpus in (1, 2, 4):
        for spills in (False, True):
            chosen = np.array([row.tpus == tpus and row.spills == spills for row in rows])
            groups[f"{tpus} TPU, {'spilled' if spills else 'no spill'}"] = {
                **_errors(held[chosen]),
                "without_sharing": mean_error(alone[chosen]),
            }
    choices = sweeps.choices(rows, rates)
    return {key: rates[key] for key in start}, {
        "rates": rates,
        "groups": groups,
        "pipelines": _errors(held[np.array([row.tpus > 1 for row in rows])]),
        "spilled_alone": groups["1 TPU, spilled"],
        "right_spills": sum(row.right_spill for row in rows),
        "rows": len(rows),
        "wrong_spills": [f"{r.filters} on {r.tpus}, {r.split}" for r in rows if not r.right_spill],
        "choices": {
            f"{limit:.0%}": [sum(bool(c["right"]) for c in kept), len(kept)]
            for limit in (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
            if (kept := [c for c in choices if float(c["difference"]) > limit])
        },
        "wrong_choices": [c for c in choices if not c["right"] and float(c["difference"]) > 0.1],
        "worst": [
            {"filters": rows[i].filters, "tpus": rows[i].tpus, "split": rows[i].split, "error": held[i]}
            for i in np.argsort(-np.abs(held))[:8]
        ],
    }


def write_devices(fitted: Mapping[str, latency.Rates], result: Mapping[str, Any]) -> None:
    """Write the device descriptions."""
    usb, pcie = (_spread(result["latency"][name]) for name in ("edgetpu-usb", "edgetpu-pcie"))
    sweep = f"{result['sweep']['pipelines']['mean']:.0%} over the convolution sweep's pipelines"
    vendor = "fit to Google's published latencies"
    dense = "dense sweep, Villarrubia et al.: latency against off-chip MiB"
    logs = "latency against off-chip MiB of pruned networks, x86 host"
    pi = "latency against off-chip MiB of 410 networks on a Raspberry Pi 4"
    returned = "latency with a wide output against a narrow one, x86 host"
    images = ("held: images that the published networks take", "about 50 %: a tenth of a millisecond per image")
    assumed = ("assumed equal to time.input: nothing published separates it", "unknown")
    held = {"depthwise": ("held: the published latencies hardly say", "3 to 15 fit as well; under 10 % of a MobileNet")}
    sources: dict[str, dict[str, tuple[str, str]]] = {
        "edgetpu-usb": held
        | {"stream": (logs, "about 2 %"), "output": (returned, "60 to 102 MiB/s were measured"), "input": images},
        "edgetpu-pcie": held
        | {
            "output": assumed,
            "input": images,
            "stream": ("held: latency against off-chip MiB", "about 5 %; a card with a PC as its host: 2.5 to 2.8"),
            "invocation": ("as on edgetpu-pcie-card, held", "unknown on a Dev Board; about a tenth of a millisecond"),
        },
    }
    sources["edgetpu-usb-hub"] = sources["edgetpu-usb"]
    sources["edgetpu-usb-pi"] = sources["edgetpu-usb"] | {"stream": (pi, "about 2 %")}
    card = ("convolution sweep, Villarrubia et al., 1, 2 and 4 TPUs", sweep)
    as_usb = ("as edgetpu-usb: the sweeps do not separate it", "unknown")
    sources["edgetpu-pcie-card"] = held | {
        **dict.fromkeys(("conv", "input", "output"), card),
        "activation": as_usb,
        "stream": (dense, "1 %; other users 2.5 to 2.8"),
        "invocation": ("dense sweep: median of networks that fit", "0.05 ms; 0.38 ms more where anything streams"),
    }
    titles = {
        "edgetpu-usb": ("Coral USB Accelerator, USB 3, desktop host", usb, fitted["edgetpu-usb"]),
        "edgetpu-usb-hub": ("Coral USB Accelerators behind one USB 3 hub, desktop host", usb, fitted["edgetpu-usb"]),
        "edgetpu-usb-pi": (
            "Coral USB Accelerator, USB 3, Raspberry Pi 4 or 5",
            f"{usb}; on a Pi only the stream was measured",
            {**fitted["edgetpu-usb"], "stream": 3.29},
        ),
        "edgetpu-pcie": ("Coral M.2 or Dev Board, PCIe", pcie, fitted["edgetpu-pcie"]),
        "edgetpu-pcie-card": ("PCIe card with several Edge TPUs behind a switch", sweep, fitted["edgetpu-pcie-card"]),
    }
    for name, (title, error, rates) in titles.items():
        figures = {}
        for key, rate in rates.items():
            source, off = sources[name].get(key, (vendor, error))
            figures[key] = devices.Figure(float(f"{rate:.4g}"), UNIT.get(key, "ms/MiB"), source, off)
        devices.write(name, title, figures)


def _spread(errors: Mapping[str, Any]) -> str:
    return f"latency as a whole, network left out: {errors['all']['mean']:.1%}, worst {errors['all']['worst']:.0%}"


def _errors(errors: Array) -> dict[str, float]:
    return {"mean": mean_error(errors), "worst": worst_error(errors), "rows": len(errors)}


if __name__ == "__main__":
    main()
