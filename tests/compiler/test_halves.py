"""Small steps: gradients in halves, which two workers share, and no detours for single columns."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import pipeline
from pellucid.compiler.simplify import simplify
from pellucid.core.node import topological
from tests.programs import bits, reference, run, threads, trace

RANDOM = np.random.default_rng(0).standard_normal


def products(c):
    return [n for n in topological(simplify(c).outputs) if n.primitive.kind == "contraction"]


def gradient(x, g):
    return pe.sin(x).T @ pe.cos(g)


@pytest.mark.parametrize(
    ("rows", "columns", "features", "halves"),
    [
        (200, 64, 100, True),
        (200, 30, 100, True),
        (201, 64, 100, False),  # rows that two does not divide
        (32, 784, 128, False),  # a large layer: its halves would have to go through memory
        (200, 5, 4, False),  # next to nothing to do
    ],
)
def test_the_gradient_of_a_small_layer_is_a_sum_of_two(rows, columns, features, halves):
    given = [RANDOM((rows, columns)), RANDOM((rows, features))]
    c = trace(gradient, *given)
    (product,) = products(c)
    assert product.name == ("tensordot" if halves else "matmul")
    assert product.shape == ((2,) if halves else ()) + (columns, features)
    found = set()
    for count in (1, 2, 3):
        with threads(count):
            (result,) = run(c, given)
            found.add(bits([result]))
    assert len(found) == 1
    np.testing.assert_allclose(result, reference(c, given)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [lambda w, x: (w.T @ x.T).T, lambda w, x: pe.sin(x.T).T @ w])
def test_what_a_layer_gives_does_not_depend_on_how_many_there_are(layer):
    """Examples may lie along either side of a product."""
    w, x = pe.parameter(RANDOM((512, 10)).astype(np.float32)), RANDOM((64, 512)).astype(np.float32)
    whole = run(trace(lambda x: layer(w, x), x), [x])[0]
    for rows in (2, 8, 16, 32):
        part = run(trace(lambda x: layer(w, x), x[:rows]), [x[:rows]])[0]
        np.testing.assert_array_equal(part, whole[:rows])


def test_a_column_times_a_row_is_no_contraction():
    x, y = RANDOM((40, 1)), RANDOM((1, 30))
    c = trace(lambda x, y: pe.relu(x @ y + 1.0), x, y)
    assert products(c) == []
    assert [k.kind for k in pipeline.lower(c).kernels] == ["map"]
    np.testing.assert_array_equal(run(c, [x, y])[0], reference(c, [x, y])[0])


def test_a_single_column_has_no_gaps():
    w = pe.parameter(np.ones((100, 1)))
    assert w.node.cell is not None
    assert w.node.cell.value.strides == (8, 8)
