"""Which graphs treat the rows of a batch one by one: a rule for each primitive."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.core import random
from pellucid.core.node import TABLE, placeholder, tracing
from pellucid.core.tensor import Tensor, apply
from pellucid.core.windows import tensordot, windows_of
from pellucid.train.rows import _RULES, treats_rows_alone

W = pe.tensor(np.ones((4, 3)))
TABLE_OF_7 = pe.tensor(np.arange(28.0).reshape(7, 4), np.float32)

ALONE = {
    "elementwise": lambda x: pe.tanh(x * 2 + 1),
    "weights": lambda x: x @ W + pe.tensor([1.0, 2.0, 3.0]),
    "softmax": pe.softmax,
    "argmax": lambda x: pe.argmax(x),
    "flatten": lambda x: pe.reshape(pe.reshape(x, (7, 2, 2)), (7, 4)),
    "columns": lambda x: x[:, 1:3],
    "turned": lambda x: x[:, ::-1],
    "joined": lambda x: pe.concatenate([x, x * 2], axis=1),
    "pieces": lambda x: pe.reshape(pe.reshape(x, (14, 2)) @ W[:2], (7, 6)),
    "inner axes": lambda x: pe.transpose(pe.reshape(x, (7, 2, 2)), (0, 2, 1)),
    "own product": lambda x: pe.reshape(x, (7, 2, 2)) @ pe.reshape(x, (7, 2, 2)),
    "looked up": lambda x: pe.take(pe.tensor(np.ones((9, 2))), pe.argmax(x)),
    "constant": lambda x: x * 0 + pe.zeros((1, 4)),
    "one-hot": lambda x: pe.one_hot(pe.argmax(x), 3),
    "padded": lambda x: apply("pad", x, before=(0, 1), after=(0, 0), between=(0, 2)),
}
SIGNAL, KERNEL = (7, 2, 2), pe.tensor(np.ones((2, 2, 3)))
ALONE |= {
    "windows": lambda x: pe.conv(pe.reshape(x, SIGNAL), KERNEL, padding="same"),
    "windows of parts": lambda x: pe.reshape(
        pe.conv(pe.reshape(x, (14, 2, 1)), pe.ones((2, 1, 3))), (7, 6)
    ),
    "greatest of windows": lambda x: pe.max_pool(pe.reshape(x, SIGNAL), 2, 1, padding="same"),
    "means of windows": lambda x: pe.avg_pool(pe.reshape(x, SIGNAL), 2, 1, padding="same"),
    "seen windows": lambda x: windows_of(pe.reshape(x, SIGNAL), (2,), (1,)),
    "contraction": lambda x: tensordot(pe.reshape(x, SIGNAL), pe.ones((2, 2, 5)), 0, 2),
    "own contraction": lambda x: tensordot(x, pe.reshape(x, SIGNAL), 1, 0),
    "larger": nn.Sequential(lambda x: pe.reshape(x, SIGNAL), nn.Upsample(3, "bilinear")),
    "fewer": nn.Sequential(lambda x: pe.reshape(x, (7, 4, 1)), nn.AdaptiveAvgPool(3)),
    "groups": nn.Sequential(lambda x: pe.reshape(x, SIGNAL), nn.GroupNorm(2, 2)),
}
MIXING = {
    "mean of all": lambda x: x - pe.mean(x, 0, keepdims=True),
    "a number per row": lambda x: x + TABLE_OF_7,
    "row numbers": lambda x: x + pe.reshape(pe.arange(7), (7, 1)),
    "other rows": lambda x: x[::-1],
    "one row": lambda x: x - x[:1],
    "not all rows": lambda x: x[1:],
    "joined rows": lambda x: pe.concatenate([x, x]),
    "across": lambda x: x @ x.T @ x,
    "turned over": lambda x: pe.reshape(x.T, (7, 4)),
    "chosen rows": lambda x: pe.take(x, pe.tensor([0, 0, 1, 2, 3, 4, 5])),
    "nothing of x": lambda x: TABLE_OF_7 * 2,
    "random": lambda x: x + random.uniform((7, 4)),
    "scattered": lambda x: apply("scatter_add", TABLE_OF_7, pe.argmax(x), x),
    "kernel of the rows": lambda x: pe.conv(
        pe.reshape(x, SIGNAL), pe.reshape(x[:2], (1, 2, 4)), padding="same"
    ),
    "windows over rows": lambda x: pe.max_pool(pe.reshape(x, (1, 7, 4)), 1)[0],
    "rows contracted": lambda x: tensordot(TABLE_OF_7 @ x.T, x, 0, 1),
    "all contracted": lambda x: tensordot(x, x, 0, 0)[:, :, 0, 0],
    "moved": lambda x: apply("pad", x, before=(1, 0), after=(0, 0), between=(0, 0))[:7],
}


def verdict(function):
    with tracing():
        x = Tensor(placeholder((7, 4), np.dtype(np.float32), "x"))
        y = function(x)
    return treats_rows_alone(x.node, y.node)


@pytest.mark.parametrize("name", ALONE)
def test_rows_stay_apart(name):
    assert verdict(ALONE[name])


@pytest.mark.parametrize("name", MIXING)
def test_rows_meet(name):
    assert not verdict(MIXING[name])


def test_every_primitive_has_a_rule_or_is_known_to_mix():
    known_to_mix = {"random_bits", "scatter_add", "placeholder", "constant"}
    without = {
        name
        for name, primitive in TABLE.items()
        if name not in _RULES and primitive.kind not in _RULES
    }
    assert without <= known_to_mix, "write a rule in train/rows.py, or add the name here"
