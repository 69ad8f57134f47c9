from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.images import load_original, load_pixels
from segsolve_runtime.io.pixels import Canvas, PixelRule, canvas_of, check_rule, doubt, tensor_of

from .specs import FLOAT, IMAGE, SIGNED, VECTOR

CANVAS = Canvas(width=6, height=4, channels=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def _saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def _reason(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_pixels(path, CANVAS, "stretch")
    return str(caught.value)


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    path = _saved(Image.fromarray(PIXELS), tmp_path / "a.png")
    assert np.array_equal(load_pixels(path, CANVAS, "stretch"), PIXELS)


def test_each_fit(tmp_path: Path) -> None:
    """A wide picture, left half red and right half blue."""
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, :60, 0], wide[:, 60:, 2] = 255, 255
    path = _saved(Image.fromarray(wide), tmp_path / "wide.png")
    stretched, cropped, padded = (load_pixels(path, CANVAS, fit) for fit in ("stretch", "crop", "pad"))
    assert stretched.shape == cropped.shape == padded.shape == (4, 6, 3)
    assert np.array_equal(stretched[0], stretched[3]) and stretched[0, 0].tolist() == [255, 0, 0]
    assert cropped[2, 0, 0] == 255 and cropped[2, 5, 2] == 255
    assert padded[0].max() == 0 and padded[3].max() == 0 and padded[1, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA"])
def test_every_kind_of_image_becomes_three_channels(mode: str, tmp_path: Path) -> None:
    suffix = "tiff" if mode in ("CMYK", "YCbCr") else "png"
    path = _saved(Image.fromarray(PIXELS).convert(mode), tmp_path / f"a.{suffix}")
    pixels = load_pixels(path, CANVAS, "stretch")
    assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
    if mode in ("L", "LA"):
        assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    image = np.full((4, 6, 4), 200, np.uint8)
    image[0, :, 3], image[1:, :, 3] = 0, 255
    pixels = load_pixels(_saved(Image.fromarray(image), tmp_path / "a.png"), CANVAS, "stretch")
    assert pixels[0].max() == 0 and pixels[1].min() == 200


def test_one_channel() -> None:
    assert canvas_of(TensorSpec(name="x", dtype="int8", shape=[1, 28, 30, 1])).mode == "L"
    assert canvas_of(TensorSpec(name="x", dtype="int8", shape=[28, 30])) == Canvas(width=30, height=28, channels=1)


def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned
    lying = Image.fromarray(np.rot90(PIXELS).copy())
    path = _saved(lying, tmp_path / "a.png", exif=exif)
    assert np.array_equal(load_pixels(path, CANVAS, "stretch"), PIXELS)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    assert "text.jpg is no image that Pillow can read: unknown format" in _reason(text)
    whole = _saved(Image.fromarray(np.tile(PIXELS, (50, 50, 1))), tmp_path / "whole.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:-3000])
    assert "cut.png is no image that Pillow can read" in _reason(cut)
    assert "No such file" in _reason(tmp_path / "none.png")
    deep = _saved(Image.fromarray(np.zeros((4, 6), np.uint16)), tmp_path / "deep.png")
    assert "more than 8 bits" in _reason(deep)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(Image.new("L", (60, 60)), tmp_path / "big.png")
    for most in (3000, 1000):
        monkeypatch.setenv("SEGSOLVE_MAX_PIXELS", str(most))
        assert f"more than {most} pixels (SEGSOLVE_MAX_PIXELS raises that); refused" in _reason(path)
    monkeypatch.setenv("SEGSOLVE_MAX_PIXELS", "3600")
    assert load_original(path).size == (60, 60)


def test_pixels_spread_over_the_range_of_the_type() -> None:
    assert np.array_equal(tensor_of(PIXELS, IMAGE, PixelRule())[0], PIXELS)
    signed = tensor_of(PIXELS, SIGNED, PixelRule())
    assert signed.shape == (1, 4, 6, 3) and signed.dtype == np.int8
    assert np.array_equal(signed[0].astype(int), PIXELS.astype(int) - 128)


def test_mean_and_std_as_the_vendor_has_them() -> None:
    """(pixel - mean) / (std * scale) + zero_point, here with 128 and 128: the pixels themselves."""
    rule = PixelRule(mean=(128.0,), std=(128.0,))
    assert np.array_equal(tensor_of(PIXELS, IMAGE, rule), tensor_of(PIXELS, IMAGE, PixelRule()))
    by_channel = PixelRule(mean=(0.0, 100.0, 255.0), std=(1.0, 2.0, 4.0))
    expected = (PIXELS - np.array([0.0, 100.0, 255.0])) / np.array([1.0, 2.0, 4.0])
    assert np.allclose(tensor_of(PIXELS, FLOAT, by_channel)[0], expected)


@pytest.mark.parametrize(
    ("spec", "rule", "words"),
    [
        (VECTOR, PixelRule(), "the input 'vector' of shape [1, 5] is no image"),
        (FLOAT, PixelRule(), "takes float32: say which pixel stands for which number"),
        (IMAGE, PixelRule(mean=(1.0, 2.0)), "mean has 2 numbers, but 'image' has 3 channels"),
        (IMAGE, PixelRule(std=(0.0,)), "std is 0; it must be greater than 0"),
    ],
)
def test_rules_that_say_too_little(spec: TensorSpec, rule: PixelRule, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_rule(rule, spec)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("scale", "zero_point", "is_clear"),
    [(1 / 128, 0, True), (1 / 127.5, -1, True), (1 / 255, -128, True), (1.0, -128, True), (0.0186, -14, False)],
)
def test_an_unusual_range_is_told(scale: float, zero_point: int, is_clear: bool) -> None:
    spec = SIGNED.model_copy(update={"scale": scale, "zero_point": zero_point})
    assert (doubt(PixelRule(), spec) is None) == is_clear
    assert doubt(PixelRule(mean=(1.0,)), spec) is None
