"""Lines of parameters are taken back before they are written: which, by whom, and to no effect."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import host, pipeline
from pellucid.core.node import leaf, placeholder, tracing
from pellucid.core.program import Computation
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor
from tests.programs import bits, processor, run, same_processors, threads
from tests.tables import FLOATS


class Descent(NamedTuple):
    """One step with momentum on a layer.

    Attributes:
        rows, sizes: of the batch, and of the layer.
        by: what takes lines of the weight back: the kernel that changes it, the product before
            that, or nobody.
    """

    rows: int
    sizes: tuple[int, int]
    by: str


CASES = {
    "changed with the gradient": Descent(32, (256, 128), "itself"),
    "changed by a sum of halves": Descent(200, (64, 100), "product before"),
    "few columns": Descent(32, (400, 10), "itself"),
    "too large to be near": Descent(16, (1024, 144), "nobody"),
    "too small to share": Descent(4, (16, 16), "nobody"),
}


def descent(case: Descent, dtype: str = "float32") -> tuple[Computation, Cell, Cell]:
    """The step, the weight and its momentum."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    weight = Cell(rng.standard_normal(case.sizes).astype(kind), name="weight")
    moment = Cell(np.zeros(case.sizes, kind), name="moment")
    x = Tensor(placeholder((case.rows, case.sizes[0]), kind, "x"))
    with tracing():
        w, m = Tensor(leaf(weight)), Tensor(leaf(moment))
        following = m * 0.9 + x.T @ pe.tanh(x @ w) * 0.01
        updates = ((weight, (w - following).node), (moment, following.node))
    return Computation((x.node,), (), updates), weight, moment


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_others_read_is_taken_back_before_it_is_changed(case, dtype):
    step, cell, _ = descent(case, dtype)
    plan, text = pipeline.to_text(step, host.current())
    weight = plan.cell_buffers[id(cell)]
    (changes,) = [k for k in plan.kernels if weight in k.writes]
    assert [k for k in plan.kernels if weight in k.claims] == [changes] * (case.by == "itself")
    before = [k for k in plan.kernels if weight in k.ahead]
    assert [k.kind for k in before] == ["contract"] * (case.by == "product before")
    assert all(k in plan.before[changes] for k in before)
    assert not {b for k in plan.kernels for b in (*k.claims, *k.ahead)} - {weight}
    assert ("store volatile" in text) == (case.by != "nobody")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_taking_lines_back_changes_no_bit(case, dtype):
    found = set()
    x = np.random.default_rng(1).standard_normal((case.rows, case.sizes[0])).astype(dtype)
    for name in same_processors():
        for count in 1, 2, 3:
            with processor(name), threads(count):
                step, weight, moment = descent(case, dtype)
                run(step, [x], steps=3)
                found.add(bits([weight.value, moment.value]))
    assert len(found) == 1
