"""Running a computation in every way there is, on memory that shows a stray read or write."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from pellucid import compiler
from pellucid.compiler.program import CompiledProgram
from pellucid.compiler.threads import Choice
from pellucid.core.node import Node, placeholder, topological, tracing
from pellucid.core.program import Computation, ReferenceProgram
from pellucid.core.storage import Cell, storage_size
from pellucid.core.tensor import Tensor, tensor
from pellucid.core.tree import leaves

MARGIN = 264  # bytes around an array; odd in units of a vector, as users' arrays may be


def trace(f: Callable[..., Any], *arrays: np.ndarray) -> Computation:
    """The computation of a function of arrays like these; no array is a constant in it."""
    inputs = [Tensor(placeholder(a.shape, a.dtype, str(i))) for i, a in enumerate(arrays)]
    with tracing():
        outputs = [tensor(o).node for o in leaves(f(*inputs))]
    return Computation(tuple(i.node for i in inputs), tuple(outputs))


def _surrounded(array: np.ndarray, fill: int) -> tuple[np.ndarray, np.ndarray]:
    """A copy with other bytes on both sides, and all those bytes together."""
    raw = np.full(array.nbytes + 2 * MARGIN, fill, np.uint8)
    inner = raw[MARGIN : MARGIN + array.nbytes].view(array.dtype).reshape(array.shape)
    inner[...] = array
    return inner, raw


def poison(cell: Cell) -> None:
    """Fill the padding of a cell's storage: no result may depend on it."""
    kept, shape, dtype = cell.value.copy(), cell.value.shape, cell.value.dtype
    size = storage_size(shape, dtype) * dtype.itemsize
    raw = np.lib.stride_tricks.as_strided(cell.value, (1,), (dtype.itemsize,)).view(np.uint8)
    np.lib.stride_tricks.as_strided(raw, (size,), (1,))[...] = 0xFF
    cell.value[...] = kept


def _undefined(array: np.ndarray) -> np.ndarray:
    """NaN instead of numbers; whole numbers, which may name rows, as they are."""
    return np.full_like(array, np.nan) if array.dtype.kind == "f" else array


def run(
    computation: Computation,
    inputs: Sequence[np.ndarray],
    *,
    steps: int = 1,
    program: Any = CompiledProgram,
) -> list[np.ndarray]:
    """The outputs; inputs and what lies around every array are seen to stay as they are."""
    given = [_surrounded(np.asarray(a), 0xFF) for a in inputs]
    before = [raw.copy() for _, raw in given]
    shapes = [((steps,) if n in computation.stepped else ()) + n.shape for n in computation.outputs]
    outputs = [
        _surrounded(np.zeros(shape, node.dtype), 0xAB)
        for shape, node in zip(shapes, computation.outputs, strict=True)
    ]
    made = program(computation)
    if isinstance(made, CompiledProgram):
        made.furnish(compiler.get_threads())
        # nothing may be read before it is written
        made._memory[made.zeros :] = made._own[...] = 0xFF
    if isinstance(made, CompiledProgram) and made.zeros and not computation.updates:
        # nor may what an earlier step left among zeros
        made.run([_undefined(a) for a, _ in given], [o for o, _ in outputs], steps)
    made.run([a for a, _ in given], [o for o, _ in outputs], steps)
    if isinstance(made, CompiledProgram):
        told = made._code.description
        behind = made.zeros + told["memory"] - told["zeros"]
        assert (made._memory[behind:] == 0xFF).all(), "written behind the program's memory"
    for (_, raw), kept in zip(given, before, strict=True):
        assert raw.tobytes() == kept.tobytes(), "an input was written to"
    for _, raw in outputs:
        edges = np.concatenate([raw[:MARGIN], raw[-MARGIN:]])
        assert (edges == 0xAB).all(), "written beyond an output"
    return [np.array(o) for o, _ in outputs]


def reference(
    computation: Computation, inputs: Sequence[np.ndarray], *, steps: int = 1
) -> list[np.ndarray]:
    """The outputs by the reference interpreter."""
    return run(computation, inputs, steps=steps, program=ReferenceProgram)


@contextlib.contextmanager
def processor(name: str) -> Iterator[None]:
    """Within it code is made for another processor, "host" for this one."""
    before = os.environ.get("PELLUCID_CPU")
    os.environ["PELLUCID_CPU"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["PELLUCID_CPU"]
        else:
            os.environ["PELLUCID_CPU"] = before


def same_processors() -> list[str]:
    """Processors whose code runs here: this one, and an AVX2 one where this is at least that."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return ["host", "haswell"] if features.get("avx2") and features.get("fma") else ["host"]


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it so many threads are at work, also where fewer would be faster."""
    compiler.set_threads(count)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Choice, "workers", lambda self, available, steps: available)
            yield
    finally:
        compiler.set_threads(None)


def bits(arrays: Sequence[np.ndarray]) -> str:
    """A digest of shapes and bits; one NaN is like another."""
    digest = hashlib.sha256()
    for array in arrays:
        known = np.where(np.isnan(array), np.nan, array) if array.dtype.kind == "f" else array
        digest.update(repr((known.shape, known.dtype.str)).encode())
        digest.update(np.ascontiguousarray(known.astype(array.dtype)).tobytes())
    return digest.hexdigest()


def intermediates(computation: Computation) -> list[Node]:
    """Every value that the computation's outputs and updates are computed from."""
    return [n for n in topological(computation.results) if n.inputs]
