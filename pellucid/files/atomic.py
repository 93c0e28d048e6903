"""Replacing a file whole or not at all.

The bytes go to a new file in the same folder, are flushed to the disk, and take
the old file's name in one step. Whatever fails on the way, the old file is
intact and no other file is left behind; only a process that is killed while it
writes leaves its unfinished file, which `remove_leftovers` takes away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_UNFINISHED = ".part"


def write_atomically(
    path: str | os.PathLike[str], chunks: Iterable[Any], previous: Path | None = None
) -> None:
    """Write a file that is seen either complete or as it was before.

    Args:
        path: where; a symbolic link is followed, the file it names is replaced.
        chunks: bytes-like objects, written one after another.
        previous: name, in the same folder, under which the old file is kept, in the
            place of what had that name.

    Raises:
        OSError: the file cannot be written; nothing has changed.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if target.exists() and not target.is_file():  # taking its name would destroy it
        raise OSError(f"{path} is a device or a pipe, expected a file")
    temporary = _unfinished(target)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, target.stat().st_mode & 0o777)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            _keep(target, previous)
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too: no half-written file stays
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(target.parent)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends without it


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left unfinished when they were writing this file.

    Args:
        path: the file; nobody else may be writing it now.
    """
    target = Path(os.path.realpath(path))
    with contextlib.suppress(OSError):
        for entry in target.parent.iterdir():
            if entry.name.startswith(f".{target.name}.") and entry.suffix == _UNFINISHED:
                entry.unlink(missing_ok=True)


def _unfinished(target: Path) -> Path:
    """A name of its own for a file that is being written."""
    return target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}{_UNFINISHED}")


def _keep(target: Path, previous: Path) -> None:
    """Let the file have a second name, in the place of what had that name."""
    second = _unfinished(target)
    try:
        os.link(target, second)
    except FileNotFoundError:  # there is no file to keep
        return
    except OSError:  # no second names here: for a moment it has the other name alone
        os.replace(target, previous)
        return
    try:
        os.replace(second, previous)
    finally:
        with contextlib.suppress(OSError):  # it stays where both were one file already
            os.unlink(second)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # a folder cannot be opened on Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
