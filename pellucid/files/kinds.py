"""What a file of this library is, as its metadata say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ModelFileError
from .quoting import quoted

MODEL = "pellucid"
CHECKPOINT = "pellucid checkpoint"

_WORDS = {MODEL: "a model file", CHECKPOINT: "a checkpoint of a training run"}


def check_kind(metadata: Mapping[str, str], kind: str, version: int, path: Any) -> None:
    """Refuse a file of another kind, or of a later version.

    Args:
        metadata: of the file: its "format" and its "version".
        kind: `MODEL` or `CHECKPOINT`.
        version: the latest that this release reads.
        path: names the file in messages.

    Raises:
        ModelFileError: another file, or another release, is needed.
    """
    found = metadata.get("format")
    if found != kind:
        if found in _WORDS:
            raise ModelFileError(f"{path} is {_WORDS[found]}, expected {_WORDS[kind]}")
        raise ModelFileError(
            f"{path} is a safetensors file of another program: expected format {kind!r} "
            f"in its metadata, received {quoted(found)}"
        )
    given = metadata.get("version", "")
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= version:
        raise ModelFileError(
            f"{path} has version {quoted(given)} of the format, this release "
            f"reads up to {version}; a newer release of pellucid may read it"
        )
