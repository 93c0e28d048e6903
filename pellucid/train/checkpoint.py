"""Checkpoints of training runs: how often, and how they lie in files.

A checkpoint is a `.safetensors` file with a checksum of all that it holds. It is
written beside the one before and takes its place in one step; the one before stays
under a name of its own, `run.previous.safetensors`, so that at every moment there
is one that can be loaded. What a run consists of is told in `keeper`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pellucid.files import ModelFileError, remove_leftovers, safetensors, write_atomically
from pellucid.files.kinds import CHECKPOINT, MODEL, check_kind
from pellucid.files.quoting import quoted
from pellucid.files.values import parsed

VERSION = 1
"""Grows when files of a new kind cannot be read by older releases."""

SECONDS, STEPS, EPOCHS = "seconds", "steps", "epochs"

_UNITS = {
    **dict.fromkeys(("s", "second", "seconds"), (SECONDS, 1.0)),
    **dict.fromkeys(("min", "minute", "minutes"), (SECONDS, 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), (SECONDS, 3600.0)),
    **dict.fromkeys(("step", "steps"), (STEPS, 1.0)),
    **dict.fromkeys(("epoch", "epochs"), (EPOCHS, 1.0)),
}


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read, or belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a run keeps its checkpoint, and how often it is written.

    Besides, it is written before the first step and after the last one.

    Args:
        path: the file; by custom it ends with `.safetensors`. The checkpoint before the
            latest lies beside it, as `NAME.previous.safetensors`.
        every: a number with a unit, such as "30 seconds", "10 minutes", "500 steps" or
            "5 epochs"; "epoch" is "1 epochs".

    Raises:
        ValueError: `every` is no such text.

    Example:
        >>> from pellucid.train import Checkpoint
        >>> Checkpoint("run.safetensors", every="10 epochs").interval
        (10.0, 'epochs')
    """

    path: str | os.PathLike[str]
    every: str = "30 seconds"

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(f"a checkpoint needs the path of a file, received {self.path!r}")
        self.interval  # noqa: B018  # a text that makes no sense is told of now

    @property
    def interval(self) -> tuple[float, str]:
        """How many seconds, steps or epochs lie between two checkpoints."""
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*", str(self.every))
        unit, factor = _UNITS.get(found[2] if found else "", ("", 0.0))
        number = float((found and found[1]) or 1) * factor
        if not number > 0 or (unit != SECONDS and number != int(number)):
            raise ValueError(
                'every must be a number with a unit, such as "30 seconds", "500 steps" or '
                f'"epoch", received {self.every!r}'
            )
        return number, unit

    @property
    def latest(self) -> Path:
        """The file itself; where the path is a link, the one that it names."""
        return Path(os.path.realpath(self.path))

    @property
    def previous(self) -> Path:
        """Where the checkpoint before the latest lies."""
        return self.latest.with_name(f"{self.latest.stem}.previous{self.latest.suffix}")


def as_checkpoint(given: Any) -> Checkpoint | None:
    """A checkpoint from what the user gave: None, a path, or the checkpoint."""
    if given is None or isinstance(given, Checkpoint):
        return given
    return Checkpoint(given)


class Snapshot(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        arrays: by name.
        about: everything else, as JSON values.
    """

    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


def write(checkpoint: Checkpoint, snapshot: Snapshot, *, keep: bool) -> None:
    """Replace a checkpoint, whole or not at all.

    Args:
        checkpoint: where.
        snapshot: what it shall hold.
        keep: keep the latest as the previous one; it must be sound.

    Raises:
        CheckpointError: the file cannot be written; those that were there are intact.
    """
    metadata = {
        "format": CHECKPOINT,
        "version": str(VERSION),
        "run": json.dumps(snapshot.about, separators=(",", ":")),
    }
    metadata["checksum"] = _checksum(snapshot.arrays, metadata)
    try:
        chunks = safetensors.encode(snapshot.arrays, metadata)
        write_atomically(checkpoint.latest, chunks, checkpoint.previous if keep else None)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the checkpoint {checkpoint.path}: {error.strerror or error}; "
            "what was there before is intact"
        ) from None


def read(path: str | os.PathLike[str]) -> Snapshot:
    """What the checkpoint in a file holds.

    Raises:
        ModelFileError: the file is missing or damaged.
        CheckpointError: it is whole, and something else.
    """
    arrays, metadata = safetensors.read(path)
    intact = metadata.get("checksum") == _checksum(arrays, metadata)
    try:
        check_kind(metadata, CHECKPOINT, VERSION, path)
    except ModelFileError as error:
        if intact or metadata.get("format") == MODEL:
            raise CheckpointError(str(error)) from None
        raise
    if not intact:
        raise ModelFileError(f"{path} is damaged: its checksum does not fit what it holds")
    try:
        about = parsed(metadata["run"], constants=True)
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"{path} is damaged: its run cannot be read ({error})") from None
    if not isinstance(about, dict):
        raise ModelFileError(f"{path} is damaged: its run is no object")
    return Snapshot(arrays, about)


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """A digest of all arrays and all texts but itself."""
    digest = hashlib.sha256()
    for key in sorted(metadata.keys() - {"checksum"}):
        digest.update(json.dumps([key, metadata[key]]).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def read_latest(checkpoint: Checkpoint) -> tuple[Snapshot, bool] | None:
    """The latest checkpoint that is sound, and whether it is the latest written.

    Returns:
        None where there is neither file.

    Raises:
        CheckpointError: neither is sound, or the file is something else.
    """
    if not checkpoint.latest.exists() and not checkpoint.previous.exists():
        return None
    try:
        return read(checkpoint.latest), True
    except ModelFileError as error:
        reason = str(error)
    try:
        older = read(checkpoint.previous)
    except (ModelFileError, CheckpointError) as error:
        why = reason if not checkpoint.previous.exists() else f"{reason}; {error}"
        raise CheckpointError(f"no checkpoint to go on from: {why}") from None
    warnings.warn(
        f"{reason}; going on from {checkpoint.previous.name}, written before it", stacklevel=2
    )
    return older, False


def check_replaceable(checkpoint: Checkpoint) -> None:
    """Refuse to lose a run that has not ended, or a file that is no checkpoint.

    Raises:
        CheckpointError: another name should be given.
    """
    if not checkpoint.latest.exists():
        return
    try:
        found = read(checkpoint.latest).about
    except (ModelFileError, CheckpointError) as error:
        raise CheckpointError(
            f"{error}; give the checkpoint another name, or delete the file"
        ) from None
    if not found.get("ended"):
        raise CheckpointError(
            f"{checkpoint.path} holds a run that has not ended, after "
            f"{quoted(found.get('steps'))} steps: go on with it by resume=True, or delete the "
            "file to begin anew"
        )


def write_first(checkpoint: Checkpoint, snapshot: Snapshot) -> None:
    """Write the first checkpoint of a run, in the place of what another run has left.

    Raises:
        CheckpointError: it cannot be written.
    """
    remove_leftovers(checkpoint.latest)
    write(checkpoint, snapshot, keep=False)
    with contextlib.suppress(OSError):
        checkpoint.previous.unlink(missing_ok=True)
