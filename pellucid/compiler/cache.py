"""Compiled code on disk: keyed by what is computed, for which processor, by which versions.

The folder may be deleted at any time, and several processes may use it at once:
files are written aside and moved into place, and checked when they are read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.core.node import Node, topological
from pellucid.core.program import Computation
from pellucid.core.storage import Cell

from .target import Target

MAGIC = b"pellucid-code-1\n"


def folder() -> Path:
    """Where compiled code is kept: PELLUCID_CACHE, or the user's cache folder."""
    wanted = os.environ.get("PELLUCID_CACHE", "")
    if wanted:
        return Path(wanted).expanduser()
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA", "") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "") or str(Path.home() / ".cache")
    return Path(base) / "pellucid"


@functools.cache
def _versions() -> str:
    """The compiler's own sources and llvmlite's version: either changes the code made."""
    import llvmlite

    digest = hashlib.sha256(llvmlite.__version__.encode())
    root = Path(__file__).parent
    for path in sorted([*root.glob("*.py"), *(root.parent / "core").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources(computation: Computation) -> list[Cell | np.ndarray]:
    """The cells and constant arrays of a computation, in an order its key determines."""
    found: dict[int, Cell | np.ndarray] = {}
    for node in _nodes(computation):
        if node.cell is not None:
            found.setdefault(id(node.cell), node.cell)
        elif node.value is not None and node.shape != ():
            found.setdefault(id(node.value), node.value)
    for cell, _ in computation.updates:
        found.setdefault(id(cell), cell)
    return list(found.values())


def _nodes(computation: Computation) -> list[Node]:
    return topological([*computation.inputs, *computation.results])


def key(computation: Computation, target: Target) -> str:
    """A digest of everything that the compiled code depends on."""
    nodes = _nodes(computation)
    number = {node: i for i, node in enumerate(nodes)}
    places = {id(s): i for i, s in enumerate(sources(computation))}
    lines = [_versions(), repr(target)]
    for node in nodes:
        if node.value is not None:
            held = node.cell if node.cell is not None else node.value
            what = f"place {places[id(held)]}" if id(held) in places else node.value.tobytes().hex()
            lines.append(f"{what} {node.dtype} {node.shape}")
            continue
        attrs = [a for a in node.attrs if a[0] not in ("number", "name")]
        inputs = [number[i] for i in node.inputs]
        lines.append(f"{node.name} {inputs} {attrs} {node.dtype} {node.shape}")
    c = computation
    lines.append(f"in {[number[n] for n in c.inputs]} out {[number[n] for n in c.outputs]}")
    lines.append(f"updates {[(places[id(cell)], number[n]) for cell, n in c.updates]}")
    lines.append(f"stepped {sorted(number[n] for n in c.stepped)}")
    if c.live is not None:
        lines.append(f"live {[number[n] for n in (c.live.count, c.live.index, c.live.weights)]}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest(name: str, processor: object) -> str:
    """The key of what is the same for every computation."""
    return hashlib.sha256(f"{_versions()} {processor!r} {name}".encode()).hexdigest()


def read(name: str) -> tuple[dict[str, Any], bytes] | None:
    """The stored entry of that name; None if there is none, or it is damaged."""
    try:
        data = (folder() / f"{name}.code").read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        return None
    head = len(MAGIC) + 64
    body = data[head:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : head] != _checksum(name, body):
        return None
    size = int.from_bytes(body[:8], "little")
    description: dict[str, Any] = json.loads(body[8 : 8 + size])
    return description, body[8 + size :]


def write(name: str, description: dict[str, Any], objects: bytes) -> None:
    """Store an entry; a folder that cannot be written is no error, only no cache."""
    text = json.dumps(description).encode()
    body = len(text).to_bytes(8, "little") + text + objects
    with contextlib.suppress(OSError, RuntimeError):
        place = folder()
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, aside = tempfile.mkstemp(dir=place, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + _checksum(name, body) + body)
            os.replace(aside, place / f"{name}.code")
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise


def _checksum(name: str, body: bytes) -> bytes:
    """Of the name too: an entry under another's name would be run on the wrong memory."""
    return hashlib.sha256(name.encode() + body).hexdigest().encode()
