from __future__ import annotations

import io
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.inputs import Inputs, open_inputs

from .specs import IMAGE, VECTOR, plan_of

ONE, TWO = plan_of(VECTOR), plan_of(IMAGE, VECTOR)
ROWS = np.arange(20, dtype=np.int8).reshape(4, 5)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("b.png", "a.png", "c.png")):
        Image.fromarray(PIXELS[i]).save(name)
    np.save("rows.npy", ROWS)
    np.save("real.npy", (ROWS.astype(np.float32) + 3) * 0.5)
    np.savez("both.npz", image=PIXELS, vector=ROWS[:3], unused=ROWS)
    np.savez_compressed("one.npz", ROWS)
    Path("rows.raw").write_bytes(ROWS.tobytes())
    return tmp_path


def vectors(*values: str) -> tuple[Inputs, list[str], Array]:
    inputs = open_inputs(ONE, values)
    frames = list(inputs.frames())
    return inputs, [origin for origin, _ in frames], np.concatenate([frame["vector"] for _, frame in frames])


@pytest.mark.parametrize("value", ["rows.npy", "real.npy", "one.npz", "rows.raw", "vector=rows.npy"])
def test_each_file_of_several_tensors(value: str, folder: Path) -> None:
    inputs, origins, found = vectors(value)
    assert inputs.count == 4
    assert found.dtype == np.int8 and found.tolist() == ROWS.tolist()
    assert origins[0].endswith("[0]") and origins[3].endswith("[3]")


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1, 5)])
def test_an_array_of_one_tensor_with_and_without_a_batch(shape: tuple[int, ...], folder: Path) -> None:
    np.save("x.npy", ROWS[0].reshape(shape))
    _, origins, found = vectors("x.npy")
    assert (found.shape, origins) == ((1, 5), ["x.npy"])


def test_values_follow_each_other(folder: Path) -> None:
    np.save("x.npy", ROWS[0])
    inputs, origins, found = vectors("x.npy", "rows.raw", "x.npy")
    assert inputs.count == len(found) == 6
    assert origins[0] == origins[5] == "x.npy"
    assert found.tolist() == [ROWS[0].tolist(), *ROWS.tolist(), ROWS[0].tolist()]


def test_bytes_on_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS.tobytes())))
    inputs, origins, found = vectors("-")
    assert (inputs.count, found.tolist(), origins[1]) == (None, ROWS.tolist(), "stdin[1]")


@pytest.mark.parametrize(
    ("value", "names"),
    [("*.png", ["a.png", "b.png", "c.png"]), (".", ["a.png", "b.png", "c.png"]), ("**/[bc].png", ["b.png", "c.png"])],
)
def test_images_of_a_pattern_or_a_folder_come_in_the_order_of_their_names(
    value: str, names: list[str], folder: Path
) -> None:
    order = {"b.png": 0, "a.png": 1, "c.png": 2}
    frames = list(open_inputs(plan_of(IMAGE), [value]).frames())
    assert [origin for origin, _ in frames] == names
    assert all(np.array_equal(frame["image"][0], PIXELS[order[name]]) for name, frame in frames)


@pytest.mark.parametrize(
    "values",
    [["both.npz"], ["image=[abc].png", "vector=few.npy"], ["vector=both.npz", "image=both.npz"]],
)
def test_several_inputs_are_taken_side_by_side(values: list[str], folder: Path) -> None:
    np.save("few.npy", ROWS[:3])
    inputs = open_inputs(TWO, values)
    frames = [frame for _, frame in inputs.frames()]
    assert inputs.count == len(frames) == 3
    assert [list(frame) for frame in frames] == [["image", "vector"]] * 3
    assert np.array_equal(np.concatenate([f["vector"] for f in frames]), ROWS[:3])
    assert {f["image"].shape for f in frames} == {(1, 4, 6, 3)}


