"""Checkpoints: the same values and gradients to the bit, in less memory."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.compiler.program import CompiledProgram
from tests.programs import bits, run, trace

RNG = np.random.default_rng(0)
W = [RNG.standard_normal((6, 6)) / 3 for _ in range(3)]


def block(x, *ws):
    for w in ws:
        x = pe.tanh(x @ w)
    return x


def inner_twice(x, v, w):
    return pe.checkpoint(lambda a: pe.checkpoint(block, pe.checkpoint(block, a, v), w), x)


# Functions of x and three matrices, each once with checkpoints and once without.
PAIRS = {
    "a block": (
        lambda x, u, v, w: pe.checkpoint(block, x, u, v, w),
        lambda x, u, v, w: block(x, u, v, w),
    ),
    "one after another": (
        lambda x, u, v, w: pe.checkpoint(block, pe.checkpoint(block, x, u), v) @ w,
        lambda x, u, v, w: block(block(x, u), v) @ w,
    ),
    "read from outside": (
        lambda x, u, v, w: pe.checkpoint(lambda a: block(a, u * 2, v) * w[0], x) + pe.sum(w),
        lambda x, u, v, w: block(x, u * 2, v) * w[0] + pe.sum(w),
    ),
    "the input depends on what is read": (
        lambda x, u, v, w: pe.checkpoint(lambda a: block(a @ u, v), x @ u) + x,
        lambda x, u, v, w: block((x @ u) @ u, v) + x,
    ),
    "what is read depends on other things read": (
        lambda x, u, v, w: pe.checkpoint(lambda a: a @ u + pe.sin(a @ (u @ v)), x),
        lambda x, u, v, w: x @ u + pe.sin(x @ (u @ v)),
    ),
    "nested": (lambda x, u, v, w: inner_twice(x, v, w), lambda x, u, v, w: block(x, v, w)),
    "several inputs": (
        lambda x, u, v, w: pe.checkpoint(lambda a, b: pe.exp(a) * pe.cos(b), x @ u, x @ v),
        lambda x, u, v, w: pe.exp(x @ u) * pe.cos(x @ v),
    ),
    "an input that is another one's source": (
        lambda x, u, v, w: pe.checkpoint(lambda a, b: pe.exp(a) * b, x, pe.sin(x)),
        lambda x, u, v, w: pe.exp(x) * pe.sin(x),
    ),
    "nothing inside": (lambda x, u, v, w: pe.checkpoint(lambda a: a, x), lambda x, u, v, w: x * 1),
    "nothing of the input": (
        lambda x, u, v, w: x @ pe.checkpoint(lambda a: u @ v, x),
        lambda x, u, v, w: x @ (u @ v),
    ),
    "a whole number": (
        lambda x, u, v, w: pe.checkpoint(lambda i, a: pe.take(a, i) @ u, pe.tensor([1, 1, 0]), x),
        lambda x, u, v, w: pe.take(x, pe.tensor([1, 1, 0])) @ u,
    ),
    "no rows": (
        lambda x, u, v, w: pe.checkpoint(block, x[:0], u),
        lambda x, u, v, w: block(x[:0], u),
    ),
}


def derivatives(f):
    def found(*points):
        y, pull = pe.vjp(f, *points)
        return [y, *pull(pe.cos(y))]

    return found


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_bits(name):
    x = RNG.standard_normal((4, 6))
    with_it, without = (derivatives(f) for f in PAIRS[name])
    right = [t.numpy() for t in without(*map(pe.tensor, (x, *W)))]
    found = [t.numpy() for t in with_it(*map(pe.tensor, (x, *W)))]
    for a, b in zip(found, right, strict=True):
        np.testing.assert_array_equal(a, b)
    compiled = [run(trace(f, x, *W), [x, *W]) for f in (with_it, without)]
    assert bits(compiled[0]) == bits(compiled[1])


@pytest.mark.parametrize("name", PAIRS)
def test_derivatives_of_first_and_second_order(name):
    pe.check_grads(PAIRS[name][0], RNG.standard_normal((4, 6)), *W)


def test_a_gradient_that_is_not_a_number_changes_no_value():
    x = np.array([1.0, 2.0])

    def f(v, checkpointed):
        y = pe.checkpoint(pe.exp, v) if checkpointed else pe.exp(v)
        return (y * pe.tensor([np.nan, 3.0])).sum()

    for checkpointed in (False, True):
        found = pe.grad(lambda v, c=checkpointed: f(v, c))(pe.tensor(x)).numpy()
        np.testing.assert_array_equal(found, [np.nan, 3 * np.exp(2.0)])


def memory(wrap) -> int:
    """Bytes that a training step of eight blocks needs besides its parameters."""

    def block() -> nn.Module:
        first, second, third = (nn.Linear(64, 64) for _ in range(3))
        return wrap(nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), third))

    model = nn.Sequential(*(block() for _ in range(8)))
    names = list(model.parameters())

    def step(x, *values):
        def loss(*ws):
            return (nn.functional_call(model, dict(zip(names, ws, strict=True)), x) ** 2).sum()

        return pe.vjp(loss, *values)[1](pe.tensor(1.0, np.float32))

    c = trace(step, np.zeros((512, 64), np.float32), *model.state_dict().values())
    return CompiledProgram(c)._memory.nbytes


def test_less_memory_is_needed():
    assert memory(nn.Checkpoint) < 0.7 * memory(lambda block: block)


def test_learning_is_the_same_to_the_bit():
    def trained(wrap):
        pe.random.set_seed(0)
        model = nn.Sequential(
            wrap(nn.Sequential(nn.Linear(5, 32), nn.BatchNorm(32), nn.ReLU(), nn.Dropout(0.3))),
            wrap(nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))),
        )
        X = np.random.default_rng(0).standard_normal((64, 5))
        pe.fit(model, X, np.arange(64) % 3, epochs=5)
        return bits([*model.state_dict().values(), model.predict(X)])

    assert trained(nn.Checkpoint) == trained(lambda block: nn.Sequential(block))


def test_what_is_no_function_of_tensors_is_refused():
    with pytest.raises(TypeError, match="a function that returns one tensor, received tuple"):
        pe.checkpoint(lambda x: (x, x), pe.tensor(1.0))
    with pytest.raises(TypeError, match="Checkpoint needs a layer"):
        nn.Checkpoint(pe.tanh)
