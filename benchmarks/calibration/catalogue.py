"""The devices that people own: which figures each takes from which measurements, and how far each may be off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.calibration import copies
from benchmarks.calibration.devices import Description, Figure, Range

Figures = Mapping[str, Figure]
Rates = Mapping[str, float]
OURS = "segsolve's runtime"
UNIT = {"invocation": "ms", "operation": "ms", "transfer": "ms", "conv": "ms/GMAC", "depthwise": "ms/GMAC"}
UNIT |= {"large_from": "MiB"}

FRAME = 1.17  # ms/MiB
_PC: Figures = {  # and what driving the devices costs it: see `_serial`
    "host.conv": Figure(
        24, "ms/GMAC", "segsolve profile of DeepLab v3, LiteRT on one core of an AMD EPYC", "another CPU: a factor of 2"
    ),
    "host.activation": Figure(0.29, "ms/MiB", "the same: RESIZE_BILINEAR and ARG_MAX", "0.06 to 0.4 by operation"),
    "host.cores": Figure(4, "cores", "assumed: a PC of today has 4 or more", "give the cores that you have"),
    "host.frame": Figure(
        FRAME,
        "ms/MiB",
        "one more boundary in a hand-chained pipeline, PCIe card in a PC: 2.34 ms/MiB in both directions together, "
        "half of it in each; only of what a pipeline as a whole takes and gives: ResNet-152 in 8 stages is faster",
        "0.9 to 1.7 if the eight copies that gained 4.8 to 3.8 times took 2 ms and images of 224 x 224 pixels",
    ),
}


def _embedded(conv: float, activation: float, serial: float, of: str, chip: str, how: str) -> Figures:
    """Return the figures of a small host, of which only the float rate on a phone is published."""
    phone = "TensorFlow Lite's page of hosted models: MobileNet v1, 160 ms on one core of a phone"
    return {
        "host.conv": Figure(conv, "ms/GMAC", phone + how, "in float; int8 up to 3 times faster"),
        "host.activation": Figure(
            activation, "ms/MiB", "as on a desktop, slower in proportion to host.conv", "unknown"
        ),
        "host.cores": Figure(4, "cores", chip, "exact as a count"),
        "host.serial": Figure(serial, "ms", f"assumed: {of}", "a factor of 2: never measured"),
        "host.frame": Figure(
            round(FRAME * serial / 0.3, 1),
            "ms/MiB",
            "a PC's, slower as host.serial is",
            "a factor of 2: never measured",
        ),
    }


_DEV_BOARD = _embedded(280, 3.4, 0.6, "as on a Raspberry Pi 4", "NXP i.MX 8M: four Cortex-A53", "")
_PI4 = _embedded(
    280,
    3.4,
    0.6,
    "twice a PC's; an inference of the fastest network takes 0.67 ms there in all",
    "Broadcom BCM2711: four Cortex-A72",
    "",
)
_PI5 = _embedded(
    110,
    1.4,
    0.4,
    "between a PC's and a Raspberry Pi 4's",
    "Broadcom BCM2712: four Cortex-A76",
    "; 2.5 times faster, as its maker says",
)

_LINK: Figures = {
    "link.operation": Figure(
        2700,
        "bytes",
        "public compiled files: instructions, which come with every inference, for each operation in the median",
        "1,000 to 3,300; 12,000 to 30,000 for images of 1024 x 768 pixels and more",
    )
}
_HUB: Figures = {
    **_LINK,
    "link.bandwidth": Figure(
        477,
        "MiB/s",
        "USB 3.1 Gen 1, as in Google's USB Accelerator datasheet: 5 Gbit/s, 8 of 10 bits data",
        "an upper bound: one accelerator alone was measured at 440; the two directions are separate, here they share",
    ),
}
_SLOT: Figures = {
    **_LINK,
    "link.bandwidth": Figure(
        15020,
        "MiB/s",
        "ASUS AI Accelerator CRL-G18U-P3DF: one PCI Express 3.0 slot of 16 lanes, 8 GT/s each, 128 of 130 bits data",
        "an upper bound, never measured: packet headers take a part; a slot of 4 lanes carries a quarter",
    ),
}

_LANE: Figures = {
    **_LINK,
    "link.bandwidth": Figure(
        477,
        "MiB/s",
        "Raspberry Pi: one lane of PCI Express, 5 GT/s, 8 of 10 bits data",
        "an upper bound: packet headers take a part; two devices of a HAT with a switch share it",
    ),
}

_REPORTED = "one user's report of the time that creating an interpreter takes: 2.7 s over USB, 0.06 s over PCIe"
_LOAD = "first inferences over USB on a Raspberry Pi 4: 0.44 ms and 3.25 ms per MiB cached, which is the stream's rate"
_ON_USB: Figures = {
    "start.open": Figure(2700, "ms", _REPORTED, "a factor of 2: never measured by us"),
    "start.load": Figure(0.44, "ms", _LOAD, "another host: never measured"),
    "start.at_once": Figure(
        16,
        "devices",
        "segsolve's runtime: a process for each device on USB",
        "several on one hub may wait for each other",
    ),
}
_ON_PCIE: Figures = {
    "start.open": Figure(60, "ms", _REPORTED, "a factor of 2: never measured by us"),
    "start.load": Figure(0.44, "ms", f"as over USB; {_LOAD}", "never measured over PCIe"),
    "start.at_once": Figure(
        1, "devices", "segsolve's runtime: one after the other, in one process", "with --isolate all side by side"
    ),
}

_IMAGES = ("held: images that the published networks take", "about 50 %: a tenth of a millisecond per image")
_DEPTHWISE = ("held: the published latencies hardly say", "3 to 15 fit as well; under 10 % of a MobileNet")
_INSTRUCTIONS = "public compiled files: 2.7 KB of instructions per operation in the median"
_VENDOR = "fit to Google's published latencies"
_BOUNDARY = "one more boundary in a hand-chained pipeline, PCIe card in a PC: 0.2 ms at 18 KiB, 2.8 ms at 1152 KiB"


def descriptions(fitted: Mapping[str, Rates], result: Mapping[str, Any]) -> list[Description]:
    """Return all devices, given the fitted rates by what they were fitted to, and what was found of their errors."""
    usb, pcie = fitted["edgetpu-usb"], fitted["edgetpu-dev-board"]
    spread = {name: _spread(result["latency"][name]) for name in ("edgetpu-usb", "edgetpu-dev-board")}
    on_usb = _times(
        usb,
        (_VENDOR, spread["edgetpu-usb"]),
        stream=("latency against off-chip MiB of pruned networks, x86 host", "about 2 %"),
        output=("latency with a wide output against a narrow one, x86 host", "60 to 102 MiB/s were measured"),
        operation=(
            f"{_INSTRUCTIONS}, at the rate of the stream",
            "5.6 to 11.2 us are missing on some networks without",
        ),
    )
    on_board = _times(
        pcie,
        (_VENDOR, spread["edgetpu-dev-board"]),
        output=("assumed equal to time.input: nothing published separates it", "unknown"),
        stream=("held: latency against off-chip MiB", "about 5 %; a card with a PC as its host: 2.5 to 2.8"),
        invocation=("as on edgetpu-card, held", "unknown on a Dev Board; about a tenth of a millisecond"),
        operation=(f"{_INSTRUCTIONS}: half of them, which leaves the errors as they were", "0 to 7 us fit as well"),
    )
    in_pc = _in_pc(usb, result["sweep"]["dense"]["resident_ms"])
    of_sweep = _of_sweep(fitted["sweep"], usb, f"{result['sweep']['pipelines']['mean']:.0%} over its pipelines")
    in_threads = _serial(result["dense_pipelines"])
    pc = {**_PC, "host.serial": _ours(in_threads)}
    ranges: Mapping[str, Mapping[str, Range]] = result["ranges"]
    pi_only = "; on a Pi only the stream was measured"
    on_pi = {
        **{key: Figure(f.value, f.unit, f.source, f.error + pi_only) for key, f in on_usb.items()},
        "time.stream": Figure(
            3.29, "ms/MiB", "latency against off-chip MiB of 410 networks on a Raspberry Pi 4", "about 2 %"
        ),
    }
    on_pi5 = on_pi | {
        "time.stream": Figure(3.29, "ms/MiB", "as on a Raspberry Pi 4", "never measured; 2.3 on a PC, so up to 30 %")
    }
    r = ranges
    faster = "as on a Pi 4; a stream as fast as on a PC is possible"
    on_pi5_off = {**r["pi"], "spilling": Range(0.7, r["pi"]["spilling"].high, faster)}
    described = [
        Description("edgetpu-usb", "Coral USB Accelerator on a PC, USB 3", OURS, {**on_usb, **pc}, r["usb"]),
        Description(
            "edgetpu-usb-hub",
            "Coral USB Accelerators behind one USB 3 hub on a PC",
            OURS,
            {**on_usb, **pc, **_HUB},
            r["usb"],
        ),
        Description(
            "edgetpu-usb-pi4",
            "Coral USB Accelerator, USB 3, Raspberry Pi 4",
            OURS,
            {**on_pi, **_PI4},
            r["pi"],
        ),
        Description(
            "edgetpu-usb-pi5",
            "Coral USB Accelerator, USB 3, Raspberry Pi 5",
            OURS,
            {**on_pi5, **_PI5},
            on_pi5_off,
        ),
        Description("edgetpu-dev-board", "Coral Dev Board", OURS, {**on_board, **_DEV_BOARD}, r["pcie"]),
        Description("edgetpu-m2", "Coral M.2 or mini PCIe, single or dual, in a PC", OURS, {**in_pc, **pc}, r["pc"]),
        Description(
            "edgetpu-m2-pi5",
            "Coral M.2 on a HAT for PCI Express, one lane, Raspberry Pi 5",
            OURS,
            {**_on_lane(in_pc), **_PI5, **_LANE},
            _lane_ranges(r["pc"]),
        ),
        Description(
            "edgetpu-card",
            "PCIe card of several Edge TPUs behind a switch, in a PC",
            OURS,
            {**in_pc, **pc, **_SLOT},
            r["pc"],
        ),
        Description(
            "edgetpu-card-runner",
            "Same card, driven by the vendor's PipelinedModelRunner",
            "the vendor's PipelinedModelRunner",
            {**of_sweep, **_PC, **_SLOT, **_RUNNER},
            r["sweep"],
        ),
        Description(
            "edgetpu-card-threads",
            "Same card, driven by a pipeline of Python threads",
            "hand-chained: a Python thread for each stage",
            {**in_pc, **_PC, **_SLOT, "host.serial": in_threads},
            r["threads"],
        ),
    ]
    return [replace(one, figures={**one.figures, **_start(one.name)}) for one in described]


def _start(name: str) -> Figures:
    return _ON_USB if "-usb" in name else _ON_PCIE


_RUNNER: Figures = {
    "host.serial": Figure(
        0.2,
        "ms",
        "convolution sweep: four stages of the smallest network take 1.6 ms, so 0.4 at most; half of that",
        "0.2 ms: nothing separates it",
    )
}


def _in_pc(usb: Rates, resident_ms: float) -> Figures:
    """Return the times of a device on PCIe with a PC as its host: the chip's as over USB, the link's its own."""
    as_usb = ("as edgetpu-usb: the chip's work, fed by a PC", "unknown; the sweeps show 0.7 to 0.9 for time.conv")
    return _times(
        {
            **{key: usb[key] for key in ("conv", "activation", "depthwise", "operation")},
            "invocation": resident_ms,
            "transfer": 0.009,
            "input": 0.73,
            "output": 1.61,
            "stream": 2.76,
        },
        as_usb,
        invocation=("dense sweep: median of networks that fit", "0.05 ms; 0.38 ms more where anything streams"),
        transfer=(f"{_BOUNDARY}, less the invocation, shared by its two tensors", "0.05 ms"),
        input=(f"{_BOUNDARY}; of the two directions as in the convolution sweep", "the sum: 5 %; its parts: 50 %"),
        output=(f"{_BOUNDARY}; of the two directions as in the convolution sweep", "the sum: 5 %; its parts: 50 %"),
        stream=("latency against off-chip MiB of 410 networks, PCIe card", "2 %; others 2.5 to 2.71, a Pi 5 2.4"),
    )


def _on_lane(in_pc: Figures) -> Figures:
    """Return the times of a device on a Raspberry Pi 5's lane: one inference of a network that streams was measured."""
    assumed = "assumed as on edgetpu-m2: on a Pi 5 only the stream was measured; "
    on_board = "1.5 times as long, as on a Dev Board, is possible"
    of_host = "1.3 times as long, as host.serial, is possible"
    slower = {"input": of_host, "output": of_host, "transfer": of_host, "invocation": of_host}
    figures = {
        key: Figure(f.value, f.unit, f"{assumed}{f.source}", slower.get(key.removeprefix("time."), on_board))
        for key, f in in_pc.items()
    }
    stream = Figure(
        2.37,
        "ms/MiB",
        "a dense network on an M.2 in a Raspberry Pi 5: 56 ms in all, of which 23.4 MiB stream",
        "5 %: one network; 2.5 to 2.76 on cards in a PC",
    )
    return {**figures, "time.stream": stream}


