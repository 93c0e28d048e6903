"""The safetensors format: named arrays and text in one file that holds no code.

    8 bytes    length of the header, little-endian
    header     JSON: {"name": {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {text}}
    data       the arrays, C order, little-endian, one after another without gaps

A file is checked in full before any array is made: a header that claims what the
file does not hold is refused. What the arrays mean is not known here.

https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .errors import ModelFileError
from .quoting import quoted

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "BOOL": np.dtype("?"),
}
"""The format's names of the dtypes that a model may hold."""

LONGEST_HEADER = 16 * 2**20
"""Bytes; a header is a few kilobytes, a longer claim is damage or malice."""

MOST_AXES = 16

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_METADATA = "__metadata__"


def encode(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[Any]:
    """The parts of a file that holds the arrays and the text.

    Args:
        arrays: by name; dtypes of `DTYPES`.
        metadata: text by name.

    Yields:
        Bytes-like objects, in the order in which they are to be written.
    """
    ready = {name: _little_endian(name, array) for name, array in arrays.items()}
    # the widest first, so that every array starts on a multiple of its element's size
    order = sorted(ready, key=lambda name: -ready[name].dtype.itemsize)
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    offset = 0
    for name in order:
        array = ready[name]
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in order:
        yield ready[name].tobytes()


def _little_endian(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("<")
    if name == _METADATA or dtype not in _NAMES:
        raise ModelFileError(f"array {quoted(name)} of dtype {array.dtype} cannot be stored")
    return array.astype(dtype, copy=False)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the text of a file.

    Args:
        path: the file.

    Returns:
        Arrays by name, and text by name.

    Raises:
        ModelFileError: the file is missing, cut short, or is not what it claims.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = _read_header(file, size, path)
            header = _parse(text, path)
            data = file.read(size - 8 - len(text) + 1)
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
    metadata = _metadata(header.pop(_METADATA, {}), path)
    arrays, end = {}, 0
    for name, entry, (start, stop) in _in_order(header, path):
        if start != end:
            raise ModelFileError(
                f"{path} is damaged: array {quoted(name)} starts at byte {start} of the data, "
                f"expected {end}"
            )
        arrays[name] = _array(name, entry, data, start, stop, path)
        end = stop
    if len(data) != end:
        raise ModelFileError(f"{path} is damaged: {len(data)} bytes of data, expected {end}")
    return arrays, metadata


def _read_header(file: Any, size: int, path: Any) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or not 2 <= length <= LONGEST_HEADER:
        raise ModelFileError(f"{path} is not a model file: it does not start as a safetensors file")
    if length > size - 8:
        raise ModelFileError(
            f"{path} is cut short or not a model file: its header should have {length} bytes, "
            f"{size - 8} follow"
        )
    text = file.read(length)
    if not text.startswith(b"{"):
        raise ModelFileError(f"{path} is not a model file: its header is not JSON")
    return text


def _parse(text: bytes, path: Any) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is not a model file: its header is broken ({error})"
        ) from None
    if not isinstance(header, dict):
        raise ModelFileError(f"{path} is not a model file: its header is not a JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _metadata(value: Any, path: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ModelFileError(f"{path} is damaged: its metadata are not text")
    return value


def _in_order(header: dict[str, Any], path: Any) -> list[tuple[str, dict[str, Any], list[int]]]:
    """The entries in the order of their data."""
    entries = []
    for name, entry in header.items():
        offsets: Any = entry.get("data_offsets") if isinstance(entry, dict) else None
        if (
            not _whole_numbers(offsets, 2)
            or len(offsets) != 2
            or offsets[0] > offsets[1]
            or set(entry) != {"dtype", "shape", "data_offsets"}
        ):
            raise ModelFileError(f"{path} is damaged: the entry of array {quoted(name)} is not one")
        entries.append((name, entry, offsets))
    return sorted(entries, key=lambda e: (e[2][0], e[2][1]))


def _whole_numbers(value: Any, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(v) is int and 0 <= v < 2**63 for v in value)
    )


def _array(
    name: str, entry: dict[str, Any], data: bytes, start: int, stop: int, path: Any
) -> np.ndarray:
    kind, shape = entry["dtype"], entry["shape"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ModelFileError(
            f"{path}: array {quoted(name)} has dtype {quoted(kind)}, "
            f"expected one of {', '.join(DTYPES)}"
        )
    if not _whole_numbers(shape, MOST_AXES):
        raise ModelFileError(f"{path} is damaged: array {quoted(name)} has shape {quoted(shape)}")
    dtype, count = DTYPES[kind], math.prod(shape)
    if stop - start != count * dtype.itemsize:
        raise ModelFileError(
            f"{path} is damaged: array {quoted(name)} of {count} elements of {dtype.itemsize} "
            f"bytes claims {stop - start} bytes"
        )
    if stop > len(data):
        raise ModelFileError(
            f"{path} is cut short: array {quoted(name)} ends at byte {stop} of the data, "
            f"the file holds {len(data)}"
        )
    if kind == "BOOL":
        bits = np.frombuffer(data, np.uint8, count, start)
        if count and bits.max() > 1:
            raise ModelFileError(f"{path} is damaged: array {quoted(name)} is not made of booleans")
    try:
        array = np.frombuffer(data, dtype, count, start).reshape(shape)
    except ValueError:  # no elements, but axes too long for NumPy
        raise ModelFileError(
            f"{path} is damaged: array {quoted(name)} has shape {quoted(shape)}"
        ) from None
    return array.astype(dtype.newbyteorder("="), copy=False)
