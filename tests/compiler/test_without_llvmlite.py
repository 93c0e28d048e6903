"""Where llvmlite is absent the reference interpreter runs everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler
from pellucid.core.program import ReferenceProgram
from tests.programs import trace

ROOT = Path(__file__).resolve().parents[2]

ABSENT = """
import sys
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "llvmlite" else find_spec(name, *more)
"""

BODY = """
import numpy as np
import pellucid as pe
from pellucid import compiler
from pellucid.core.program import ReferenceProgram
from tests.compiler.training import trained, training
from tests.programs import trace

x = np.arange(6, dtype=np.float32).reshape(2, 3)
f = pe.compile(lambda x, more: {"y": pe.tanh(x) @ x.T, "z": [more + 1.0]})
found = f(x, 2.0)
assert np.allclose(found["y"].numpy(), np.tanh(x) @ x.T) and found["z"][0].item() == 3.0
g = pe.compile(pe.grad(lambda x: pe.sum(x ** 3)))
assert np.allclose(g(x).numpy(), 3 * x * x)
c = trace(lambda x: x + 1.0, x)
assert isinstance(compiler.program(c), ReferenceProgram)
losses, *_ = trained(training(), 3, compiler.program)
assert np.isfinite(losses).all()
import warnings
from pellucid.estimators import MLPClassifier
warnings.simplefilter("ignore")
net = MLPClassifier((4,), max_iter=3, random_state=0, batch_size=10)
net.fit(np.arange(60.0).reshape(30, 2) / 30, np.arange(30) % 3)
assert net.n_iter_ == 3 and len(net.loss_curve_) == 3
assert not compiler.can_compile()
assert "llvmlite" not in sys.modules
print("fine")
"""


def test_everything_runs_on_the_reference():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ABSENT + BODY],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "fine", done.stderr


def test_the_reference_can_be_asked_for(monkeypatch):
    c = trace(lambda x: x + 1.0, np.zeros(3))
    assert not isinstance(compiler.program(c), ReferenceProgram)
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    assert isinstance(compiler.program(c), ReferenceProgram)
    monkeypatch.setenv("PELLUCID_REFERENCE", "")
    assert not isinstance(compiler.program(c), ReferenceProgram)


@pytest.mark.parametrize("setting", ["", "1"])
def test_a_compiled_function_is_the_function(monkeypatch, setting):
    monkeypatch.setenv("PELLUCID_REFERENCE", setting)
    weight = pe.parameter([[1.0, 2.0], [3.0, 4.0]])
    f = pe.compile(lambda x: (x @ weight, None, {"sum": pe.sum(x)}))
    x = np.array([[1.0, 1.0]], np.float32)
    product, nothing, sums = f(x)
    np.testing.assert_array_equal(product.numpy(), [[4.0, 6.0]])
    assert nothing is None
    assert sums["sum"].item() == 2.0
    weight.assign(np.zeros((2, 2)))  # read anew at each call
    np.testing.assert_array_equal(f(x)[0].numpy(), [[0.0, 0.0]])
    np.testing.assert_array_equal(f(np.ones((3, 2), np.float32))[0].numpy(), np.zeros((3, 2)))
    np.testing.assert_array_equal(f(pe.tensor(x.astype(np.float64)))[0].dtype, np.float64)
