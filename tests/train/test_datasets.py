"""Digits, archives and IDX files."""

from __future__ import annotations

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.train.datasets import has_test_rows, load_digits, read_idx, read_npz
from pellucid.train.tables import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(array, code=8):
    start = bytes([0, 0, code, array.ndim])
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return start + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)


def test_digits_are_split_the_same_way_always():
    X, y, X_test, y_test = load_digits()
    assert (X.shape, X.dtype, y.dtype) == ((1437, 64), np.float32, np.int32)
    assert X_test.shape == (360, 64)
    assert (X.min(), X.max()) == (0, 1)
    assert np.bincount(y_test).min() >= 34  # every digit is tested on
    np.testing.assert_array_equal(load_digits().X_test, X_test)


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize(
    ("array", "code"),
    [
        (IMAGES, 8),
        (IMAGES.astype(np.int8), 9),
        (IMAGES.astype(np.int16) - 300, 0x0B),
        (IMAGES.astype(np.int32) - 70000, 0x0C),
        (IMAGES.astype(np.float32) / 7, 0x0D),
        (IMAGES.astype(np.float64) / 7, 0x0E),
        (np.zeros((0, 3), np.uint8), 8),
    ],
)
def test_idx_files_are_read(tmp_path, array, code, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array, code)))
    found = read_idx(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\1\x08\1\0\0\0\0", "not an IDX file"),
        (b"\0\0\x07\1\0\0\0\0", "not an IDX file"),
        (b"\0\0\x08\xff" + b"\0" * 2000, "not an IDX file"),
        (b"\0\0\x08\3\0\0\0\2", "cut short"),
        (idx(IMAGES)[:-1], "cut short: .* only 23 follow"),
        (idx(IMAGES) + b"x", "damaged: .* more than 24"),
        (b"\0\0\x0e\4" + b"\xff" * 16 + b"abc", "cut short"),
        (b"\0\0\x08\3\0\0\0\0" + b"\xff" * 8, "damaged: no array can have shape"),
        (packed(idx(IMAGES))[:-4], "cut short or damaged"),
        (packed(idx(IMAGES))[:10] + b"\xff" * 9, "cut short or damaged"),
        (packed(idx(IMAGES)[:-3]), "only 21 follow"),
    ],
    ids=range(13),
)
def test_damaged_idx_files_are_refused(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


@given(st.binary(max_size=100), st.sampled_from([b"", b"\0\0\x08\1", b"\x1f\x8b", b"\0\0\x0d\2"]))
def test_any_bytes_give_an_array_or_a_clear_error(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(start + content)
    with contextlib.suppress(DataError):
        assert read_idx(path).nbytes <= 100


def test_archives_are_read_by_their_names(tmp_path):
    path = tmp_path / "data.npz"
    X, y = np.ones((3, 2)), np.arange(3)
    np.savez(path, X=X, y=y)
    np.testing.assert_array_equal(read_npz(path)[1], y)
    np.savez(path, x_train=X, y_train=y, x_test=X[:1], y_test=y[:1])
    assert read_npz(path)[0].shape == (3, 2)
    assert read_npz(path, test=True)[0].shape == (1, 2)
    np.savez(path, features=X, color=y)
    np.testing.assert_array_equal(read_npz(path, target="color")[1], y)
    np.savez(path, anything=X)
    assert read_npz(path)[1] is None


def test_archives_that_are_not_sound_have_no_test_rows(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.ones((3, 2)), x_test=np.ones((1, 2)), y_test=np.ones(1))
    assert has_test_rows(path)
    sound = path.read_bytes()
    newer = sound.replace(b"PK\x01\x02", b"PK\x01\x02\x14\x03\xc8")  # asks for version 20.0
    for content in (sound[:50], b"", newer, sound.replace(b"x_test.npy", b"\xff_test.npy")):
        path.write_bytes(content)
        assert not has_test_rows(path)
    assert not has_test_rows(tmp_path / "absent.npz")


def test_archives_of_something_else_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, a=np.ones(3), b=np.ones(3))
    with pytest.raises(DataError, match="has arrays a, b; expected X and y or"):
        read_npz(path)
    np.savez(path, X=np.array([{}, {}], object), y=np.ones(2))
    with pytest.raises(DataError, match="not an archive of numbers"):
        read_npz(path)
    path.write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(DataError, match="not an archive of numbers"):
        read_npz(path)
    path.write_bytes(b"")
    with pytest.raises(DataError):
        read_npz(path)
    with pytest.raises(DataError, match="cannot read"):
        read_npz(tmp_path / "absent.npz")
