"""The reader of model files gives arrays or a ModelFileError, whatever the bytes."""

from __future__ import annotations

import contextlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.files import ModelFileError, safetensors

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flags": np.array([True, False, True]),
    "scale": np.array(0.5),
    "steps": np.array([[1], [-2]], np.int64),
    "small": np.array([7, -7], np.int32),
    "words": np.array([4294967295], np.uint32),
    "none": np.zeros((0, 4), np.float32),
}


def encoded(arrays=ARRAYS, metadata=None):
    return b"".join(safetensors.encode(arrays, metadata or {"format": "test"}))


def with_header(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def reading(tmp_path):
    def read(content):
        path = tmp_path / "file"
        path.write_bytes(content)
        return safetensors.read(path)

    return read


def test_what_is_written_is_read(reading):
    arrays, metadata = reading(encoded(metadata={"format": "test", "note": "Grüße"}))
    assert metadata == {"format": "test", "note": "Grüße"}
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)


def test_strided_and_big_endian_arrays_are_written_in_order(reading):
    given = {"t": np.arange(6.0).reshape(2, 3).T, "b": np.arange(3, dtype=">f4")}
    arrays, _ = reading(encoded(given))
    np.testing.assert_array_equal(arrays["t"], given["t"])
    np.testing.assert_array_equal(arrays["b"], [0, 1, 2])


def test_every_array_starts_on_its_own_alignment():
    content = encoded()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    for name, array in ARRAYS.items():
        assert header[name]["data_offsets"][0] % array.dtype.itemsize == 0


def test_an_array_that_the_format_lacks_is_refused():
    with pytest.raises(ModelFileError, match="complex128"):
        encoded({"z": np.zeros(2, complex)})


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not start"),
        (b"\0" * 7, "does not start"),
        (b"\0" * 64, "does not start"),
        (b"\xff" * 64, "does not start"),
        (b"PK\x03\x04" + b"\0" * 60, "does not start"),
        ((100).to_bytes(8, "little") + b"{}", "cut short or not a model"),
        (with_header(b"[]"), "not JSON"),
        (with_header(b"{} x"), "broken"),
        (with_header(b"{\xff}"), "broken"),
        (with_header(b'{"a": NaN}'), "broken"),
        (with_header(b'{"a":{},"a":{}}'), "occurs twice"),
        (with_header(b'{"a":' * 50_000), "broken"),
        (with_header({"__metadata__": {"a": 1}}), "not text"),
        (with_header({"__metadata__": []}), "not text"),
        (with_header({"a": 3}), "entry of array 'a'"),
        (with_header({"a": entry(offsets=(0,))}), "entry of array 'a'"),
        (with_header({"a": entry(offsets=(8, 0))}), "entry of array 'a'"),
        (with_header({"a": entry(offsets=(-8, 0))}), "entry of array 'a'"),
        (with_header({"a": entry(offsets=(0, 8.0))}), "entry of array 'a'"),
        (with_header({"a": entry(more=1)}, b"12345678"), "entry of array 'a'"),
        (with_header({"a": entry(offsets=(4, 12))}, b"x" * 12), "starts at byte 4"),
        (with_header({"a": entry(), "b": entry()}, b"x" * 8), "starts at byte 0"),
        (with_header({"a": entry()}, b"1234567"), "cut short"),
        (with_header({"a": entry()}, b"123456789"), "9 bytes of data, expected 8"),
        (with_header({"a": entry(dtype="F16")}, b"x" * 8), "dtype 'F16'"),
        (with_header({"a": entry(dtype=["F32"])}, b"x" * 8), "dtype"),
        (with_header({"a": entry(shape=(3,))}, b"x" * 8), "claims 8 bytes"),
        (with_header({"a": entry(shape=(-2,))}, b"x" * 8), "has shape"),
        (with_header({"a": entry(shape=(True, 2))}, b"x" * 8), "has shape"),
        (with_header({"a": entry(shape=(2,) + (1,) * 40)}, b"x" * 8), "has shape"),
        (with_header({"a": entry("BOOL", (2,), (0, 2))}, b"\1\2"), "booleans"),
        (with_header({"a": entry("F32", (0, 2**62, 2**62), (0, 0))}), "has shape"),
    ],
    ids=itertools.count(),
)
def test_damaged_files_are_refused(reading, content, message):
    with pytest.raises(ModelFileError, match=message):
        reading(content)


def test_every_truncation_is_refused(reading):
    content = encoded()
    for length in range(len(content)):
        with pytest.raises(ModelFileError):
            reading(content[:length])


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(-9, 9),
)
def test_changed_bytes_never_do_worse_than_a_clear_error(tmp_path_factory, changes, longer):
    content = bytearray(encoded())
    for place, value in changes:
        content[place % len(content)] = value
    content = content[:longer] if longer < 0 else content + b"\0" * longer
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(content)
    try:
        arrays, _ = safetensors.read(path)
    except ModelFileError:
        return
    assert sum(a.nbytes for a in arrays.values()) <= len(content)


@given(st.binary(max_size=200))
def test_any_header_gives_arrays_or_a_clear_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(with_header(b"{" + text))
    with contextlib.suppress(ModelFileError):
        assert safetensors.read(path)[0] == {}  # there are no data


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(ModelFileError, match=r"cannot read .*absent.*No such file"):
        safetensors.read(tmp_path / "absent")


def test_the_safetensors_package_reads_our_files_and_we_read_its(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "ours.safetensors"
    path.write_bytes(encoded())
    theirs = package.load_file(path)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(theirs[name], array)
        assert theirs[name].dtype == array.dtype
    package.save_file(ARRAYS, tmp_path / "theirs.safetensors", metadata={"a": "b"})
    ours, metadata = safetensors.read(tmp_path / "theirs.safetensors")
    assert metadata == {"a": "b"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(ours[name], array)