BAD: list[tuple[list[str], str]] = [
    (["none.npy"], "the input none.npy does not exist"),
    (["*.bmp"], "the input *.bmp stands for nothing: no file matches"),
    (["empty"], "the input empty stands for nothing: no image is in it"),
    (["a.png"], "the input 'vector' of shape [1, 5] is no image; give .npy, .npz or raw bytes"),
    (
        ["wide.npy"],
        "wide.npy has the shape (4, 6); the input 'vector' takes (1, 5), or several of them along a first axis",
    ),
    (["wrong.npy"], "wrong.npy holds int32; the input 'vector' takes int8, or the real numbers"),
    (["fortran.npy"], "fortran.npy is stored column by column"),
    (["text.npy"], "text.npy cannot be read as an array"),
    (["text.npz"], "text.npz cannot be read as .npz"),
    (["objects.npy"], "objects.npy holds object"),
    (["odd.raw"], "odd.raw has 13 bytes; the input 'vector' takes 5 at a time"),
    (["other.npz"], "other.npz has the arrays x, y; the model takes vector"),
]


@pytest.mark.parametrize(("values", "words"), BAD, ids=[values[0] for values, _ in BAD])
def test_bad_inputs_are_told_before_anything_runs(values: list[str], words: str, folder: Path) -> None:
    Path("empty").mkdir()
    np.save("wide.npy", np.zeros((4, 6), np.int8))
    np.save("wrong.npy", ROWS.astype(np.int32))
    np.save("fortran.npy", np.asfortranarray(ROWS))
    np.save("objects.npy", np.array([{}] * 5), allow_pickle=True)
    np.savez("other.npz", x=ROWS, y=ROWS)
    Path("odd.raw").write_bytes(b"x" * 13)
    for name in ("text.npy", "text.npz"):
        Path(name).write_text("hello")
    with pytest.raises(InputError) as caught:
        open_inputs(ONE, values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["rows.npy"], "the model takes 2 inputs; write NAME=rows.npy, NAME one of image, vector"),
        (["vector=rows.npy"], "nothing was given for the input 'image'; the model takes image, vector"),
        (["vektor=rows.npy"], "the model has no input 'vektor'; it takes image, vector"),
        (["image=*.png", "vector=rows.npy"], "the inputs have different numbers of frames: 3 for image, 4 for vector"),
    ],
)
def test_bad_inputs_of_a_model_with_several(values: list[str], words: str, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_inputs(TWO, values)
    assert words in str(caught.value)


def test_an_input_that_ends_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS[:2].tobytes())))
    frames = open_inputs(TWO, ["image=*.png", "vector=-"]).frames()
    assert len([next(frames), next(frames)]) == 2
    with pytest.raises(InputError, match="the input 'vector' ended before the others"):
        next(frames)


@pytest.mark.parametrize("name", ["cut.npy", "stdin"])
def test_a_file_that_ends_in_the_middle(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cut.npy").write_bytes(Path("rows.npy").read_bytes()[:-2])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS.tobytes()[:-2])))
    frames = open_inputs(ONE, ["-" if name == "stdin" else name]).frames()
    for _ in range(3):
        next(frames)
    with pytest.raises(InputError, match=f"{name} ends in the middle of a tensor: 3 of 5 bytes"):
        next(frames)


def _npy(path: Path, array: Array) -> Path:
    np.save(path.with_suffix(".npy"), array)
    return path.with_suffix(".npy")


def _npz(path: Path, array: Array) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), array)
    return path.with_suffix(".npz")


def _raw(path: Path, array: Array) -> Path:
    path.with_suffix(".raw").write_bytes(array.tobytes())
    return path.with_suffix(".raw")


@pytest.mark.parametrize("write", [_npy, _npz, _raw])
def test_a_large_file_needs_little_memory(write: Callable[[Path, Array], Path], tmp_path: Path) -> None:
    big = TensorSpec(name="x", dtype="int8", shape=[1, 100_000], scale=0.5, zero_point=0)
    path = write(tmp_path / "big", np.zeros((300, 100_000), np.int8))
    tracemalloc.start()
    count = sum(1 for _ in open_inputs(plan_of(big), [str(path)]).frames())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 300
    assert peak < 2_000_000  # of the 30 MB in the file
