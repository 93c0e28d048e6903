"""The trace: rows, columns, frame and text, and what it keeps in memory."""

from __future__ import annotations

import builtins
import pickle

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pellucid.estimators import Perceptron, Presentation, Trace

SQUARE = [[0, 0], [0, 1], [1, 0], [1, 1]]
OR = [0, 1, 1, 1]


@pytest.fixture
def trace() -> Trace:
    unit = Perceptron(trace=True).fit(SQUARE, OR, coef_init=[1, -1], intercept_init=0)
    return unit.trace_


def test_it_is_a_sequence_of_rows(trace):
    assert len(trace) == 12
    row = trace[1]
    assert isinstance(row, Presentation)
    assert row == (2, 1, (0, 1, -1), (1, 0, 1), -1, 0, 1, (1, 1, 0), 1)
    assert trace[-1].step == 12
    assert [r.step for r in trace[2:8:3]] == [3, 6]
    assert row in trace and trace.index(row) == 1
    with pytest.raises(IndexError):
        trace[12]


def test_columns_and_frame_hold_the_same(trace):
    pandas = pytest.importorskip("pandas")
    columns, frame = trace.columns(), trace.to_frame()
    assert list(frame.columns) == list(columns)
    assert list(columns) == [
        *("step", "epoch", "w0", "w1", "w2", "x0", "x1", "x2", "sum", "output", "target"),
        *("new w0", "new w1", "new w2"),
    ]
    for name, values in columns.items():
        assert frame[name].tolist() == values.tolist()
    flat = [(*r[:2], *r.weights, *r.input, *r[4:7], *r.new_weights) for r in trace]
    assert list(zip(*columns.values(), strict=True)) == flat
    assert isinstance(frame, pandas.DataFrame)


def test_a_missing_pandas_is_named(trace, monkeypatch):
    def absent(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return importer(name, *args, **kwargs)

    importer = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r"to_frame needs pandas.*columns\(\)"):
        trace.to_frame()


def test_its_text_is_the_table(trace):
    assert (
        str(trace[:3])
        == """\
step  epoch | w0  w1  w2 | x0  x1  x2 | sum  output  target | new w0  new w1  new w2
   1      1 |  0   1  -1 |  1   0   0 |   0       0       0 |      0       1      -1
   2      1 |  0   1  -1 |  1   0   1 |  -1       0       1 |      1       1       0
   3      1 |  1   1   0 |  1   1   0 |   2       1       1 |      1       1       0"""
    )
    assert str(trace) == repr(trace)
    assert len({len(line) for line in str(trace).splitlines()}) == 1


def test_the_text_of_many_rows_and_features_is_short():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 9)), rng.integers(0, 3, 30)
    unit = Perceptron(trace=True, max_iter=4)
    with pytest.warns(ConvergenceWarning):
        unit.fit(X, y)
    lines = str(unit.trace_).splitlines()
    assert len(lines) == 1 + 20 + 1 + 20
    assert lines[21] == f"... ({len(unit.trace_)} in all)"
    assert " ".join(lines[0].split()) == (
        "label step epoch | w0 w1 w2 w3 ... w9 | x0 x1 x2 x3 ... x9 | sum output target | "
        "new w0 new w1 new w2 new w3 ... new w9"
    )
    assert lines[1].split()[:3] == ["0", "1", "1"]
    assert lines[-1].split()[0] == "2"


@pytest.mark.parametrize("most", [1, 3, 4, 5, 11, 12, 15, 1000])
def test_so_many_presentations_are_recorded(trace, most):
    unit = Perceptron(trace=most).fit(SQUARE, OR, coef_init=[1, -1], intercept_init=0)
    assert list(unit.trace_) == list(trace)[:most]
    assert unit.converged_


def test_each_perceptron_has_so_many():
    with pytest.warns(ConvergenceWarning):
        trace = Perceptron(trace=5).fit(SQUARE, ["a", "b", "b", "c"]).trace_
    assert [row.label for row in trace] == ["a"] * 5 + ["b"] * 5 + ["c"] * 5
    assert trace.columns()["label"].tolist() == [row.label for row in trace]


def test_it_keeps_rows_and_weights_once():
    """A presentation takes 64 bytes, a mistake one vector, a row another."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 50))
    y = X[:, 0] > 0
    rows, epochs = len(X), 60
    unit = Perceptron(trace=True, max_iter=epochs, learning_rate=0.1)
    X[0] = -X[1]  # never separable: two equal rows of two classes
    X[1], y[0], y[1] = X[0], True, False
    with pytest.warns(ConvergenceWarning):
        unit.fit(X, y)
    vectors = rows + int(unit.n_mistakes_[0]) + 1
    assert len(unit.trace_) == rows * unit.n_iter_
    expected = 64 * len(unit.trace_) + 8 * 51 * vectors
    assert len(pickle.dumps(unit.trace_)) < 1.1 * expected
    few = Perceptron(trace=3, max_iter=epochs)
    with pytest.warns(ConvergenceWarning):
        few.fit(X, y)
    assert len(pickle.dumps(few.trace_)) < 64 * 3 + 8 * 51 * 7 + 2000
