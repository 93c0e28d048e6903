"""Model files: parameters, buffers and architecture in one `.safetensors`.

The architecture stands in the header as JSON, so that a file is enough to build
the model again; nothing in it is executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.files import ModelFileError, safetensors, write_atomically
from pellucid.files.kinds import MODEL, check_kind
from pellucid.files.quoting import cut
from pellucid.files.values import parsed

VERSION = 1
"""Grows when files of a new kind cannot be read by older releases."""


def save(
    model: nn.Module, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None
) -> None:
    """Write a model to one file, whole or not at all.

    Args:
        model: what to save: its architecture, parameters and buffers.
        path: the file; by custom it ends with `.safetensors`.
        extra: anything that JSON can hold and that belongs to the model, such as
            the names of its classes; `read_model` gives it back.

    Raises:
        ModelFileError: the file cannot be written; an older one is intact.

    Example:
        >>> import os, tempfile
        >>> from pellucid import io, nn
        >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
        >>> io.save(nn.Sequential(nn.Linear(2, 1)), path)
        >>> io.load(path)[0].weight.shape
        (2, 1)

    Source:
        The format: https://github.com/huggingface/safetensors
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a model (an nn.Module) to save, received {type(model).__name__}")
    metadata = {
        "format": MODEL,
        "version": str(VERSION),
        "architecture": _json(model.architecture(), "the architecture"),
        "extra": _json(dict(extra or {}), "extra"),
    }
    chunks = list(safetensors.encode(model.state_dict(), metadata))
    try:
        write_atomically(path, chunks)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror or error}") from None


def load(path: str | os.PathLike[str], layers: Sequence[type[nn.Module]] = ()) -> nn.Module:
    """The model that a file holds, ready to predict or to train on.

    Args:
        path: a file written by `save`.
        layers: classes of layers that are not the library's own, if the model
            has any: a file names them, it cannot bring them.

    Returns:
        A new model.

    Raises:
        ModelFileError: the file is missing, damaged or not a model of this library.

    Example:
        >>> import os, tempfile
        >>> from pellucid import io, nn
        >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
        >>> io.save(nn.Sequential(nn.Linear(2, 1), nn.Tanh()), path)
        >>> io.load(path)
        Sequential(Linear(2, 1), Tanh())
    """
    return read_model(path, layers)[0]


def read_model(
    path: str | os.PathLike[str], layers: Sequence[type[nn.Module]] = ()
) -> tuple[nn.Module, dict[str, Any]]:
    """The model that a file holds, and what was saved along with it.

    Args:
        path: a file written by `save`.
        layers: as for `load`.

    Returns:
        A new model, and the `extra` given to `save`.

    Raises:
        ModelFileError: as for `load`.

    Example:
        >>> import os, tempfile
        >>> from pellucid import io, nn
        >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
        >>> io.save(nn.Sequential(nn.Linear(2, 2)), path, {"labels": ["cat", "dog"]})
        >>> io.read_model(path)[1]
        {'labels': ['cat', 'dog']}
    """
    arrays, metadata = safetensors.read(path)
    check_kind(metadata, MODEL, VERSION, path)
    architecture = _parsed(metadata, "architecture", path)
    extra = _parsed(metadata, "extra", path)
    if not isinstance(extra, dict):
        raise ModelFileError(f"{path} is damaged: what was saved along with the model is no object")
    try:
        model = nn.build(architecture, layers, values=sum(a.size for a in arrays.values()))
        _take_dtypes(model, arrays)
        model.load_state_dict(arrays)
    except (ValueError, TypeError, KeyError, MemoryError, RecursionError, OverflowError) as error:
        text = str(error.args[0]) if error.args else type(error).__name__
        raise ModelFileError(f"{path} does not hold the model it describes: {cut(text)}") from None
    return model, extra


def _take_dtypes(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Let the model compute in the precision of its file; refuse values of another kind."""
    if {a.dtype for a in arrays.values() if a.dtype.kind == "f"} == {np.dtype(np.float64)}:
        model.astype(np.float64)
    for name, t in (model.parameters() | model.states()).items():
        if name in arrays and arrays[name].dtype != t.dtype:
            raise ValueError(f"{name}: expected {t.dtype} values, received {arrays[name].dtype}")


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{what} cannot be stored as JSON: {error}") from None


def _parsed(metadata: dict[str, str], key: str, path: Any) -> Any:
    try:
        return parsed(metadata[key])
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"{path} is damaged: its {key} cannot be read ({error})") from None