def _lane_ranges(pc: Mapping[str, Range]) -> Mapping[str, Range]:
    """Return how far times on a Pi 5's lane may be off: as in a PC, and up to what its slower host may add."""
    slower = 0.4 / 0.3
    one = "as in a PC for a stream of one network on a Pi 5; up to what a card in a PC takes"
    moved = "as in a PC; up to as much longer as host.serial is"
    return {
        **pc,
        "spilling": Range(pc["spilling"].low, 1.17, one),
        "transfers": Range(pc["transfers"].low, slower * pc["transfers"].high, moved),
        "host": Range(0.5, 2.0, "assumed: a factor of 2, since no small host was measured"),
    }


def _of_sweep(rates: Rates, usb: Rates, error: str) -> Figures:
    """Return the times of the card of the convolution sweep, which were measured with the vendor's runner."""
    return _times(
        {**rates, "large_from": 1.0, "transfer": 0.0},
        ("convolution sweep, Villarrubia et al., 1 to 4 TPUs", error),
        activation=("as edgetpu-usb: the sweeps do not separate it", "unknown"),
        depthwise=_DEPTHWISE,
        operation=("as edgetpu-usb", "unknown"),
        transfer=("convolution sweep: none is found", "a tenth of a millisecond"),
        large=("convolution sweep: what a tensor's bytes beyond 1 MiB take more", "0.5 to 1.5 MiB fit as well"),
        large_from=("as time.large", "as time.large"),
        again=(
            "convolution sweep: what maps that come from the host and that the tiles cannot hold whole take more",
            "5 to 15, more where weights stream",
        ),
        stream=("dense sweep, Villarrubia et al.: latency against off-chip MiB", "1 %; other users 2.5 to 2.8"),
        invocation=("dense sweep: median of networks that fit", "0.05 ms; 0.38 ms more where anything streams"),
    )


