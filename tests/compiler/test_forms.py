"""Kernels of one form have one text: sharing functions by form changes no program."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given

import pellucid as pe
from pellucid import compiler, models, nn, optim
from pellucid.compiler import host, pipeline
from pellucid.compiler.forms import form_of
from pellucid.compiler.render import render
from pellucid.train.step import TrainingState, trace_step
from tests.programs import trace

from .graphs import Example, examples
from .test_random_graphs import QUICK
from .training import training

pytestmark = pytest.mark.skipif(not compiler.can_compile(), reason="nothing is compiled here")

NETWORKS = {
    "lenet5": (28, 28, 1),
    "convnet": (32, 32, 3),
    "resnet20": (32, 32, 3),
    "series_resnet": (150, 1),
    "vgg": (32, 32, 3),
}


def step_of(network: str):
    """A training step of one of `models`, under Adam."""
    x, y = np.zeros((16, *NETWORKS[network]), np.float32), np.zeros(16, np.int32)
    state = TrainingState(getattr(models, network)(classes=10), optim.adam(), seed=0)
    return trace_step(state, nn.as_loss("cross_entropy"), {}, [x, y], 8).computation


def written(plan, monkeypatch, *, each: bool):
    """The program's text, its table, and how often a kernel was written, with or without forms."""
    module, count = sys.modules["pellucid.compiler.render"], 0
    original = module._kernel

    def counted(*args):
        nonlocal count
        count += 1
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_kernel", counted)
        if each:
            patch.setattr(module, "form_of", lambda p, k: ((id(k),), form_of(p, k)[1]))
        text = render(plan, host.current())
    return text, [id(buffer) for buffer in plan.table], count


def shares_nothing_wrong(computation, monkeypatch) -> tuple[int, int]:
    plan = pipeline.lower(computation)
    *shared, fewer = written(plan, monkeypatch, each=False)
    *apart, all_of_them = written(plan, monkeypatch, each=True)
    assert shared == apart
    return fewer, all_of_them


@pytest.mark.parametrize("network", NETWORKS)
def test_every_kernel_written_by_itself_is_the_same_program(network, monkeypatch):
    shares_nothing_wrong(step_of(network), monkeypatch)


def test_a_step_by_hand(monkeypatch):
    shares_nothing_wrong(training().computation, monkeypatch)


def test_repeated_layers_are_written_once(monkeypatch):
    fewer, all_of_them = shares_nothing_wrong(step_of("resnet20"), monkeypatch)
    assert all_of_them > 300 and fewer < all_of_them / 2


@given(examples("real"))
@QUICK
def test_random_computations(example: Example):
    with pytest.MonkeyPatch.context() as patch:
        shares_nothing_wrong(example.computation, patch)


@pytest.mark.parametrize("pair", [(0.0, -0.0), (1.0, 2.0), (np.inf, -np.inf)])
def test_numbers_that_differ_in_a_bit_differ_in_form(pair, monkeypatch):
    x = np.ones((40, 33), np.float32)

    def both(x, y, first, second):
        return pe.tanh(x + first), pe.tanh(y + second)

    for first, second, count in ((*pair, 2), (pair[0], pair[0], 1)):
        computation = trace(lambda x, y, a=first, b=second: both(x, y, a, b), x, x)
        plan = pipeline.lower(computation)
        assert len(plan.kernels) == 2
        assert len({form_of(plan, kernel)[0] for kernel in plan.kernels}) == count
        shares_nothing_wrong(computation, monkeypatch)
