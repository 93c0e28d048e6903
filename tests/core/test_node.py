"""Nodes: shared when equal under a trace, checked when made, evaluated by the reference."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import pellucid as pe
from pellucid.core import TABLE, Node
from pellucid.core.interpreter import evaluate, evaluate_all
from pellucid.core.node import (
    constant,
    define,
    is_tracing,
    leaf,
    make,
    placeholder,
    topological,
    tracing,
)
from pellucid.core.program import Computation, ReferenceProgram
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, apply

F32 = np.dtype(np.float32)


def inputs(*shapes):
    return [Tensor(placeholder(shape, F32, f"x{i}")) for i, shape in enumerate(shapes)]


def test_equal_nodes_are_one_under_a_trace():
    x, y = inputs((3,), (3,))
    with tracing():
        assert (x + y).node is (x + y).node
        assert pe.exp(x * 2.0).node is pe.exp(x * 2.0).node
        assert x.sum(0).node is x.sum().node
        assert (x + y).node is not (y + x).node
        assert (x + y).node is not (x - y).node
        assert x.reshape(1, 3).node is not x.reshape(3, 1).node
        assert pe.tensor(2.0).node is pe.tensor(2.0).node
        assert pe.tensor(0.0).node is not pe.tensor(-0.0).node
        assert pe.tensor(1.0).node is not pe.tensor(1).node


def test_each_placeholder_is_one_of_its_own():
    x, y = inputs((3,), (3,))
    assert x.node is not y.node
    with tracing():
        assert pe.exp(x).node is not pe.exp(y).node


def test_under_a_trace_nothing_is_computed():
    assert not is_tracing()
    with tracing():
        assert is_tracing()
        y = pe.tensor([1.0, 2.0]) * 2.0
        assert y.node.value is None
        with tracing():
            assert is_tracing()
        assert is_tracing()
    assert not is_tracing()
    assert evaluate([y.node], {})[0].tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError), tracing():
        raise RuntimeError
    assert not is_tracing()


def test_a_trace_is_of_its_thread():
    seen = []
    with tracing():
        other = threading.Thread(target=lambda: seen.append(is_tracing()))
        other.start()
        other.join()
    assert seen == [False]


def test_what_depends_on_a_placeholder_is_symbolic_outside_a_trace_too():
    (x,) = inputs((3,))
    assert (x + 1.0).node.value is None


def test_order_puts_inputs_first_and_names_each_once():
    x, y = inputs((3,), (3,))
    with tracing():
        a = x + y
        b = a * a
        c = b - x
    order = topological([c.node, b.node])
    assert len(order) == len(set(order)) == 5
    for node in order:
        assert all(order.index(i) < order.index(node) for i in node.inputs)


def test_a_deep_graph_needs_no_recursion():
    (x,) = inputs((2,))
    with tracing():
        y = x
        for _ in range(20_000):
            y = y + 1.0
    (found,) = evaluate([y.node], {x.node: np.zeros(2, np.float32)})
    assert found.tolist() == [20_000.0, 20_000.0]


def test_interpreter():
    x, y = inputs((2, 3), (3,))
    with tracing():
        z = pe.exp(x + y)
        total = z.sum(1)
    a, b = np.arange(6, dtype=F32).reshape(2, 3), np.ones(3, F32)
    feeds = {x.node: a, y.node: b}
    every = evaluate_all([total.node], feeds)
    np.testing.assert_allclose(every[z.node], np.exp(a + b), rtol=1e-6)
    np.testing.assert_allclose(every[total.node], np.exp(a + b).sum(1), rtol=1e-6)
    with pytest.raises(KeyError, match="placeholder 'x1' was given no value"):
        evaluate([total.node], {x.node: a})
    fed = evaluate([total.node], {**feeds, z.node: np.ones((2, 3), F32)})  # a node in between
    assert fed[0].tolist() == [3.0, 3.0]


def test_reference_program_updates_at_the_end_of_a_step():
    a, b = Cell(np.float32(1)), Cell(np.float32(10))
    x = placeholder((), F32)
    with tracing():
        u, v = Tensor(leaf(a)), Tensor(leaf(b))
        out = u + Tensor(x)
    c = Computation((x,), (out.node,), ((a, v.node), (b, u.node)), frozenset([x, out.node]))
    found = np.zeros(3, F32)
    ReferenceProgram(c).run([np.array([1, 2, 3], F32)], [found], 3)
    assert found.tolist() == [2.0, 12.0, 4.0]
    assert (a.value, b.value) == (10, 1)


def test_a_rule_speaks_up():
    x, y = inputs((3,), (4,))
    whole = placeholder((3,), np.dtype(np.int32))
    for name, nodes, attrs, message in [
        ("add", (x.node, y.node), {}, "needs equal operands"),
        ("add", (x.node, whole), {}, "needs equal operands"),
        ("where", (x.node, x.node, x.node), {}, "needs a boolean condition"),
        ("matmul", (x.reshape(1, 3).node, y.reshape(1, 4).node), {}, "cannot multiply"),
        ("gather", (x.node, x.node), {}, "whole-number indices"),
        ("broadcast_to", (x.node,), {"shape": (4,)}, "cannot be broadcast"),
    ]:
        with pytest.raises((ValueError, IndexError), match=message):
            make(name, nodes, **attrs)


def test_the_table_is_complete_and_has_no_doubles():
    for name, row in TABLE.items():
        assert row.name == name
        assert callable(row.rule) and callable(row.reference)
    with pytest.raises(ValueError, match="defined twice"):
        define("add", "elementwise", None, None)
    with pytest.raises(ValueError, match="kind must be one of"):
        define("new", "strange", None, None)
    assert "new" not in TABLE


def test_a_node_shows_itself():
    (x,) = inputs((3, 4))
    assert repr(x.sum(0).node) == "<sum axes=(0,) float32[4]>"
    assert isinstance(constant(np.float32(1)), Node)
    assert repr(apply("flip", x, axes=(1,)).node) == "<flip axes=(1,) float32[3, 4]>"
