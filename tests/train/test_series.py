"""Time series in the archives' formats: what is read, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pellucid.train.series import is_series, read_series
from pellucid.train.tables import DataError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")

VALUES = np.array([[0.5, -1.25, 2.0], [1.0, 0.0, -4.0]])
TS = "# about\n@problemName x\n@data\n0.5,-1.25,2:up\n1, 0,-4 :down\n"


def file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "classes", "y"),
    [
        ("a.tsv", "2\t0.5\t-1.25\t2\n1\t1\t0\t-4\n", ("1", "2"), [1, 0]),
        (
            "a.txt",
            "  -1.0000000e+00  5e-1 -1.25e0 2\n\n 1.0000000e+00 1 0 -4\n",
            ("-1", "1"),
            [0, 1],
        ),
        ("a.csv", "b,0.5,-1.25,2\na,1,0,-4\n", ("a", "b"), [1, 0]),
        ("a.ts", TS, ("down", "up"), [1, 0]),
    ],
)
def test_formats(tmp_path, name, text, classes, y):
    found = read_series(file(tmp_path, name, text))
    np.testing.assert_array_equal(found.X[:, :, 0], VALUES)
    assert (found.X.dtype, found.X.shape) == (np.float32, (2, 3, 1))
    assert (found.classes, found.y.tolist(), found.y.dtype) == (classes, y, np.int32)


def test_several_channels(tmp_path):
    found = read_series(file(tmp_path, "a.ts", "@data\n1,2,3:4,5,6:x\n"))
    assert found.X.tolist() == [[[1, 4], [2, 5], [3, 6]]]


def test_classes_of_the_series_trained_on(tmp_path):
    path = file(tmp_path, "a.tsv", "2\t0.5\n3\t1\n")
    assert read_series(path, classes=("1", "2", "3")).y.tolist() == [1, 2]
    with pytest.raises(DataError, match="has class '3'; the model knows 1, 2"):
        read_series(path, classes=("1", "2"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "", "holds no series"),
        (
            "a.tsv",
            "1 2 3\n2 4\n",
            "line 2 of .* holds 1 values, the first one 2 values; series",
        ),
        ("a.tsv", "1\n", "line 1 of .* holds a class and no values"),
        ("a.tsv", "1 2 x\n", "line 1 of .*: expected a number, received 'x'"),
        ("a.tsv", "1 2 NaN\n", "a value that is missing or not finite"),
        ("a.tsv", "0.5 2 3\n", "must be words or whole numbers: 0.5 is not"),
        ("a.ts", "1,2,3\n", "has no colon before its class"),
        ("a.ts", "1,?:x\n", r"received '\?'"),
        ("a.ts", "1,2:3:x\n", "channels of different lengths"),
        ("a.ts", "1,2:3,4:x\n1,2:y\n", "holds 2 values, the first one 2 values in 2 channels"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_series(file(tmp_path, name, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_series(tmp_path / "none.tsv")
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        read_series(path)


def test_what_looks_like_series(tmp_path):
    assert is_series(file(tmp_path, "a.tsv", "1\t0.5\t2\n"))
    assert is_series(file(tmp_path, "a.txt", "  1.0e0 3 4\n"))
    assert is_series("absent.TS")
    assert not is_series(file(tmp_path, "b.tsv", "height\tweight\n1\t2\n"))
    assert not is_series(file(tmp_path, "c.csv", "1,2,3\n"))
    assert not is_series(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("GunPoint_TRAIN.txt", (50, 150, 1), 2),
        ("ItalyPowerDemand_TRAIN.ts", (67, 24, 1), 2),
        ("SyntheticControl_TEST.txt", (300, 60, 1), 6),
        ("ECG5000_TRAIN.txt", (500, 140, 1), 5),
    ],
)
def test_real_ones(name, shape, classes):
    if not (DATA / "ucr" / name).is_file():
        pytest.skip(f"no {name} in {DATA}")
    found = read_series(DATA / "ucr" / name)
    assert found.X.shape == shape
    assert found.classes == tuple(str(i + 1) for i in range(classes))
    np.testing.assert_allclose(found.X.mean(1), 0, atol=1e-4)  # each is scaled by itself
