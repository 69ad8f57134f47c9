"""Videos as inputs; a camera is stood in for by FFmpeg's test picture, which is decoded by the same code."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from segsolve_runtime.errors import InputError
from segsolve_runtime.io import pieces
from segsolve_runtime.io.inputs import open_inputs
from segsolve_runtime.io.pixels import PixelRule, pixels_of, tensor_of

from .specs import FLOAT, IMAGE, SIGNED, plan_of

av = pytest.importorskip("av")


def write_video(path: Path, colours: list[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 32, 16
        for colour in colours:
            pixels = np.full((16, 32, 3), colour, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_every_frame_of_a_video_is_read_in_order(tmp_path: Path) -> None:
    colours = list(range(10, 250, 8))
    inputs = open_inputs(plan_of(IMAGE), [str(write_video(tmp_path / "clip.mp4", colours))])
    assert not inputs.is_live
    frames = list(inputs.frames())
    assert [origin for origin, _ in frames][:2] == [f"{tmp_path}/clip.mp4[0]", f"{tmp_path}/clip.mp4[1]"]
    assert [frame["image"].shape for _, frame in frames] == [(1, 4, 6, 3)] * len(colours)
    means = [frame["image"].mean() for _, frame in frames]
    assert np.abs(np.array(means) - colours).max() < 6


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as video"):
        open_inputs(plan_of(IMAGE), [str(tmp_path / "clip.mp4")])


def test_a_camera_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pieces, "camera_source", lambda number: (f"testsrc=size=64x48:rate=25:decimals={number}", "lavfi")
    )
    inputs = open_inputs(plan_of(IMAGE), ["camera:2"])
    assert inputs.is_live
    frames = inputs.frames()
    origin, frame = next(frames)
    assert (origin, frame["image"].shape) == ("camera:2[0]", (1, 4, 6, 3))
    assert frame["image"].std() > 10
    frames.close()  # type: ignore[attr-defined]


def test_a_camera_that_is_not_there() -> None:
    if Path("/dev/video199").exists():
        pytest.skip("it is there")
    with pytest.raises(InputError, match="camera"):
        next(open_inputs(plan_of(IMAGE), ["camera:199"]).frames())


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_bytes_are_pixels_for_an_image(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "frames.raw"
    path.write_bytes(PIXELS.tobytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PIXELS.tobytes())))
    value = "-" if source == "stdin" else str(path)
    inputs = open_inputs(plan_of(SIGNED), [value])
    (note,) = inputs.notes
    assert "are pixels, RGB of 6 x 4, a byte each (--raw-tensor: the tensor's own int8)" in note
    frames = [frame["image"] for _, frame in inputs.frames()]
    assert np.array_equal(np.concatenate(frames).astype(int), PIXELS.astype(int) - 128)


def test_bytes_are_the_tensors_own_if_the_user_says_so(tmp_path: Path) -> None:
    path = tmp_path / "frames.raw"
    path.write_bytes(PIXELS.tobytes())
    inputs = open_inputs(plan_of(SIGNED), [str(path)], PixelRule(raw_tensor=True))
    assert "the tensor's own int8" in inputs.notes[0]
    assert next(inputs.frames())[1]["image"].tobytes() == PIXELS[0].tobytes()


def test_pixels_of_a_float_input_need_a_mean_or_a_deviation(tmp_path: Path) -> None:
    path = tmp_path / "frames.raw"
    path.write_bytes(PIXELS.tobytes())
    inputs = open_inputs(plan_of(FLOAT), [str(path)], PixelRule(mean=(127.5,), std=(127.5,)))
    assert next(inputs.frames())[1]["image"][0] == pytest.approx((PIXELS[0] - 127.5) / 127.5)


def test_a_stream_that_cannot_be_frames_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "frames"
    path.write_bytes(PIXELS.tobytes()[:-1])
    with path.open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        with pytest.raises(InputError, match=r"stdin has 215 bytes; .* takes 72 at a time: no whole images"):
            open_inputs(plan_of(SIGNED), ["-"])


@pytest.mark.parametrize("rule", [PixelRule(), PixelRule(mean=(127.5,), std=(63.0,))])
def test_an_image_is_had_back_from_its_tensor(rule: PixelRule) -> None:
    for spec in (IMAGE, SIGNED):
        again = pixels_of(tensor_of(PIXELS[0], spec, rule), spec, rule)
        assert np.abs(again.astype(int) - PIXELS[0]).max() <= (0 if rule.mean is None else 66)