def _serial(found: Mapping[str, Any]) -> Figure:
    return Figure(
        round(found["serial_ms"], 3),
        "ms",
        "dense pipelines, Villarrubia et al., 2 to 4 TPUs: time per inference and stage at any size",
        f"{found['host_bound']['mean']:.0%} of these times, with as many TPUs left out",
    )


def _ours(threads: Figure) -> Figure:
    """Return what our runtime costs the host of a PC: never measured with devices, so what others' threads took.

    Where they can just use all of a host, pipelines that meet there make use of a part of it.
    """
    part = copies.at_knee()
    return Figure(
        round(threads.value / part, 2),
        "ms",
        f"{threads.value} ms in {threads.source}; segsolve's runtime takes as much CPU as such threads (python -m "
        f"benchmarks.overhead). Of a host that eight devices could just use up they use {part:.0%}: they meet there",
        "0.1 to 0.3 ms: an inference of the fastest network takes 0.1 in all",
    )


def _times(rates: Rates, otherwise: tuple[str, str], **said: tuple[str, str]) -> dict[str, Figure]:
    said = {"depthwise": _DEPTHWISE, "input": _IMAGES, **said}
    return {
        f"time.{key}": Figure(float(f"{rate:.4g}"), UNIT.get(key, "ms/MiB"), *said.get(key, otherwise))
        for key, rate in rates.items()
    }


def _spread(errors: Mapping[str, Any]) -> str:
    return f"latency as a whole, network left out: {errors['all']['mean']:.1%}, worst {errors['all']['worst']:.0%}"
